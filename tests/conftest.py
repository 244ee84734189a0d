"""What all tests share: bin/ on the path, one file to a worker, and limits of time, so that none hangs and none grows unseen.

A test is of the quick tier unless it is marked `all` or `long` (pyproject.toml); tests/run chooses by these marks. What a test
may take is counted in CPU time, its child processes too: a busy machine does not fail it. IONMELT_TEST_PATIENCE=3 multiplies
all limits, for a machine three times as slow.
"""

import math
import os
import sys
import threading
import time
from collections.abc import Generator
from os import times  # taken here: a test may put another clock in its place
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler.loadscope import LoadScopeScheduling

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bin"))

PATIENCE = float(os.environ.get("IONMELT_TEST_PATIENCE", "1"))
# Per tier: the CPU time in s that a test may take, and a fixture that it makes; and the time in s after which it hangs.
BUDGET_CPU_S = {"quick": 300, "all": 1200, "long": math.inf}
HANGS_S = {"quick": 1200, "all": 2400, "long": 6 * 3600}
# Files that share the real run of the small study, and those that share the images.
TOGETHER = {
    "study": ("pipeline/test_pipeline.py", "pipeline/test_slurm.py"),
    "images": ("containers/test_images.py", "containers/test_study.py"),
}
SPENT_CPU_S = pytest.StashKey[float]()

# How hard hypothesis searches: tests/run names its tier, pytest alone takes the quick one.
settings.register_profile("quick", max_examples=20, deadline=None, derandomize=True)
settings.register_profile("all", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=2000, deadline=None)
settings.load_profile("quick")


def tier_of(item: pytest.Item) -> str:
    """Return the tier of a test: the slowest that it is marked with."""
    return next((name for name in ("long", "all") if item.get_closest_marker(name)), "quick")


class ByFile(LoadScopeScheduling):
    """Gives the tests of a file to one worker, since they share what was made for one of them; files of `TOGETHER` likewise.

    Groups by pytest-xdist's own mark do not work: version 3.8 writes them where pytest 9.2 no longer reads the name of a test.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return next((group for group, files in TOGETHER.items() if file.endswith(files)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test its time limit."""
    for item in items:
        marker = item.get_closest_marker("budget")
        seconds = (marker.kwargs if marker else {}).get("hangs_s", HANGS_S[tier_of(item)])
        item.add_marker(pytest.mark.timeout(seconds * PATIENCE))


def measured(item: pytest.Item) -> Generator[None, Any, Any]:
    """Note the CPU time of a phase of a test, with that of the processes that ended in it."""
    start = sum(times()[:4])
    try:
        return (yield)
    finally:
        item.stash[SPENT_CPU_S] = sum(times()[:4]) - start


pytest_runtest_setup = pytest.hookimpl(wrapper=True, tryfirst=True)(measured)
pytest_runtest_call = pytest.hookimpl(wrapper=True, tryfirst=True)(measured)
pytest_runtest_teardown = pytest.hookimpl(wrapper=True, tryfirst=True)(measured)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, pytest.TestReport]:
    """Write the CPU time into the report; fail what is over its budget."""
    spent = item.stash.get(SPENT_CPU_S, 0.0)
    item.user_properties.append((f"cpu_s of {call.when}", f"{spent:.1f}"))
    report = yield
    marker = item.get_closest_marker("budget")
    budget = PATIENCE * (marker.args[0] if marker else BUDGET_CPU_S[tier_of(item)])
    if report.passed and spent > budget:
        report.outcome = "failed"
        report.longrepr = f"{spent:.1f} s of CPU time in its {call.when}, more than its budget of {budget:g} s"
    return report


class Watch:
    """Says each minute how many tests are done, and which have been running for longer, so that one that hangs has a name."""

    def __init__(self, reporter: Any) -> None:
        self.reporter = reporter
        self.running: dict[str, float] = {}
        self.done = 0
        self.over = threading.Event()
        threading.Thread(target=self.watch, daemon=True).start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.running[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.done += self.running.pop(nodeid, None) is not None

    def pytest_sessionfinish(self) -> None:
        self.over.set()

    def watch(self) -> None:
        while not self.over.wait(60):
            self.reporter.write_line(f"{self.done} tests done")
            for name, start in list(self.running.items()):
                if (seconds := time.monotonic() - start) > 60:
                    self.reporter.write_line(f"running for {seconds:.0f} s: {name}")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Watch the tests of all workers from the process that is none of them: there alone the screen can be written to."""
    if session.config.pluginmanager.has_plugin("dsession"):
        session.config.pluginmanager.register(Watch(session.config.pluginmanager.get_plugin("terminalreporter")))
