"""A confined process can compute, read and answer; the kernel keeps it from everything else, whoever it runs as."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ionmelt.errors import UserError
from ionmelt.models import confined

TOP = Path(__file__).resolve().parents[3]
SCRIPT = """
import os, platform, resource, socket, subprocess, sys, threading
sys.path.insert(0, {bin!r})
from pydantic import BaseModel

from ionmelt.models import confined

def attempt(what):
    try:
        return ["done", str(what())]
    except BaseException as error:
        return [type(error).__name__, str(error)]

class Question(confined.Request):
    folder: str
    writes: bool

class Said(BaseModel):
    why_not: str | None
    outcomes: dict[str, list[str]] = {{}}
    user: int | None = None

def work(request):
    place = request.folder
    threading.Thread(target=lambda: waiting.wait()).start()  # of a library, before
    {before}
    why_not = confined.confine(writes=request.writes)
    waiting.set()
    {after}
    found = {{
        "read": attempt(lambda: open(place + "/there").read()),
        "thread": attempt(lambda: threading.Thread(target=int).start()),
        "write": attempt(lambda: open(place + "/new", "w").close()),
        "append": attempt(lambda: open(place + "/there", "a").close()),
        "remove": attempt(lambda: os.unlink(place + "/there")),
        "rename": attempt(lambda: os.rename(place + "/there", place + "/here")),
        "folder": attempt(lambda: os.mkdir(place + "/folder")),
        "link": attempt(lambda: os.symlink("/etc/passwd", place + "/link")),
        "mode": attempt(lambda: os.chmod(place + "/there", 0o777)),
        "shorten": attempt(lambda: os.truncate(place + "/there", 0)),
        "memory file": attempt(lambda: os.memfd_create("x")),
        "fork": attempt(lambda: os.fork() or os._exit(0)),
        "signal": attempt(lambda: os.kill(os.getppid(), 0)),
        "program": attempt(lambda: subprocess.run(["touch", place + "/ran"])),
        "become": attempt(lambda: os.execv("/bin/true", ["true"])),
        "tcp": attempt(socket.socket),
        "udp": attempt(lambda: socket.socket(type=socket.SOCK_DGRAM)),
        "local": attempt(lambda: socket.socket(socket.AF_UNIX)),
        "limits": attempt(lambda: resource.prlimit(0, resource.RLIMIT_NOFILE, (1, 1))),
    }}
    return Said(why_not=why_not, outcomes=found, user=os.getuid())

waiting = threading.Event()
sys.exit(confined.answer(Question, work))
"""
COMPUTES = {"read", "thread"}
PROGRAMS_AND_NETWORK = {"program", "become", "tcp", "udp", "local"}


class Question(confined.Request):
    """What the script is asked."""

    folder: str
    writes: bool


class Said(BaseModel):
    """What it answers."""

    why_not: str | None
    outcomes: dict[str, list[str]] = {}
    user: int | None = None


def ask(folder: Path, before: str = "pass", after: str = "pass", writes: bool = False) -> dict[str, Any]:
    folder.chmod(0o777)
    (folder / "there").write_text("text")
    (folder / "there").chmod(0o666)
    script = folder / "script.py"
    script.write_text(SCRIPT.format(bin=str(TOP / "bin"), before=before, after=after))
    question = Question(folder=str(folder), writes=writes)
    return confined.ask(script, question, Said, dict(os.environ), "weights: x").model_dump()


@pytest.mark.skipif(sys.platform != "linux", reason="a filter of Linux")
@pytest.mark.parametrize("user", ["own", "another"])
def test_it_computes_and_reads_and_nothing_else(user: str) -> None:
    before = "os.getuid() or os.setuid(65534)" if user == "another" else "pass"
    with tempfile.TemporaryDirectory() as name:  # which another user may write into, unlike pytest's
        folder = Path(name)
        said = ask(folder, before)
        if said["why_not"]:
            pytest.skip(said["why_not"])
        assert {name for name, (end, _) in said["outcomes"].items() if end == "done"} == COMPUTES
        assert {path.name for path in folder.iterdir()} == {"there", "script.py"}
        assert (folder / "there").read_text() == "text"


@pytest.mark.skipif(sys.platform != "linux", reason="a filter of Linux")
def test_with_writes_it_is_kept_from_programs_and_the_network_alone(tmp_path: Path) -> None:
    said = ask(tmp_path, writes=True)
    if said["why_not"]:
        pytest.skip(said["why_not"])
    refused = {name for name, (end, _) in said["outcomes"].items() if end == "PermissionError"}
    assert refused == PROGRAMS_AND_NETWORK
    assert not (tmp_path / "ran").exists()


def test_where_there_is_no_filter_the_reason_is_said(tmp_path: Path) -> None:
    said = ask(tmp_path, "platform.machine = lambda: 'sparc64'", "return Said(why_not=why_not)")
    assert said["why_not"].endswith("on sparc64 is not supported")


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ("os.abort()", r"weights: x: it ended the process that opened it \(SIGABRT\)"),
        ("from ionmelt.task import UserError; raise UserError('weights: x: wrong')", "^weights: x: wrong$"),
    ],
)
def test_how_it_ended_is_one_line(after: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        ask(tmp_path, after=after)


def test_one_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert confined.WALL_S <= 1800, "minutes, not hours: the other models wait"
    monkeypatch.setattr(confined, "WALL_S", 3)
    with pytest.raises(UserError, match="weights: x: it was not opened and tried within"):
        ask(tmp_path, after="threading.Event().wait()")


def test_memory_is_limited(tmp_path: Path) -> None:
    with pytest.raises(MemoryError, match="with 8 GiB at most"):
        ask(tmp_path, after="bytearray(2**36)")


def test_a_bug_is_no_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        ask(tmp_path, after="1 / 0")
