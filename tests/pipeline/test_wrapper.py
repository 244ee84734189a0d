"""The wrapper `nextflow`: which Nextflow it starts, what it sets up before, and what it says when it cannot."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
TOOLS = (
    "bash", "cut", "dirname", "flock", "head", "mkdir", "mv", "python3", "rm", "sed", "sha256sum", "sort", "tail", "wc",
)  # fmt: skip


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


def nextflow(folder: Path, version: str) -> None:
    """Put a Nextflow of this version into a folder, which says its process id and arguments."""
    program(folder / "nextflow", f'[[ $1 == -version ]] && echo "version {version} build 1" || echo "fake $$ $*"')


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of the few system programs that the wrapper uses: no Java, no Maven, no Nextflow."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for name in TOOLS:
        program = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin")
        assert program, name
        (folder / name).symlink_to(program)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose containers/environment only notes what it is asked for."""
    top = tmp_path / "project"
    program(top / "containers" / "environment", f'echo "$*" >> {top}/asked')
    shutil.copy(TOP / "nextflow", top)
    (top / "main.nf").touch()
    return top


def run(
    top: Path, path: Path | str, *arguments: str, home: Path | None = None, **more: str
) -> "subprocess.CompletedProcess[str]":
    environ = {key: value for key, value in os.environ.items() if key not in ("JAVA_HOME", "JAVA_CMD", "NXF_JAVA_HOME")}
    environ |= {"PATH": str(path)} | ({"IONMELT_HOME": str(home)} if home else {}) | more
    return subprocess.run([top / "nextflow", *arguments], capture_output=True, text=True, env=environ, cwd=top)


def one_line(result: "subprocess.CompletedProcess[str]") -> str:
    """Return the one line of an error that is for the user."""
    assert result.returncode == 2, result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_a_new_enough_nextflow_on_path_is_used(bare: Path) -> None:
    nextflow(bare, "26.04.0")
    environ = os.environ | {"PATH": str(bare)}
    process = subprocess.Popen([TOP / "nextflow", "info", "a b"], stdout=subprocess.PIPE, text=True, env=environ)
    out, _ = process.communicate()
    assert out == f"fake {process.pid} info a b\n", "started in place of the wrapper, so that signals reach it"


def test_an_old_nextflow_on_path_is_not_used(tmp_path: Path) -> None:
    nextflow(tmp_path, "24.10.6")
    result = run(TOP, f"{tmp_path}:{os.environ['PATH']}", "-version")
    assert result.returncode == 0, result.stderr
    assert "version 25.04" in result.stdout


def test_missing_java(bare: Path, tmp_path: Path) -> None:
    result = run(TOP, bare, "info", home=tmp_path)
    assert one_line(result) == "error: Nextflow needs Java 17 or newer: apt install default-jre-headless"


def test_old_java(bare: Path, tmp_path: Path) -> None:
    program(bare / "java", """echo 'openjdk version "11.0.2" 2019-01-15' >&2""")
    assert "is 11: apt install default-jre-headless" in one_line(run(TOP, bare, "info", home=tmp_path))


def test_missing_maven(bare: Path, tmp_path: Path) -> None:
    program(bare / "java", """echo 'openjdk version "21.0.2" 2024-01-16' >&2""")
    assert "apt install maven" in one_line(run(TOP, bare, "info", home=tmp_path))


def test_libraries_that_are_not_the_pinned_ones_are_refused(bare: Path, tmp_path: Path) -> None:
    program(bare / "java", """echo 'openjdk version "21.0.2" 2024-01-16' >&2""")
    program(
        bare / "mvn",
        'mkdir -p "${@: -1}" 2>/dev/null; d=${@: -1}; mkdir -p "${d#*=}"; echo x > "${d#*=}/gson-2.10.1.jar"',
    )
    for _ in range(2):
        result = run(TOP, bare, "info", home=tmp_path / "cache")
        assert result.returncode == 2
        assert "not the pinned one" in result.stderr.splitlines()[-1]
        assert not [path for path in (tmp_path / "cache").glob("nextflow-*") if path.suffix != ".part"]


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ("run main.nf", "--study TOP/studies/demo.yaml"),
        ("run . -profile gpu,slurm", "--study TOP/studies/demo.yaml --gpu"),
        ("run . --study my.yaml -profile slurm,gpu -stub", "analysis"),
        ("run . -profile test,slurm", "--study TOP/studies/test.yaml"),
        ("-log x run main.nf --outdir here --study my.yaml", "--study my.yaml"),
        ("run main.nf --study=my.yaml -params-file it.json", "--study my.yaml"),
        ("run main.nf -params-file it.json", "--study unknown"),
        ("run main.nf --study my.yaml -stub", "analysis"),
        ("run main.nf -stub", "analysis"),
        ("run main.nf -profile test,stub", "analysis"),
        ("run main.nf -profile podman", None),
        ("run main.nf -profile gpu,singularity,slurm", None),
        ("run main.nf -profile awsbatch", None),
        ("run main.nf -with-docker", None),
        ("run main.nf -profile slurm -c block.config", None),
        ("run main.nf -c absent.config -c line.config", None),
        ("run main.nf -profile slurm -c none.config", "--study TOP/studies/demo.yaml"),
        ("run main.nf -c absent.config", "--study TOP/studies/demo.yaml"),
        ("run main.nf --help", None),
        ("run main.nf -preview", None),
        ("run elsewhere.nf", None),
        ("config main.nf", None),
    ],
)
def test_environments_before_a_run_that_needs_them(
    project: Path, bare: Path, arguments: str, asked: str | None
) -> None:
    nextflow(bare, "25.04.4")
    (project / "block.config").write_text("singularity {\n    cacheDir = '/x'\n    enabled  = true\n}\n")
    (project / "line.config").write_text("apptainer.enabled = true\n")
    (project / "none.config").write_text(
        "docker.enabled = false\ntrace { enabled = true }\nsingularity { cacheDir = '/x' }\n"
    )
    result = run(project, bare, *arguments.split())
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith(f" {arguments}\n")
    notes = project / "asked"
    made = notes.read_text().strip().replace(str(project), "TOP") if notes.exists() else None
    assert made == asked


def test_no_run_when_an_environment_cannot_be_made(project: Path, bare: Path) -> None:
    nextflow(bare, "25.04.4")
    program(project / "containers" / "environment", "echo 'error: no space' >&2; exit 2")
    result = run(project, bare, "run", "main.nf")
    assert one_line(result) == "error: no space"
    assert result.stdout == ""


@pytest.mark.parametrize(("given", "used"), [("cache", "TOP/cache"), ("/x/cache", "/x/cache"), ("", "")])
def test_a_home_is_the_same_for_all_tasks(bare: Path, project: Path, given: str, used: str) -> None:
    nextflow(bare, "25.04.4")
    program(bare / "nextflow", '[[ $1 == -version ]] && echo "version 25.04.4 build 1" || echo "$IONMELT_HOME"')
    program(project / "containers" / "environment", f'echo "$IONMELT_HOME" >> {project}/asked')
    environ = {"PATH": str(bare), "IONMELT_HOME": given}
    command = [project / "nextflow", "run", "main.nf"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, cwd=project)
    expected = used.replace("TOP", str(project)) + "\n"
    assert (done.stdout, (project / "asked").read_text()) == (expected, expected)


def test_a_user_without_home(bare: Path, project: Path) -> None:
    nextflow(bare, "25.04.4")
    environ = {"PATH": str(bare)}
    done = subprocess.run(
        [project / "nextflow", "run", "main.nf"], capture_output=True, text=True, env=environ, cwd=project
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_home_that_cannot_be_made_is_one_line(bare: Path, tmp_path: Path) -> None:
    program(bare / "java", """echo 'openjdk version "21.0.2" 2024-01-16' >&2""")
    program(bare / "mvn", "exit 1")
    (tmp_path / "file").touch()
    line = one_line(run(TOP, bare, "info", home=tmp_path / "file" / "home"))
    assert line == f"error: {tmp_path}/file/home: cannot be written: name another folder: export IONMELT_HOME=DIR"


@pytest.mark.parametrize(
    ("arguments", "session"),
    [
        ("run main.nf -resume", "aaaaaaaa-2"),
        ("run main.nf -resume --outdir mine", "bbbbbbbb-1"),
        ("run main.nf --outdir=mine -resume -profile gpu", "bbbbbbbb-1"),
        ("run main.nf --outdir others -resume", ""),
        ("run main.nf -stub -resume", ""),
        ("run main.nf -resume cccccccc-1", "cccccccc-1"),
    ],
)
def test_resume_goes_on_with_the_last_run_into_the_same_results(
    bare: Path, project: Path, arguments: str, session: str
) -> None:
    """Whatever ran in the folder since: the demo, a study of one's own, the study that was written, a stub run."""
    nextflow(bare, "25.04.4")
    commands = {
        "aaaaaaaa-1": "run main.nf", "aaaaaaaa-2": "run main.nf -resume aaaaaaaa-2",
        "bbbbbbbb-1": "run main.nf --study my.yaml --outdir mine", "cccccccc-1": "run main.nf --new_study my.yaml --ions a,b",
        "cccccccc-2": "run main.nf -stub", "cccccccc-3": "run main.nf --help",
    }  # fmt: skip
    history = [f"2026-11-30 07:14:27\t-\tname\tOK\tde8566\t{one}\tnextflow {line}" for one, line in commands.items()]
    (project / ".nextflow").mkdir()
    (project / ".nextflow" / "history").write_text("\n".join(history) + "\n")
    said = run(project, bare, *arguments.split()).stdout.split()
    after = said[said.index("-resume") + 1 :]
    assert (after[0] if after and not after[0].startswith("--") and after[0] != "-profile" else "") == session


@pytest.mark.parametrize(("outdir", "session"), [("my a", "aaaaaaaa-1"), ("my b", "bbbbbbbb-1"), ("my", "cccccccc-1")])
def test_a_folder_of_results_may_have_a_blank_in_its_name(bare: Path, project: Path, outdir: str, session: str) -> None:
    """Nextflow keeps the words of a command without quotes."""
    nextflow(bare, "25.04.4")
    commands = {
        "aaaaaaaa-1": "run main.nf --outdir my a", "bbbbbbbb-1": "run main.nf --outdir=my b -profile test",
        "cccccccc-1": "run main.nf --outdir my --study s.yaml", "dddddddd-1": "run main.nf --outdir my a -stub",
    }  # fmt: skip
    history = [f"2026-11-30 07:14:27\t-\tname\tOK\tde8566\t{one}\tnextflow {line}" for one, line in commands.items()]
    (project / ".nextflow").mkdir()
    (project / ".nextflow" / "history").write_text("\n".join(history) + "\n")
    said = run(project, bare, "run", "main.nf", "--outdir", outdir, "-resume").stdout.split()
    assert said[-2:] == ["-resume", session]


# As people and programs write them.
FILES_OF_PARAMETERS = (
    '{"outdir": "results"}',
    '{\n    "study": "my.yaml",\n    "outdir" : "results",\n    "threads": 4\n}\n',
    "study: my.yaml\noutdir: results   # of today\n",
    "outdir: 'results'\nthreads: 2\n",
    "{study: my.yaml, outdir: results, threads: 2}\n",
)


@pytest.mark.parametrize("text", FILES_OF_PARAMETERS)
def test_results_are_also_named_in_a_file_of_parameters(bare: Path, project: Path, text: str) -> None:
    nextflow(bare, "25.04.4")
    (project / ".nextflow").mkdir()
    line = "2026-11-30 07:14:27\t-\tname\tOK\tde8566\tbbbbbbbb-1\tnextflow run main.nf --outdir mine\n"
    (project / ".nextflow" / "history").write_text(line)
    (project / "params").write_text(text.replace("results", "mine"))
    for words, more in (
        (["-params-file", "params"], {}),
        (["-params-file=params"], {}),
        ([], {"NXF_PARAMS_FILE": "params"}),
    ):
        said = run(project, bare, "run", "main.nf", *words, "-resume", **more).stdout.split()
        assert said[-2:] == ["-resume", "bbbbbbbb-1"], words
    said = run(
        project, bare, "run", "main.nf", "-params-file", "params", "--outdir", "others", "-resume"
    ).stdout.split()
    assert said[-1] == "-resume"
