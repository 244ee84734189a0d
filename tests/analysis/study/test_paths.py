"""Files that a study names, and the folder of its results: what is not there, or not to be opened."""

import json
import os
from pathlib import Path

import pytest
import yaml
from planned_studies import (
    ZERO,
    Planned,
    Refusal,
    Refused,
    Spoil,
    class_model,
    demo,
    each_of,
    liquid,
    model,
    rows,
    study,
)

REFUSALS: list[Refusal] = [
    ("unprintable_path", study(references=["\x1f"]), [
        "references[0]: '\\x1f': give a path without quotes, brackets, commas or any of $ ; & | < > * ? ! # \\"]),
    ("force_field_on_the_web", liquid(force_field="http://example.org/ff.xml"), [
        "liquids[0].force_field: 'http://example.org/ff.xml': nothing is fetched from http: give a path, or an address in an "
        "object store (s3, gs, az)"]),
    ("weights_on_the_web", model(0, weights="ftp://example.org/m", sha256=ZERO, licence="MIT", theory="GFN1-xTB", mode="finetune"), [
        "models[0].weights: 'ftp://example.org/m': nothing is fetched from ftp: give a path, or an address in an object store "
        "(s3, gs, az)"]),
    ("force_field_that_never_ends", lambda s: (os.mkfifo("pipe.xml"), liquid(force_field="pipe.xml")(s)), [
        "liquids[0].force_field: 'pipe.xml': {here}/pipe.xml is no regular file"]),
    ("path_out_of_the_folder", study(references=["../study.yaml"]), [
        "references[0]: '../study.yaml': leaves the folder of the study: give the absolute path, so that it is plain to see"]),
    ("link_out_of_the_folder", lambda s: (
        Path("out.csv").symlink_to("/etc/hostname"), study(references=["out.csv"])(s)), [
        "references[0]: 'out.csv': leaves the folder of the study: give the absolute path, so that it is plain to see"]),
]  # fmt: skip


@each_of(REFUSALS)
def test_refusal(refused: Refused, spoil: Spoil, lines: list[str]) -> None:
    refused(spoil, lines)


def test_files_in_an_object_store_are_named_as_they_are(planned: Planned) -> None:
    content = demo()
    class_model(arguments={"a": "nan", "b": 1e-5})(content)
    liquid(force_field="s3://bucket/ff.xml")(content)
    assert planned(yaml.safe_dump(content).replace("1.0e-05", "1e-5")) == (0, [])
    assert {"role": "force_field", "id": "pyr14bf4-r1", "path": "s3://bucket/ff.xml"} in rows("files.csv")
    assert json.loads(next(Path("plan/imports").glob("*.json")).read_text())["arguments"] == {"a": "nan", "b": 1e-5}


@pytest.mark.parametrize(
    ("outdir", "line"),
    [
        ("/proc/ionmelt/a", "outdir: '/proc/ionmelt/a': cannot be written (No such file or directory): give a folder that you may write to"),
        ("study.yaml/results", "outdir: 'study.yaml/results': {here}/study.yaml is a file: give a folder"),
        ("study.yaml", "outdir: 'study.yaml': {here}/study.yaml is a file: give a folder"),
        ("dangling", "outdir: 'dangling': {here}/dangling is a link to nothing"),
        ("results", None),
        ("new/results", None),
        ("s3://bucket/results", None),
        ("/not/mounted/here", None),
    ],
)  # fmt: skip
def test_output_folder(planned: Planned, tmp_path: Path, outdir: str, line: str | None) -> None:
    Path("dangling").symlink_to("nowhere")
    expected = (2, [line.replace("{here}", str(tmp_path))]) if line else (0, [])
    assert planned(demo(), "--outdir", outdir) == expected
    assert not Path("results").exists()


def test_files_that_cannot_be_seen_are_left_to_nextflow(planned: Planned) -> None:
    """On a cloud, or inside a container, the study's neighbours are not there to be looked at."""
    content = demo()
    content["models"][0] |= {
        "weights": "w.model",
        "sha256": ZERO,
        "licence": "MIT",
        "theory": "PBE",
        "mode": "zero-shot",
    }
    assert planned(content, "--base", "s3://bucket/studies")[0] == 0
    assert rows("files.csv") == [{"role": "own_model", "id": "mace", "path": "s3://bucket/studies/w.model"}]
    assert planned(content, "--base", "/data/someone", "--files-unseen", out="other")[0] == 0
    content["references"] = ["mine.csv"]
    assert planned(content, "--base", "/data/someone", "--files-unseen", out="third") == (
        2, ["references[0]: 'mine.csv': cannot be read from here: put it into assets/references"])  # fmt: skip
