"""Two results side by side: the interval of a difference covers, each side is told apart, and nothing is left out."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from ionmelt.compare import two_studies
from ionmelt.tables.published import TABLES


def test_the_interval_of_a_difference_covers() -> None:
    """Of means of skewed and of normal samples, each with the usual interval of Student's t."""
    rng = np.random.default_rng(1)
    inside, trials, n = 0, 2000, 12
    for _ in range(trials):
        ends = []
        for truth, width in ((5.0, 1.0), (7.0, 3.0)):
            sample = rng.normal(truth, width, n)
            half = stats.t.ppf(0.975, n - 1) * sample.std(ddof=1) / np.sqrt(n)
            ends.append((sample.mean(), sample.mean() - half, sample.mean() + half))
        _, low, high = two_studies.combined(*ends)
        inside += low <= 2.0 <= high
    assert stats.binomtest(inside, trials, 0.95).pvalue > 1e-3 or inside / trials > 0.95
    assert inside / trials < 0.98  # and is not wider than it need be


def test_the_interval_is_that_of_normal_numbers_and_turns_with_its_sides() -> None:
    a, b = (10.0, 8.0, 13.0), (11.0, 10.5, 11.5)
    assert two_studies.combined((0, -3, 3), (5, 1, 9)) == (5, 0, 10)
    forth, back = two_studies.combined(a, b), two_studies.combined(b, a)
    assert forth == pytest.approx((-back[0], -back[2], -back[1]))


def results(folder: Path, study: dict, densities: dict[str, tuple]) -> Path:
    """Write what is read of a folder of results; densities: of a model value, low, high, converged."""
    tables = folder / "tables"
    tables.mkdir(parents=True)
    rows = [
        {"liquid": "salt", "temperature_K": 400.0, "property": "density", "model": model, "value": value, "ci95_low": low,
         "ci95_high": high, "unit": "kg/m3", "converged": converged, "runs": 3, "planned_runs": 3}
        for model, (value, low, high, converged) in densities.items()
    ]  # fmt: skip
    pl.DataFrame(rows, schema=TABLES["summary"]).write_parquet(tables / "summary.parquet")
    ends = pl.DataFrame({"run_id": ["a", "b"], "end": ["completed", "nan"]})
    ends.write_parquet(tables / "survival.parquet")
    pl.DataFrame({"process": ["RUN_MD"], "cpu_s": [7200.0]}).write_parquet(tables / "cost.parquet")
    libraries = [("TRAIN_MODEL", "torch", "2.9"), ("RUN_MD", "torch", "2.9"), ("RUN_MD", "numpy", "2.4")]
    write_versions(folder, libraries)
    (folder / "study.json").write_text(json.dumps(study))
    return folder


def write_versions(folder: Path, libraries: list[tuple[str, str, str]]) -> None:
    """Write the table of the libraries of each process, with their versions."""
    versions = pl.DataFrame(libraries, ["process", "library", "version"], orient="row")
    versions.write_parquet(folder / "tables" / "versions.parquet")


def test_what_changed_is_told_from_what_did_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = [{"id": "m", "channels": 16}, {"id": "clp"}]
    a = results(
        tmp_path / "a",
        {"name": "s", "md": {"npt_ps": 1.0}, "models": models},
        {"m": (1000.0, 990.0, 1010.0, True), "clp": (900.0, 850.0, 950.0, True), "poor": (1.0, 0.0, 2.0, False),
         "gone": (1.0, 0.0, 2.0, True)},
    )  # fmt: skip
    b = results(
        tmp_path / "b",
        {"name": "s", "md": {"npt_ps": 2.0}, "models": [models[1], models[0] | {"channels": 32}], "seeds": [1]},
        {"m": (1100.0, 1090.0, 1110.0, True), "clp": (910.0, 860.0, 960.0, True), "poor": (100.0, 99.0, 101.0, True),
         "new": (1.0, 0.0, 2.0, True)},
    )  # fmt: skip
    assert two_studies.main([str(a), str(b), "--out", str(tmp_path / "both.csv")]) == 0
    screen = capsys.readouterr().out.splitlines()
    changes = [line.strip() for line in screen if "->" in line and line.startswith("  ")]
    assert changes == ["md.npt_ps: 1.0 -> 2.0", "models[m].channels: 16 -> 32", "seeds: - -> [1]"]
    assert "1 of 2 runs broke; 2 CPU-hours" in screen[0]
    rows = {row["model"]: row for row in pl.read_csv(tmp_path / "both.csv").to_dicts()}
    verdicts = {model: row["verdict"] for model, row in rows.items()}
    assert verdicts == {
        "m": "changed", "clp": "not distinguishable", "poor": "not converged", "gone": "only in A", "new": "only in B"
    }  # fmt: skip
    assert rows["m"]["difference"] == 100
    assert (rows["m"]["low"], rows["m"]["high"]) == pytest.approx((100 - 200**0.5, 100 + 200**0.5))
    (line,) = [line for line in screen if line.endswith("  changed")]
    assert "1000 [990, 1010]" in line and "1100 [1090, 1110]" in line and "100 [86, 114]" in line


def test_an_interval_without_meaning_is_not_written_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As nowhere else: few runs with few degrees of freedom give an interval of any width."""
    folder = results(tmp_path / "a", {"name": "s"}, {"m": (1000.0, -4.3e13, 4.3e20, True)})
    assert two_studies.main([str(folder), str(folder)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Density")]
    assert line.count("(an interval without meaning)") == 3 and "0000000" not in line


def test_runs_that_left_nothing_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results(tmp_path / "a", {"name": "s"}, {"m": (1.0, 0.0, 2.0, True)})
    path = folder / "tables" / "survival.parquet"
    whole = pl.read_parquet(path)
    pl.concat([whole, whole.head(1).with_columns(end=pl.lit("missing"))]).write_parquet(path)
    assert two_studies.main([str(folder), str(folder)]) == 0
    assert f"of {whole.height + 1} runs broke; 1 missing; " in capsys.readouterr().out


def test_a_library_of_another_version_is_a_change_and_fewer_models_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (results(tmp_path / name, {"name": "s"}, {"m": (1.0, 0.0, 2.0, True)}) for name in "ab")
    two_models = [("RUN_MD", "numpy", "2.4"), ("RUN_MD", "numpy", "2.3"), ("LABEL_FRAMES", "tblite", "0.8")]
    write_versions(b, [("TRAIN_MODEL", "torch", "2.10"), ("RUN_MD", "torch", "2.10"), *two_models])
    assert two_studies.main([str(a), str(b)]) == 0
    screen = capsys.readouterr().out.splitlines()
    said = screen[screen.index("in the libraries (A -> B):") + 1 :]
    assert said[: said.index("")] == ["  torch: 2.9 -> 2.10 (RUN_MD, TRAIN_MODEL)"]
    assert two_studies.main([str(a), str(a)]) == 0
    assert "in the libraries" not in capsys.readouterr().out


def test_a_damaged_study_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results(tmp_path / "a", {}, {"m": (1.0, 0.0, 2.0, True)})
    (folder / "study.json").write_text("")
    assert two_studies.main([str(folder), str(folder), "--out", str(tmp_path / "x.csv")]) == 2
    screen = capsys.readouterr()
    assert "study.json: not readable" in screen.err and len(screen.err.splitlines()) == 1 and not screen.out
    assert not (tmp_path / "x.csv").exists()


def test_what_holds_no_results_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert two_studies.main([str(tmp_path), str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}: holds no tables/")


def published(folder: Path) -> Path:
    """Leave the tables of a folder of results as a published study has them: CSV alone."""
    for path in (folder / "tables").glob("*.parquet"):
        pl.read_parquet(path).write_csv(path.with_suffix(".csv"))
        path.unlink()
    return folder


def test_a_published_study_is_compared_as_its_results_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"m": (1000.0, 990.0, 1010.0, True), "poor": (1.0, 0.0, 2.0, False), "none": (None, None, None, False)}
    later = {"m": (1100.0, 1090.0, 1110.0, True), "poor": (100.0, 99.0, 101.0, True), "none": (1.0, 0.0, 2.0, True)}
    folders = [results(tmp_path / name, {"name": "s"}, of) for name, of in (("a", values), ("b", later))]
    screens = []
    for folder in (None, *folders):
        if folder is not None:
            published(folder)
        assert two_studies.main([*map(str, folders), "--out", str(tmp_path / "both.csv")]) == 0
        screens.append((capsys.readouterr().out, (tmp_path / "both.csv").read_text()))
    assert screens[0] == screens[1] == screens[2] and "  changed" in screens[0][0]


@pytest.mark.parametrize(
    ("name", "spoil", "words"),
    [
        ("summary.parquet", lambda content: content[:200], "summary.parquet: not readable as Parquet (is it cut off?)"),
        ("cost.parquet", lambda content: b"", "cost.parquet: not readable as Parquet"),
        ("summary.csv", lambda content: content[:-9], "summary.csv: not readable as CSV (is it cut off?)"),
        ("survival.csv", lambda content: content.replace(b"end", b"odd"), "it has no column end"),
        ("cost.csv", lambda content: content.replace(b"7200.0", b"long"), "cost.csv: not readable as CSV"),
    ],
)
def test_a_damaged_table_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, spoil: Callable[[bytes], bytes], words: str
) -> None:
    folder = results(tmp_path / "a", {}, {"m": (1.0, 0.0, 2.0, True)})
    path = (published(folder) if name.endswith("csv") else folder) / "tables" / name
    path.write_bytes(spoil(path.read_bytes()))
    assert two_studies.main([str(folder), str(folder)]) == 2
    screen = capsys.readouterr()
    assert words in screen.err and len(screen.err.splitlines()) == 1 and not screen.out


def test_a_place_to_write_to_that_is_none_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results(tmp_path / "a", {}, {"m": (1.0, 0.0, 2.0, True)})
    for out, words in ((tmp_path / "no" / "x.csv", "there is no folder"), (tmp_path, "Is a directory")):
        assert two_studies.main([str(folder), str(folder), "--out", str(out)]) == 2
        screen = capsys.readouterr()
        assert words in screen.err and len(screen.err.splitlines()) == 1 and not screen.out
