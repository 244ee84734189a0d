"""The crate of a run: what the folder of results holds, as RO-Crate's own library reads it back."""

import hashlib
from pathlib import Path

import polars as pl
import pytest
from rocrate.rocrate import ROCrate

from ionmelt.report.crate import main

TRACE = "task_id\tname\tsubmit\n2\tRUN_MD (x)\t2026-11-29 00:17:00.000\n1\tPLAN_STUDY (x)\t2026-11-29 00:16:52.228\n3\tRUN_MD (y)\t-\n"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for name, text in {
        "report.html": "<html></html>", "models/mace-eq-s1/model.json": "{}", "dataset/test.extxyz": "1\n\nLi 0 0 0\n",
        "pipeline_info/trace.tsv": TRACE, "pipeline_info/.running": "", "earlier/models/old/model.json": "{}",
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    versions = pl.DataFrame(
        {"process": ["A", "B", "B"], "library": ["ase", "ase", "mace-torch"], "version": ["3.29.0", "3.29.0", "0.3.16"]}
    )
    (folder / "tables").mkdir()
    versions.write_parquet(folder / "tables" / "versions.parquet")
    return folder


def test_each_file_with_its_sum_and_the_run_that_made_it(results: Path, tmp_path: Path) -> None:
    study = tmp_path / "mine.yaml"
    study.write_text("name: mine\n")
    assert main([str(results), "--study", str(study)]) == 0
    crate = ROCrate(results)
    made = {entity.id: entity for entity in crate.data_entities}
    files = {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}
    expected = files - {"ro-crate-metadata.json", "pipeline_info/.running", "earlier/models/old/model.json"}
    assert {name for name in made if not name.endswith("/")} == expected
    for name in expected:
        data = (results / name).read_bytes()
        assert made[name]["sha256"] == hashlib.sha256(data).hexdigest()
        assert made[name]["contentSize"] == str(len(data))
        assert "/" in made[name]["encodingFormat"]
    (run,) = crate.get_by_type("CreateAction")
    assert run["startTime"].startswith("2026-11-29T00:16:52")
    assert run["object"][0]["text"] == "name: mine\n"
    assert {entity.id for entity in run["result"]} == {"report.html", "tables/", "dataset/", "models/"}
    used = run["instrument"]["softwareRequirements"]
    assert {(entity["name"], entity["version"]) for entity in used} == {("ase", "3.29.0"), ("mace-torch", "0.3.16")}
    assert crate.root_dataset["conformsTo"].id == "https://w3id.org/ro/wfrun/process/0.5"


def test_a_second_time_gives_the_same_but_for_what_changed(results: Path) -> None:
    assert main([str(results)]) == 0
    (results / "dataset" / "test.extxyz").write_text("another")
    assert main([str(results)]) == 0
    made = {entity.id: entity for entity in ROCrate(results).data_entities}
    assert made["dataset/test.extxyz"]["sha256"] == hashlib.sha256(b"another").hexdigest()
    assert "ro-crate-metadata.json" not in made


def test_a_folder_without_results_is_refused(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (results / "report.html").unlink()
    assert main([str(results)]) == 2
    assert capsys.readouterr().err == f"error: {results}: no results of a finished run: report.html is not there\n"
    assert main([str(results), "--study", "absent.yaml"]) == 2
    assert capsys.readouterr().err == "error: --study: absent.yaml: no such file\n"
    assert not (results / "ro-crate-metadata.json").exists()


def test_a_study_that_is_no_text_is_a_line(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (results.parent / "study.yaml").write_bytes(b"\xff\xfe\x00")
    assert main([str(results), "--study", str(results.parent / "study.yaml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {results.parent}/study.yaml: not readable as text")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("tables/versions.parquet", b"", "not readable as Parquet"),
        ("pipeline_info/trace.tsv", b"\xff\xfe\x00", "not readable as a trace of Nextflow"),
        ("pipeline_info/trace.tsv", b"name\tprocess\nSAMPLE\tx\n", "not readable as a trace of Nextflow"),
        ("pipeline_info/trace.tsv", b"name\tsubmit\nSAMPLE\n", "names no task"),
    ],
)
def test_damaged_results_are_a_line(
    results: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, words: str
) -> None:
    (results / name).write_bytes(content)
    assert main([str(results)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {results / name}: {words}")
