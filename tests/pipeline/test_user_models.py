"""Weights of the user's own in the pipeline: tuned, and refused where they are something else."""

import hashlib
import re
import zipfile
from pathlib import Path

import pytest
from pipeline_study import without_training

TUNED_MODELS = """\
models:
  - {{id: naive, framework: mace, weights: tuned/own.model, sha256: {model}, licence: MIT, theory: GFN1-xTB, mode: finetune,
     epochs: 1}}
  - {{id: replay, framework: mace, weights: tuned/own.model, sha256: {model}, licence: MIT, theory: GFN1-xTB, mode: replay,
     replay_frames: tuned/own.extxyz, epochs: 1}}
  - {{id: dpa, framework: deepmd, weights: tuned/dpa.pt, sha256: {dpa}, licence: MIT, theory: GFN1-xTB, mode: finetune,
     steps: 1}}
  - {{id: scratch, framework: mace, epochs: 1}}
"""


def with_a_side_effect(studies: Path, trace: Path) -> str:
    """Write mine/bad.model, a pickle that makes a file; return a model of a study with its right sha256."""
    (studies / "mine").mkdir(exist_ok=True)
    bad = studies / "mine" / "bad.model"
    # as torch.save writes it: a zip file with a pickle that calls os.system
    pickled = (
        b"\x80\x02cposix\nsystem\nX"
        + len(f"touch {trace}").to_bytes(4, "little")
        + f"touch {trace}".encode()
        + b"\x85R."
    )
    with zipfile.ZipFile(bad, "w") as file:
        for name, content in (("data.pkl", pickled), ("version", b"3\n"), ("byteorder", b"little")):
            file.writestr(f"bad/{name}", content)
    digest = hashlib.sha256(bad.read_bytes()).hexdigest()
    return f"{{id: bad, framework: mace, weights: mine/bad.model, sha256: {digest}, licence: MIT, theory: PBE, mode: zero-shot}}"


@pytest.mark.all
@pytest.mark.parametrize(("teaches", "blamed"), [(False, "models: bad"), (True, "labels.model")])
def test_weights_that_are_something_else_are_one_line(teaches: bool, blamed: str, pipeline) -> None:
    """Refused by name, and nothing of them runs, be they a model of the study or what labels its frames."""
    studies, trace = pipeline.folder / "studies", pipeline.folder / "it_ran"
    entry = with_a_side_effect(studies, trace)
    teaching = "labels: {engine: model, model: bad}\nsampling: {eq: {frames: 4}}\n" if teaches else ""
    student = "  - {id: clp, framework: classical}\n" if teaches else ""
    text = f"{without_training(studies)}{teaching}models:\n  - {entry}\n{student}"
    (studies / "bad.yaml").write_text(text)
    screen = pipeline.run("--study", "studies/bad.yaml", "--outdir", "bad", "-resume", fails=True)
    passing = ("Killing running tasks", "Submitted process")  # of tasks that were begun just before
    *said, last = [line for line in screen.strip().splitlines() if not any(words in line for words in passing)]
    assert (
        sum(f"{blamed}: weights: bad.model was not opened: it would call posix.system" in line for line in said) == 1
    ), screen
    assert last.startswith("to go on: the same command with -resume")
    assert "Traceback" not in screen
    assert not trace.exists()


@pytest.mark.all
def test_models_that_are_tuned_are_given_their_weights(pipeline) -> None:
    folder = pipeline.folder / "studies" / "tuned"
    folder.mkdir(exist_ok=True)
    digests = {}
    for name, file in (("model", "own.model"), ("dpa", "dpa.pt"), ("frames", "own.extxyz")):
        (folder / file).write_text(file)
        digests[name] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    study = (pipeline.folder / "studies" / "test.yaml").read_text()
    text = re.sub(r"^models:\n(?:  .*\n)+", TUNED_MODELS.format(**digests), study, flags=re.M)
    (folder.parent / "tuned.yaml").write_text(text)
    pipeline.run("--study", "studies/tuned.yaml", "--outdir", "tuned", "-stub", "-work-dir", "work-tuned")
    staged = {}
    for script in (pipeline.folder / "work-tuned").glob("*/*/.command.run"):
        task = re.search(r"^### name: '(?:\w+:)*(TRAIN_\w+) \((.*)\)'", script.read_text(), re.M)
        if task:
            files = {"own.model", "dpa.pt", "own.extxyz", "checkpoints.txt"}
            staged[task[2]] = {path.name for path in script.parent.iterdir()} & files
    assert staged == {
        "naive-both-s1": {"own.model", "checkpoints.txt"},
        "replay-both-s1": {"own.model", "own.extxyz", "checkpoints.txt"},
        "dpa-both-s1": {"dpa.pt", "checkpoints.txt"},
        "scratch-both-s1": {"checkpoints.txt"},
    }


@pytest.mark.all
def test_a_model_that_labels_is_imported_first(pipeline) -> None:
    """Frames are labelled, and priced, with its folder; it is no model of the results."""
    studies = pipeline.folder / "studies"
    text = re.sub(
        r"^labels: .*$", "labels: {engine: model, model: sevennet-0}", (studies / "test.yaml").read_text(), flags=re.M
    )
    (studies / "distilled.yaml").write_text(text)
    given = ("--study", "studies/distilled.yaml", "--outdir", "distilled", "-work-dir", "work-distilled")
    for more, process in (((), "LABEL_FRAMES"), (("--estimate", "true"), "ESTIMATE_LABELS")):
        pipeline.run(*given, *more, "-stub")
        done = {row["name"].split(" ")[0] for row in pipeline.trace("distilled")}
        assert {"IMPORT_TEACHER", process} <= done
        tasks = [row for row in pipeline.trace("distilled") if row["name"].startswith(process)]
        assert tasks
        for row in tasks:
            assert (Path(row["workdir"]) / "teacher" / "labels" / "model.json").exists()
    assert "IMPORT_MODEL" not in done
    assert not (pipeline.folder / "distilled" / "models" / "labels").exists()
