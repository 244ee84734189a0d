"""docs/renew: a published study with the words of today, whose numbers are those of its tables and nothing else."""

import re
import runpy
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

TOP = Path(__file__).parents[3]
STUDY = TOP / "docs" / "results" / "distillation"
JUDGED = ("summary.csv", "verdicts.csv", "distillation.csv")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    """Return what the script defines."""
    return runpy.run_path(str(TOP / "docs" / "renew"))


def section(report: str, name: str) -> str:
    """Return a section of a report."""
    match = re.search(rf'<section id="{name}"[^>]*>.*?</section>', report, re.S)
    assert match is not None, name
    return match[0]


def test_numbers_stay_and_what_cannot_be_made_stands_as_it_was(script: dict[str, Any], tmp_path: Path) -> None:
    folder = shutil.copytree(STUDY, tmp_path / "salt")
    (folder / "recommendation.txt").write_text("Words of then.\n")
    old = script["renew"](folder)
    for path in (STUDY / "tables").iterdir():
        if path.name not in JUDGED:
            assert (folder / "tables" / path.name).read_bytes() == path.read_bytes()
    there, made = (pl.read_csv(path / "tables" / "summary.csv") for path in (STUDY, folder))
    numbers = pl.all().exclude("converged", "reason", "needed_ps")
    assert_frame_equal(there.select(numbers), made.select(numbers), check_row_order=False, rel_tol=1e-9)
    before, after = (path.joinpath("report.html").read_text() for path in (STUDY, folder))
    assert section(after, "errors") == section(before, "errors") and "Errors" in old and "Density" not in old
    assert 'id="fig-parity"' in after and set(script["carried"](before, "figures")) == set(
        script["carried"](after, "figures")
    )
    assert "These sections stand as they were first published: " in after and f"{'; '.join(old)}." in after
    index, words = (folder / "index.md").read_text(), (folder / "recommendation.txt").read_text().splitlines()
    assert (
        all(f"> {line}" in index for line in words)
        and "Words of then" not in index
        and words[0] in after.replace("&#39;", "'")
    )
    assert re.search(r"\| written anew \| by commit \w+ of ", index)


@pytest.mark.parametrize("name", ["salt", "", "../results", "docs/results/nacl"])
def test_what_is_no_published_study_is_a_line(
    script: dict[str, Any], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script["main"]([name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: NAME: {name}: is no published study; there are demo, distillation, ")


def test_a_column_that_no_section_needs_makes_no_section_old(script: dict[str, Any], tmp_path: Path) -> None:
    folder = shutil.copytree(STUDY.parent / "demo", tmp_path / "demo")
    old = script["renew"](folder)
    assert not {"Density", "Diffusion", "References"} & set(old)
    read = "".join(path.read_text() for path in (TOP / "bin/ionmelt/report").rglob("*.py"))
    assert not [column for column in ("log_slope_error", "bend", "composition_off") if f'"{column}"' in read]


def test_a_number_that_the_tables_do_not_give_is_refused(script: dict[str, Any], tmp_path: Path) -> None:
    folder = shutil.copytree(STUDY, tmp_path / "salt")
    table = folder / "tables" / "density.csv"
    lines = table.read_text().splitlines()
    head, row = lines[0].split(","), lines[1].split(",")
    row[head.index("density_kg_m3")] = str(float(row[head.index("density_kg_m3")]) + 0.001)
    table.write_text("\n".join([lines[0], ",".join(row), *lines[2:]]) + "\n")
    with pytest.raises(script["RenewError"], match="do not give the numbers"):
        script["renew"](folder)
