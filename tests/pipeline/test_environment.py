"""Python environments: complete or not there, made once, and only from the pinned files."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

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
        # The uv that is set up already, behind a script that notes each call and can be held up, while a file is there.
        ready = Path(self.run("uv", home=None).stdout.strip())
        self.uv = self.home / "envs" / ready.name / "bin" / "uv"
        self.uv.parent.mkdir(parents=True)
        (self.uv.parents[1] / "ionmelt-complete").touch()
        self.uv.write_text(
            f'#!/bin/sh\necho "$1" >> {self.calls}\n'
            'while [ "$1" = pip ] && [ -e "${HELD:-/no file}" ]; do sleep 0.1; done\n'
            f'exec {ready}/bin/uv "$@"\n'
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


def tool() -> ModuleType:
    """Return containers/environment as a module."""
    loader = SourceFileLoader("environment", str(TOP / "containers" / "environment"))
    module = module_from_spec(spec_from_loader("environment", loader))  # type: ignore[arg-type]
    loader.exec_module(module)
    return module


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


def test_what_is_imported_is_compiled_once_and_kept_in_the_environment(project: Project, tmp_path: Path) -> None:
    """Packages come without compiled code: each task would make it anew, for seconds. The folders of the project stay as they are."""
    folder = Path(project.run().stdout.strip())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "own.py").write_text("import iniconfig\n")
    environ = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tmp_path / "bin")}
    (settings,) = folder.rglob("ionmelt_compiled.pth")
    settings.unlink()  # as in one that an older version made
    for kept in (False, True):
        subprocess.run([folder / "bin" / "python", "-c", "import own"], env=environ, check=True)
        assert [path.name for path in (tmp_path / "bin").iterdir()] == ["own.py"]
        names = {path.name.split(".")[0] for path in (folder / "compiled").rglob("*.pyc")}
        assert ({"own", "exceptions"} <= names) == kept  # iniconfig.exceptions
        assert Path(project.run().stdout.strip()) == folder


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ here")
def test_kernels_are_compiled_where_there_is_a_compiler_and_anew_when_they_change(project: Project) -> None:
    source = project.tool.parent / "mace" / "kernels.cpp"
    source.parent.mkdir()
    shutil.copy(TOP / "containers" / "mace" / "build_kernels", source.with_name("build_kernels"))
    shutil.copy(project.pins, source.with_name("requirements.txt"))

    def made(text: str, **more: str) -> tuple[int | None, str]:
        """Return what the kernels of an environment say, None where it has none, and what was said when it was made."""
        source.write_text(text)
        result = subprocess.run(
            [project.tool, "mace"], capture_output=True, text=True, env=project.environ(project.home, **more)
        )
        folder = Path(result.stdout.strip())
        assert works(folder)
        libraries = list(folder.glob("lib/python3*/site-packages/ionmelt_kernels/kernels.so"))
        if not libraries:
            return None, result.stderr
        ask = f"import ctypes; raise SystemExit(ctypes.CDLL('{libraries[0]}').answer())"  # once loaded it would stay that of its path
        return subprocess.run([sys.executable, "-c", ask]).returncode, result.stderr

    # without a compiler, and with one that stops: the environment is there all the same
    assert made('extern "C" int answer() { return 1; }', CXX="no-such-compiler")[0] is None
    answer, said = made("this is no C++")
    assert answer is None
    assert "the kernels could not be compiled (see above): MACE runs without them, and slower" in said
    answer, said = made('extern "C" int answer() { return 1; }')
    assert answer == 1
    assert "compiling the kernels of MACE" in said
    assert made('extern "C" int answer() { return 1; }') == (1, ""), "compiled once"
    assert made('extern "C" int answer() { return 2; }')[0] == 2, "and anew where the source is another"


def test_other_requirements_are_another_environment(project: Project) -> None:
    first = project.run().stdout
    project.pins.write_text(project.pins.read_text() + "# changed\n")
    assert project.run().stdout != first
    assert len(project.environments()) == 2


def test_a_killed_set_up_is_made_again(project: Project) -> None:
    process = project.start(HELD=str(project.pins))
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


def test_two_at_once_make_it_once(project: Project, tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.touch()
    first = project.start(HELD=str(held))
    wait_for_call(project, "pip")
    second = project.start()
    assert second.stderr is not None
    assert "waiting" in second.stderr.readline()
    held.unlink()
    outs = [process.communicate()[0] for process in (first, second)]
    assert first.returncode == second.returncode == 0
    assert outs[0] == outs[1]
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
        result.stderr
        == "error: no environment is called 'analysys'; there are analysis, dft, mace, deepmd, nequip, foundation\n"
    )


def test_a_patch_of_python_is_no_other_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes of a cluster differ by it; what was installed for 3.11.2 works with 3.11.9."""
    module, names = tool(), []
    for version in ("3.11.2", "3.11.19", "3.12.2"):
        monkeypatch.setattr(module.platform, "python_version", lambda version=version: version)
        names.append(module.folder_of("analysis", [TOP / "containers" / "uv.txt"]).name)
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize("home", ["file/home", None])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, home: str | None) -> None:
    (tmp_path / "file").touch()
    environ = (
        {"PATH": os.environ["PATH"], "IONMELT_HOME": str(tmp_path / home)}
        if home
        else {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path / "file")}
    )
    done = subprocess.run([TOP / "containers" / "environment", "uv"], capture_output=True, text=True, env=environ)
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: \S+: cannot be written \(Not a directory\): name another folder: export IONMELT_HOME=DIR\n",
        done.stderr,
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("models: [{id: m, framework: mace}]\n", ["mace"]),
        ("# mace, deepmd, named\nmodels: [{id: m, framework: nequip}]  # not mace\n", ["nequip"]),
        ("models: [{id: s, framework: named, model: mace-mpa-0}]\n", ["mace", "foundation"]),
        ("labels: {engine: model, model: sevennet-0}\n", ["foundation"]),
        (None, ["mace", "deepmd", "nequip", "foundation"]),
    ],
)
def test_a_study_gets_the_environments_that_it_names(tmp_path: Path, text: str | None, names: list[str]) -> None:
    study = tmp_path / "study.yaml"
    if text is not None:
        study.write_text(text)
    assert tool().needed(study) == ["analysis", "dft", *names]


@pytest.mark.parametrize(
    "name", ["compare_studies", "fetch_references", "fetch_weights", "make_crate", "new_study", "plan_study"]
)
def test_a_script_without_an_environment_says_so_in_a_line(name: str) -> None:
    script = TOP / "bin" / f"{name}.py"
    done = subprocess.run([sys.executable, "-S", "-E", "-B", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"error: no Python package \w+: `\. containers/activate analysis` first.*\n", done.stderr)
