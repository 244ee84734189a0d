"""docs/publish: a finished study as a page of the site, with what it needs and nothing of the machine."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from known_study import write_study

from ionmelt.compare import run as compare_run

TOP = Path(__file__).parents[3]
HOW = ["--study", "study.yaml", "--commit", "0123abc", "--machine", "two cores"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of results of the made-up study."""
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("no chromium on PATH: it draws the figures")
    root = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert compare_run.main([*write_study(root / "in"), "--outdir", "out"]) == 0
    return root / "out"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project of its own, in which the script publishes."""
    (tmp_path / "docs").mkdir()
    shutil.copy(TOP / "docs" / "publish", tmp_path / "docs" / "publish")
    shutil.copy(TOP / "mkdocs.yml", tmp_path)
    (tmp_path / "study.yaml").write_text("name: pyr14bf4\n")
    return tmp_path


def publish(project: Path, results: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Publish results as `salt`."""
    command = [sys.executable, "docs/publish", str(results), "salt", *HOW, *more]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, env=os.environ, timeout=300)


def test_a_study_is_a_page_with_figures_tables_and_where_it_is_from(project: Path, finished: Path) -> None:
    for _ in range(2):  # a second time replaces the first
        done = publish(project, finished, "--title", "Two salts", "--note", "Made up.")
        assert done.returncode == 0, done.stderr
    folder = project / "docs" / "results" / "salt"
    page = (folder / "index.md").read_text()
    assert page.startswith("# Two salts\n\nMade up.\n")
    said = (
        "| commit of Ionmelt | 0123abc |",
        "two cores",
        "[study.yaml](study.yaml)",
        "mace-torch 0.3.16",
        "| core-hours | 5",
        "not converged |",
    )
    for words in said:
        assert words in page, words
    value = "| pyr14tfsi, 430 K | mace-both | – | 1302.5 [1299.2, 1305.9] |"
    assert value in page, page
    assert re.search(r"\b39 of 94 verdicts are decided", page), re.findall(r"\d+ of \d+ verdicts are decided", page)
    assert (finished / "recommendation.txt").read_text().splitlines()[0] in page
    for name in ("density", "diffusion", "structure", "errors"):
        drawing = ElementTree.parse(folder / f"{name}.svg").getroot()
        assert drawing.tag.endswith("svg") and f"]({name}.svg)" in page
    assert (folder / "first.png").stat().st_size > 10_000
    assert (folder / "report.html").read_bytes() == (finished / "report.html").read_bytes()
    assert (folder / "tables" / "summary.csv").is_file() and "rounds" in page.split("Empty: ")[1].split(".")[0]
    assert (project / "mkdocs.yml").read_text().count("results/salt/index.md") == 1


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("report.html", "x" * 2_100_000, "MB, more than 2"),
        ("recommendation.txt", "see /" + "home/anna/work/12\n", "names a folder of this machine"),
        ("tables/cost.csv", None, "is not there"),
    ],
)
def test_what_must_not_be_published_is_refused_and_leaves_nothing(
    project: Path, finished: Path, tmp_path: Path, file: str, text: str | None, words: str
) -> None:
    results = tmp_path / "out"
    shutil.copytree(finished, results)
    if text is None:
        (results / file).unlink()
    else:
        (results / file).write_text((results / file).read_text() + text)
    done = publish(project, results)
    assert done.returncode == 2 and words in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (project / "docs" / "results" / "salt").exists()
    assert "salt" not in (project / "mkdocs.yml").read_text()


def test_what_was_published_before_stays_where_this_cannot_be(project: Path, tmp_path: Path) -> None:
    results = tmp_path / "out"
    (results / "tables").mkdir(parents=True)
    tables = [f"tables/{name}.csv" for name in ("summary", "verdicts", "cost", "versions")]
    for name in ("report.html", "recommendation.txt", "study.json", *tables):
        (results / name).touch()
    before = project / "docs" / "results" / "salt" / "index.md"
    before.parent.mkdir(parents=True)
    before.write_text("# Salt\n")
    done = publish(project, results, "--study", "absent.yaml")
    assert done.returncode == 2 and "absent.yaml" in done.stderr and len(done.stderr.splitlines()) == 1
    assert [path.name for path in before.parent.parent.iterdir()] == ["salt"]
    assert before.read_text() == "# Salt\n"


def test_a_checkout_without_git_needs_its_commit(project: Path) -> None:
    done = publish(project, project, "--commit", "")
    assert (done.returncode, done.stderr) == (2, "error: --commit: missing: git does not know that of this checkout\n")


def test_an_interval_without_meaning_is_not_written() -> None:
    write = runpy.run_path(str(TOP / "docs" / "publish"), run_name="publish")["with_interval"]
    row = {"property": "force_rmse", "difference": "0.05", "ci95_low": "-43e9", "ci95_high": "4e20"}
    ends = ("difference", "ci95_low", "ci95_high")
    assert write(row, ends) == "50.0 (an interval without meaning)"
    assert "without meaning" in write(row | {"ci95_low": "-12", "ci95_high": "8"}, ends), "12 eV/Å"
    assert write(row | {"ci95_low": "-0.01", "ci95_high": "0.1"}, ends) == "50.0 [−10.0, 100.0]"


def test_what_is_equivalent_is_published_with_the_interval_within_its_margin(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "verdicts.csv").write_text(
        "liquid,temperature_K,property,species,model_a,model_b,difference,ci95_low,ci95_high,holm_low,holm_high,ci90_low,ci90_high,margin,verdict\n"
        "x,430.0,density,,a,b,-1.0,-9.4,7.4,-12.5,10.5,-8.0,6.0,9.0,equivalent\n"
        "x,430.0,density,,a,c,-5.0,-13.4,3.4,-16.5,6.5,-12.0,2.0,9.0,not distinguishable\n"
    )
    lines = runpy.run_path(str(TOP / "docs" / "publish"), run_name="publish")["verdicts"](tmp_path)
    assert "| x, 430 K | density (kg/m³) | a − b | −1.0 [−8.0, 6.0] (90 %; margin 9.0) | equivalent |" in lines
    assert "| x, 430 K | density (kg/m³) | a − c | −5.0 [−16.5, 6.5] | not distinguishable |" in lines
