"""Python environments: complete or not there, made once, and only from the pinned files."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PIN = re.search(r"^iniconfig==.*?(?=\n\w)", (TOP / "tests/requirements.txt").read_text(), re.M | re.S)


class Project:
    """A copy of containers/ with one tiny environment, and its own IONMELT_HOME."""

    def __init__(self, folder: Path) -> None:
        self.tool = folder / "containers" / "environment"
        self.pins = folder / "containers" / "analysis" / "requirements.txt"
        self.home = folder / "cache"
        self.calls = folder / "calls"
        self.pins.parent.mkdir(parents=True)
        for name in ("environment", "uv.txt"):
            shutil.copy(TOP / "containers" / name, self.tool.with_name(name))
        assert PIN
        self.pins.write_text(PIN[0] + "\n")
        # The uv that is set up already, behind a script that notes each call and can be made slow.
        ready = Path(self.run("uv", home=None).stdout.strip())
        self.uv = self.home / "envs" / ready.name / "bin" / "uv"
        self.uv.parent.mkdir(parents=True)
        (self.uv.parents[1] / "ionmelt-complete").touch()
        self.uv.write_text(
            f'#!/bin/sh\necho "$1" >> {self.calls}\n[ "$1" = pip ] && sleep "${{SLOW:-0}}"\nexec {ready}/bin/uv "$@"\n'
        )
        self.uv.chmod(0o755)

    def environ(self, home: Path | None, **more: str) -> dict[str, str]:
        return os.environ | ({"IONMELT_HOME": str(home)} if home else {}) | more

    def run(self, name: str = "analysis", home: Path | None = Path("own")) -> "subprocess.CompletedProcess[str]":
        home = self.home if home else None
        return subprocess.run([self.tool, name], capture_output=True, text=True, env=self.environ(home))

    def start(self, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [self.tool, "analysis"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.environ(self.home, **more), start_new_session=True,
        )  # fmt: skip

    def environments(self) -> list[Path]:
        return sorted((self.home / "envs").glob("analysis-*"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def wait_for_call(project: Project, name: str) -> None:
    deadline = time.monotonic() + 60
    while not (project.calls.exists() and name in project.calls.read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def works(folder: Path) -> bool:
    return subprocess.run([folder / "bin" / "python", "-c", "import iniconfig"]).returncode == 0


def test_made_once_and_its_path_is_printed(project: Project) -> None:
    first, second = project.run(), project.run()
    assert first.returncode == second.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert second.stderr == ""
    assert works(Path(first.stdout.strip()))
    assert project.calls.read_text().split() == ["venv", "pip"]


def test_other_requirements_are_another_environment(project: Project) -> None:
    first = project.run().stdout
    project.pins.write_text(project.pins.read_text() + "# changed\n")
    assert project.run().stdout != first
    assert len(project.environments()) == 2


def test_a_killed_set_up_is_made_again(project: Project) -> None:
    process = project.start(SLOW="60")
    wait_for_call(project, "pip")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (folder,) = project.environments()
    assert not works(folder)
    again = project.run()
    assert again.returncode == 0, again.stderr
    assert "cut off" in again.stderr
    assert again.stdout.strip() == str(folder)
    assert works(folder)


def test_two_at_once_make_it_once(project: Project) -> None:
    first = project.start(SLOW="3")
    wait_for_call(project, "pip")
    second = project.run()
    out, _ = first.communicate()
    assert "waiting" in second.stderr
    assert first.returncode == second.returncode == 0
    assert out == second.stdout
    assert project.calls.read_text().split() == ["venv", "pip"]


@pytest.mark.parametrize("fault", ["wrong hash", "no hash"])
def test_a_package_that_does_not_match_its_hash_is_refused(project: Project, fault: str) -> None:
    good = project.pins.read_text()
    bad = re.sub(r"sha256:\w+", "sha256:" + "0" * 64, good) if fault == "wrong hash" else good.split()[0] + "\n"
    project.pins.write_text(bad)
    result = project.run()
    assert result.returncode == 2
    assert result.stdout == ""
    assert "hash" in result.stderr.lower()
    (folder,) = project.environments()
    assert not works(folder)
    assert project.run().returncode == 2, "a refused environment is not taken for a ready one"


def test_an_unknown_name_is_one_clear_line(project: Project) -> None:
    result = project.run("analysys")
    assert result.returncode == 2
    assert (
        result.stderr == "error: no environment is called 'analysys'; there are analysis, dft, mace, deepmd, nequip\n"
    )
