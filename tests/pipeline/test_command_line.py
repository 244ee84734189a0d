"""What the user is told of a command that is wrong, and by --help."""

import fcntl
import json
import re
from pathlib import Path

import pytest
from pipeline_study import STUDY
from runs import Pipeline, copy_project

STORES = """\
include {{ keep_labels; label_store; usable_store }} from './modules/label_store.nf'
workflow {{
    println "kept: ${{usable_store('{good}')}}"
    store = usable_store('/proc/no_store')
    println "instead: ${{store}}, ${{label_store(store).exists()}}"
    keep_labels(channel.of('{task}/label_store/t1/new.jsonl', '{task}/label_store/t1/there.jsonl').map {{ name -> file(name) }}, '{good}')
    keep_labels(channel.of('{task}/label_store/t2/a.jsonl', '{task}/label_store/t2/b.jsonl').map {{ name -> file(name) }}, '{good}')
}}
"""


def test_a_mistake_is_one_line_and_the_last_thing_shown(pipeline) -> None:
    """How what PLAN_STUDY refuses reaches the screen, here two mistakes; all that it refuses is tested beside it."""
    study = (pipeline.folder / "studies" / "test.yaml").read_text()
    for old, new in (("name:", "colour: red\nname:"), ("temperatures_K: [", "temperatures_K: [25, ")):
        assert old in study
        study = study.replace(old, new, 1)
    (pipeline.folder / "studies" / "mistake.yaml").write_text(study)
    screen = pipeline.run("--study", "studies/mistake.yaml", "--outdir", "mistake", fails=True)
    last = screen.strip().splitlines()[-2:]
    for named in ("colour: unknown field", "25 is below 100 K: is it 25 degC?"):
        assert sum(named in line for line in last) == 1, screen
    assert "Traceback" not in screen
    assert "Submitted process > BUILD_LIQUID" not in screen


@pytest.mark.all
def test_an_unknown_parameter_is_refused(pipeline) -> None:
    screen = pipeline.run("--studdy", "studies/test.yaml", fails=True)
    assert "--studdy: unknown parameter" in screen.strip().splitlines()[-1]
    assert "Submitted process" not in screen


@pytest.mark.all
def test_a_label_store_that_cannot_be_written_is_a_warning_and_labels_go_on(pipeline, tmp_path: Path) -> None:
    """No folder can be made in /proc, nor below a file, which is where the store should have the labels of theory t2."""
    for name in ("t1/new.jsonl", "t1/there.jsonl", "t2/a.jsonl", "t2/b.jsonl"):
        path = tmp_path / "task" / "label_store" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("new\n")
    good = tmp_path / "good"
    (good / "t1").mkdir(parents=True)
    (good / "t1" / "there.jsonl").write_text("there\n")
    (good / "t2").write_text("in the way\n")
    script = pipeline.folder / "stores.nf"
    script.write_text(STORES.format(good=good, task=tmp_path / "task"))
    screen = pipeline.run(program=("./nextflow", "run", "stores.nf"))
    script.unlink()
    assert f"kept: {good}" in screen
    assert re.search(r"instead: \S+/label_store, true", screen), screen
    warnings = [line for line in screen.splitlines() if "--label_store" in line]
    assert len(warnings) == 2, screen
    assert "/proc/no_store: cannot be written" in warnings[0]
    assert f"{good}: cannot be written" in warnings[1]
    assert (good / "t1" / "new.jsonl").read_text() == "new\n"
    assert (good / "t1" / "there.jsonl").read_text() == "there\n", "a shard that was copied before is not copied again"


@pytest.mark.all
def test_a_label_store_that_cannot_be_is_refused(pipeline) -> None:
    screen = pipeline.run(*STUDY, "--label_store", "main.nf/store", fails=True)
    assert "--label_store: main.nf/store: no folder can be made there: give another, or none" in screen
    assert "Submitted process" not in screen


def test_a_second_run_into_the_same_results_leaves_the_records_of_the_first(pipeline) -> None:
    """Nextflow would begin a new trace and write new reports over them before the pipeline can refuse the run."""
    records = pipeline.folder / "held" / "pipeline_info"
    records.mkdir(parents=True)
    for name in ("trace.tsv", "report.html", "timeline.html", "dag.html"):
        (records / name).write_text("of the first run\n")
    with (records / ".running").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        screen = pipeline.run("-stub", "--outdir", "held", fails=True)
    assert "--outdir: held: another run is writing its results there: give another folder" in screen
    assert "Submitted process" not in screen
    texts = {path.name: path.read_text() for path in records.iterdir() if path.name != ".running"}
    assert set(texts) == {"trace.tsv", "report.html", "timeline.html", "dag.html"}
    assert set(texts.values()) == {"of the first run\n"}


@pytest.mark.all
def test_help_lists_every_parameter(pipeline) -> None:
    records = pipeline.folder / "results" / "pipeline_info"
    before = sorted(records.glob("*")) if records.exists() else None
    screen = pipeline.run("--help")
    # the records there may be those of a run that lives
    assert (sorted(records.glob("*")) if records.exists() else None) == before
    schema = json.loads((pipeline.folder / "nextflow_schema.json").read_text())
    for group in schema["$defs"].values():
        for name in group["properties"]:
            assert f"--{name}" in screen
    assert "Submitted process" not in screen


@pytest.mark.all
def test_a_checkout_may_lie_in_a_folder_with_brackets(tmp_path) -> None:
    """To Nextflow's file() they are a pattern of names."""
    screen = Pipeline(copy_project(tmp_path / "a [x] checkout")).run("-profile", "test", "-preview")
    assert "ERROR" not in screen
