"""Scripts of the shell that a person types: --help says what one takes, and a mistake is a line that costs nothing else."""

import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


def shell(script: str, folder: Path = TOP, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run lines of bash in a folder."""
    command = ["bash", "--norc", *options]
    return subprocess.run(command, input=script, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["benchmarks/run", "containers/tag", "tests/run"])
def test_help_is_what_the_script_says_of_itself(name: str, tmp_path: Path) -> None:
    """In a folder that holds the script alone, where nothing that it starts could be."""
    path = tmp_path / name
    path.parent.mkdir()
    path.write_bytes((TOP / name).read_bytes())
    path.chmod(0o755)
    done = shell(f"{name} --help", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == (TOP / name).read_text().splitlines()[1].removeprefix("# ")
    assert f"\nusage: {name} [" in done.stdout and "set -" not in done.stdout


def test_the_list_of_benchmarks_says_what_each_measures() -> None:
    lines = shell("benchmarks/run").stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(path.stem for path in (TOP / "benchmarks").glob("*.py"))
    assert all(len(line.split()) > 4 for line in lines), lines


@pytest.mark.parametrize("name", ["../docs", "analysis/", "./analysis", "nope", ""])
def test_what_is_no_image_has_no_tag(name: str) -> None:
    done = shell(f"containers/tag '{name}'")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: no image is called '{name}'; there are analysis ")


@pytest.mark.parametrize("name", ["nope", ""])
def test_a_mistyped_environment_closes_no_shell_of_a_person_and_ends_a_task(name: str) -> None:
    script = f". containers/activate {name}\necho still here\n"
    assert "still here" in shell(script, TOP, "-i").stdout
    done = shell(script)
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr
