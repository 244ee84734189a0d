"""Python environments: complete or not there, made once, and only from the pinned files."""

import ast
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
        == "error: no environment is called 'analysys'; there are analysis, dft, mace, deepmd, nequip, foundation, "
        "aimnet, fairchem, grace, mattersim, nequix, orb, upet\n"
    )


def test_a_library_that_needs_a_newer_python_says_so_before_anything_is_installed(project: Project) -> None:
    given = project.pins.with_suffix(".in")
    given.write_text("# Python 3.99 or newer\n")
    result = project.run()
    assert result.returncode == 2
    here = ".".join(map(str, sys.version_info[:3]))
    assert (
        result.stderr
        == f"error: environment analysis: Python 3.99 or newer is needed, this is {here}: put one first on PATH\n"
    )
    assert not project.environments()
    given.write_text("# Python 3.11 or newer\n")
    assert project.run().returncode == 0


def test_a_patch_of_python_is_no_other_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes of a cluster differ by it; what was installed for 3.11.2 works with 3.11.9."""
    module, names = tool(), []
    for version in ("3.11.2", "3.11.19", "3.12.2"):
        monkeypatch.setattr(module.platform, "python_version", lambda version=version: version)
        names.append(module.folder_of("analysis", [TOP / "containers" / "uv.txt"]).name)
    assert names[0] == names[1] != names[2]


OLD = [path for minor in range(6, 11) for path in [shutil.which(f"python3.{minor}")] if path]


@pytest.mark.parametrize("python", [*OLD, "told that it is one"])
def test_an_old_python_is_one_line(python: str) -> None:
    """It must be said before a line that such a Python cannot read."""
    script = TOP / "containers" / "environment"
    if python in OLD:
        works = subprocess.run(
            [python, "-c", "import sys; print(sys.version.split()[0])"], capture_output=True, text=True
        )
        if works.returncode:
            pytest.skip(f"{python} cannot be started: {works.stderr.splitlines()[0]}")
        version, command = works.stdout.strip(), [python, script, "analysis"]
    else:
        ast.parse(script.read_text(), feature_version=(3, 6))
        old = "import platform, runpy, sys; sys.version_info = (3, 6, 15); platform.python_version = lambda: '3.6.15'"
        version, command = (
            "3.6.15",
            [sys.executable, "-c", f"{old}; runpy.run_path({str(script)!r}, run_name='only read')"],
        )
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: Python 3.11 or newer is needed, this is {version}: apt install python3\n"


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


def test_a_relative_home_is_refused(tmp_path: Path) -> None:
    """Each task runs in a folder of its own, and would make the environment there."""
    environ = {"PATH": os.environ["PATH"], "IONMELT_HOME": "cache"}
    script = TOP / "containers" / "environment"
    done = subprocess.run([script, "uv"], capture_output=True, text=True, env=environ, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: IONMELT_HOME: cache: give the whole path: export IONMELT_HOME={tmp_path}/cache\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("models: [{id: m, framework: mace}]\n", ["mace"]),
        ("# mace, deepmd, named\nmodels: [{id: m, framework: nequip}]  # not mace\n", ["nequip"]),
        ("models: [{id: s, framework: named, model: mace-mpa-0}]\n", ["mace", "foundation"]),
        ("labels: {engine: model, model: sevennet-0}\n", ["foundation"]),
        (
            "description: 'which model, named mace or deepmd, may be trusted?'\nmodels: [{id: mace, framework: classical}]\n",
            [],
        ),
        ('{"models": [{"id": "m", "framework": "deepmd"}], "labels": {"engine": "xtb"}}\n', ["deepmd"]),
        (None, ["mace", "deepmd", "nequip", "foundation"]),
    ],
)
def test_a_study_gets_the_environments_that_it_names(tmp_path: Path, text: str | None, names: list[str]) -> None:
    study = tmp_path / "study.yaml"
    if text is not None:
        study.write_text(text)
    assert tool().needed(study, gpu=False) == ["analysis", "dft", *names]


def test_what_an_environment_holds_is_said_by_its_name_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A login node without a GPU makes what the tasks of a GPU node will ask for."""
    module, study = tool(), tmp_path / "study.yaml"
    study.write_text("labels: {engine: pyscf}\nmodels: [{id: m, framework: mace}]\n")
    assert module.needed(study, gpu=True) == ["analysis", "dft", "mace", "dft-gpu", "mace-gpu"]
    assert module.needed(study, gpu=False) == ["analysis", "dft", "mace"]
    study.write_text("labels: {engine: cp2k}\n")
    assert module.needed(study, gpu=True) == ["analysis", "dft"]
    assert "dft-gpu" in module.needed(tmp_path / "absent.yaml", gpu=True)
    made: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(module, "make", lambda name, files: made.append((name, [path.name for path in files])))
    for smi in ("", "#!/bin/sh\necho 'GPU 0: NVIDIA A100'\n"):
        if smi:
            (tmp_path / "nvidia-smi").write_text(smi)
            (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        module.main(["dft", "dft-gpu"])
    assert made == [("dft", ["requirements.txt"]), ("dft-gpu", ["requirements.txt", "requirements-gpu.txt"])] * 2
    for name in ("deepmd-gpu", "gpu"):
        with pytest.raises(SystemExit):
            module.main([name])
        assert f"no environment is called '{name}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        *(f"bin/{name}.py" for name in ("compare_studies", "fetch_references", "fetch_weights", "make_crate")),
        "bin/new_study.py",
        "bin/plan_study.py",
        "docs/renew",
    ],
)
def test_a_script_without_an_environment_says_so_in_a_line(name: str) -> None:
    script = TOP / name
    done = subprocess.run([sys.executable, "-S", "-E", "-B", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    text = r"error: no Python package \w+ in \S+: install it there, or `\. containers/activate analysis` first\n"
    assert re.fullmatch(text, done.stderr)
