"""The pipeline as its user sees it: run, resumed, edited, killed and misused, on a small real study."""

import hashlib
import json
import os
import re
import shutil
import time
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from ase import Atoms
from ase.units import Bohr, GPa, Hartree
from polars.testing import assert_frame_equal
from runs import TABLES, assert_same_tables, tables
from used_files import BIN, all_imports

from ionmelt.files import SUMS, check
from ionmelt.frame import read_frames

PROJECT = Path(__file__).resolve().parents[2]

STUDY = ("--study", "studies/test.yaml")
STAGES = (
    "PLAN_STUDY", "BUILD_LIQUID", "EQUILIBRATE", "SAMPLE_FRAMES", "LABEL_FRAMES", "SPLIT_DATASET", "TRAIN_MODEL",
    "EXPORT_MODEL", "EVALUATE_MODEL", "RUN_MD", "MEASURE_LIQUID", "COMPARE_MODELS",
)  # fmt: skip
MODELS = {"classical", "mace", "deepmd"}


def test_run_leaves_the_tables_of_the_contract(results: Path) -> None:
    found = tables(results)
    for name in ("density", "diffusion", "survival"):
        assert set(found[name]["framework"]) == MODELS, name
    assert {"liquid", "model", "dataset", "seed", "temperature_K", "replica", "density_kg_m3",
            "standard_error_kg_m3", "reference_kg_m3", "n_effective", "converged"} <= set(found["density"].columns)  # fmt: skip
    assert {"species", "diffusion_m2_s", "ci95_low_m2_s", "ci95_high_m2_s", "finite_size_correction_m2_s",
            "log_slope", "converged"} <= set(found["diffusion"].columns)  # fmt: skip
    assert found["labels"].height == found["sampling"]["kept"].sum()
    assert found["labels"]["frame_id"].is_unique().all()
    # a test frame of one mixture is never a training frame of another
    splits = found["dataset"].group_by("frame_id").agg(pl.col("split").n_unique())
    assert splits["split"].max() == 1
    assert found["cost"].filter(pl.col("wall_s") > 0)["process"].n_unique() == len(STAGES) - 1
    for name in TABLES:
        assert (results / "tables" / f"{name}.csv").is_file()


def test_results_are_laid_out_as_promised(results: Path) -> None:
    assert (results / "report.html").stat().st_size > 100_000
    assert (results / "dataset" / "test.extxyz").is_file()
    assert (results / "trajectories" / "liquid.svg").read_text().startswith("<svg")
    cards = sorted((results / "models").glob("*/model.json"))
    assert {json.loads(card.read_text())["framework"] for card in cards} >= {"mace", "deepmd"}
    runs = sorted((results / "trajectories").glob("*/run.json"))
    assert len(runs) == pl.read_parquet(results / "tables" / "survival.parquet").height
    for name in ("trace.tsv", "report.html", "timeline.html", "dag.html"):
        assert (results / "pipeline_info" / name).is_file()


def test_the_last_gather_stages_one_folder_a_run(pipeline, results: Path) -> None:
    """A study of hundreds of runs must not stage thousands of files, nor trajectories, into one task."""
    (task,) = (Path(row["workdir"]) for row in pipeline.trace() if row["name"] == "COMPARE_MODELS")
    runs = pl.read_parquet(results / "tables" / "survival.parquet")["run_id"]
    assert sorted(path.name for path in (task / "measures").iterdir()) == sorted(f"{run}.measures" for run in runs)
    assert (
        len((task / "tasks.jsonl").read_text().splitlines())
        == pl.read_parquet(results / "tables" / "cost.parquet").height
    )
    assert not list(task.rglob("*.xtc"))


def test_inputs_are_only_read(pipeline, results: Path) -> None:
    """Study, assets and every folder that one task handed to another are as they were."""
    for part in ("assets", "studies"):
        for path in (PROJECT / part).rglob("*"):
            if path.is_file():
                assert path.read_bytes() == (pipeline.folder / path.relative_to(PROJECT)).read_bytes(), path
    handed = [sums.parent for sums in (pipeline.folder / "work").rglob(SUMS)]
    assert {"plan", "both", "libf4-r1", "libf4-900K-r1"} <= {folder.name for folder in handed}
    check(*handed)


def published(folder: Path) -> dict[str, bytes]:
    """Return the content of each file of results, by name, but those that say how the last run went."""
    paths = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in paths.items() if not name.startswith("pipeline_info/")}


def leave_what_another_study_left(results: Path) -> set[str]:
    """Write other content into every published file, and lay others beside them; return the names of those."""
    for name in published(results):
        (results / name).write_text("of another study, or damaged\n")
    strange = {}
    for place in ("models/other-both-s1", "trajectories/libf4-900K-r1-other", "dataset/other"):
        strange |= {f"{place}/{name}": b"other\n" for name in ("model.json", "SHA256SUMS")}
    run = next((results / "trajectories").glob("*/run.json")).parent.relative_to(results)
    for name in ("models/mace-both-s1/model.pth", f"{run}/other.xtc"):
        strange[name] = b"other\n"
    own = {"models/notes/mine.txt": b"no task made this folder\n"}
    # what lies in a folder that is published as a whole goes with it
    replaced = dict.fromkeys(("tables/other.csv", "dataset/both/other.extxyz"), b"other\n")
    for name, content in (strange | own | replaced).items():
        (results / name).parent.mkdir(exist_ok=True)
        (results / name).write_bytes(content)
    return set(strange)


@pytest.mark.all
def test_resume_runs_nothing_and_puts_right_what_lies_in_the_results(pipeline, results: Path) -> None:
    before = published(results)
    assert {name.split("/")[0] for name in before} == {"report.html", "tables", "dataset", "models", "trajectories"}
    strange = leave_what_another_study_left(results)
    screen = pipeline.run(*STUDY, "-resume")
    assert pipeline.executed() == set()
    after = published(results)
    aside = {name: after.pop(name) for name in list(after) if name.startswith("earlier/")}
    assert aside == {f"earlier/{name}": b"other\n" for name in strange}
    assert after.pop("models/notes/mine.txt") == b"no task made this folder\n"
    assert after == before
    assert len(re.findall(r"^not of this study: .* and 2 more: now in .*/earlier$", screen, re.M)) == 1, screen
    check(*(sums.parent for sums in results.rglob(SUMS) if "earlier" not in sums.parts))
    shutil.rmtree(results / "earlier")
    shutil.rmtree(results / "models" / "notes")


@pytest.mark.all
def test_a_change_of_md_keeps_labels_and_models(pipeline, results: Path) -> None:
    study = (pipeline.folder / "studies" / "test.yaml").read_text()
    changed = re.sub(r"npt_ps: *([0-9.]+)", lambda match: f"npt_ps: {float(match[1]) * 1.5:g}", study)
    assert changed != study
    (pipeline.folder / "studies" / "longer.yaml").write_text(changed)
    pipeline.run("--study", "studies/longer.yaml", "--outdir", "longer", "-resume")
    repeated = {row["name"] for row in pipeline.trace("longer") if row["status"] != "CACHED"}
    assert {name.split(" ")[0] for name in repeated} == {"PLAN_STUDY", "RUN_MD", "MEASURE_LIQUID", "COMPARE_MODELS"}


@pytest.mark.all
def test_an_edited_shared_file_reruns_exactly_its_users(pipeline, results: Path) -> None:
    shared = pipeline.folder / "bin" / "ionmelt/measure/series.py"
    text = shared.read_text()
    scripts = (pipeline.folder / "bin").glob("*.py")
    users = {path.stem.upper() for path in scripts if BIN / "ionmelt/measure/series.py" in all_imports(BIN / path.name)}
    assert users
    try:
        shared.write_text(text + "\n# an edit that changes no result\n")
        pipeline.run(*STUDY, "-resume")
        # the report is made again because the repeated tasks cost other seconds
        assert pipeline.executed() == users | {"COMPARE_MODELS"}
    finally:
        shared.write_text(text)


def assert_same_results(left: Path, right: Path) -> None:
    for path in sorted((left / "dataset").rglob("*")):
        if path.is_file() and path.suffix != ".parquet":
            assert path.read_bytes() == (right / path.relative_to(left)).read_bytes(), path
    assert_same_tables(left, right)


@pytest.mark.long
def test_two_runs_from_nothing_agree(pipeline, results: Path) -> None:
    """One of them was never killed."""
    pipeline.run(*STUDY, "--outdir", "again", "-work-dir", "work-again", "--label_store", "store-again")
    assert_same_results(results, pipeline.folder / "again")


@pytest.mark.all
@pytest.mark.budget(2400, hangs_s=3600)
def test_killed_in_every_stage_and_resumed(pipeline, results: Path) -> None:
    """What this run from nothing leaves is what the other left, though they were killed elsewhere."""
    # Without a store a chunk that was killed is labelled from its start, so that even its rounding is the same.
    place = ("--outdir", "killed", "-work-dir", "work-killed", "--label_store", "none")
    for number, stage in enumerate(STAGES):
        pipeline.kill_in(stage, *STUDY, *place, *(["-resume"] if number else []))
    pipeline.run(*STUDY, *place, "-resume")
    assert_same_results(results, pipeline.folder / "killed")


def labels_only(pipeline) -> tuple[str, str]:
    """Return the arguments for a study whose labels are those of the small one, and that does little else."""
    study = (pipeline.folder / "studies" / "test.yaml").read_text()
    study = re.sub(r"  - \{id: (mace|dpmd).*?\}\n", "", study, flags=re.S)
    study = re.sub(r"npt_ps: *[0-9.]+, nvt_ps: *[0-9.]+", "npt_ps: 0.01, nvt_ps: 0", study)
    assert study.count("framework") == 1
    (pipeline.folder / "studies" / "labels.yaml").write_text(study)
    return "--study", "studies/labels.yaml"


@pytest.mark.all
def test_a_repeat_from_an_empty_work_folder_labels_nothing(pipeline, results: Path) -> None:
    pipeline.run(*labels_only(pipeline), "--outdir", "repeat", "-work-dir", "work-repeat")
    first, repeat = tables(results)["labels"], tables(pipeline.folder / "repeat")["labels"]
    assert not first["from_store"].any()
    assert repeat["from_store"].all()
    assert_frame_equal(first.drop("from_store"), repeat.drop("from_store"), check_exact=True)
    for path in sorted((results / "dataset").rglob("*.extxyz")):
        assert path.read_bytes() == (pipeline.folder / "repeat" / path.relative_to(results)).read_bytes(), path


@pytest.mark.all
def test_a_store_out_of_reach_is_used_by_copying(pipeline, results: Path) -> None:
    """As with an object store: an address, and tasks that are given copies. One entry is missing."""
    shutil.copytree(pipeline.folder / "label_store", pipeline.folder / "store-copied")
    missing = min((pipeline.folder / "store-copied").glob("*/*/*.json"))
    missing.unlink()
    (pipeline.folder / "copying.config").write_text("process.stageInMode = 'copy'\n")
    place = ("--outdir", "copied", "-work-dir", "work-copied", "-c", "copying.config")
    store = ("--label_store", (pipeline.folder / "store-copied").as_uri())
    pipeline.run(*labels_only(pipeline), *place, *store)
    labels = tables(pipeline.folder / "copied")["labels"]
    assert labels.filter(~pl.col("from_store"))["frame_id"].to_list() == [missing.stem]
    assert labels["converged"].all()
    back = json.loads(missing.read_text())
    before = json.loads((pipeline.folder / "label_store" / missing.relative_to(missing.parents[2])).read_text())
    for name in ("energy_ev", "forces_ev_a", "stress_ev_a3"):  # within what the guess leaves open
        np.testing.assert_allclose(back[name], before[name], atol=1e-4, rtol=0)
    pipeline.run(*labels_only(pipeline), *place, *store, "-resume")
    assert pipeline.executed("copied") == set(), "the store has grown, and nothing is to be repeated"


def foreign(frame: Atoms) -> str:
    """Return a labelled frame as another program might write it: hartree, GPa, anions first, other names."""
    last = np.flatnonzero(frame.arrays["ion"] == "li")
    order = [*np.setdiff1d(np.arange(len(frame)), last), *last]
    info = {key: frame.info[key] for key in ("kind", "recipe", "scan_scale") if key in frame.info}
    words = " ".join(f"{key}={value}" for key, value in info.items())
    stress = " ".join(f"{x:.12f}" for x in np.ravel(frame.info["REF_stress"]) / -GPa)
    lattice = " ".join(f"{x:.8f}" for x in frame.cell.array.ravel())
    lines = [
        str(len(frame)),
        f'Lattice="{lattice}" Properties=species:S:1:pos:R:3:f:R:3 E_dft={frame.info["REF_energy"] / Hartree:.14f} '
        f'P="{stress}" run={frame.info["group"]} {words}',
    ]
    for i in order:
        numbers = (*frame.positions[i], *frame.arrays["REF_forces"][i] * Bohr / Hartree)
        lines.append(f"{frame.symbols[i]} " + " ".join(f"{x:.12f}" for x in numbers))
    return "\n".join(lines) + "\n"


OWN_LABELS = """\
labels:
  frames: [mine/train.xyz, mine/rest.xyz]
  theory: GFN1-xTB by another program
  energy_key: E_dft
  forces_key: f
  stress_key: P
  energy_unit: Ha
  forces_unit: Ha/Bohr
  stress_unit: GPa
  stress_sign: compression
  group_key: run
"""


@pytest.fixture(scope="module")
def own_labels(pipeline, results: Path) -> Path:
    """A study of the labels of the first run, as another program might have written them."""
    studies = pipeline.folder / "studies"
    (studies / "mine").mkdir(exist_ok=True)
    for name, files in {"train": ["both/train"], "rest": ["both/valid", "test"]}.items():
        frames = [f for file in files for f in read_frames(results / "dataset" / f"{file}.extxyz", labelled=True)]
        (studies / "mine" / f"{name}.xyz").write_text("".join(map(foreign, frames)))
    text = (studies / "test.yaml").read_text()
    text = re.sub(r"^sampling:\n(?:  .*\n)+", "", text, flags=re.M)
    text = re.sub(r"^labels: .*\n", OWN_LABELS, text, flags=re.M)
    text = re.sub(r"^  - \{id: dpmd(?:.*\n)+?(?=  - )", "", text, flags=re.M)
    study = studies / "own.yaml"
    study.write_text(text)
    return study


@pytest.mark.all
def test_own_labels_train_the_same_model(pipeline, results: Path, own_labels: Path) -> None:
    """The frames that the first run labelled, in foreign names and units, give the same dataset and errors."""
    screen = pipeline.run("--study", "studies/own.yaml", "--outdir", "own", "-resume")
    assert "imported labels: energy: E_dft in Ha" in screen
    assert pipeline.executed("own").isdisjoint({"SAMPLE_FRAMES", "LABEL_FRAMES"})
    assert {"IMPORT_LABELS", "SPLIT_DATASET", "TRAIN_MODEL"} <= pipeline.executed("own")
    mine, first = tables(pipeline.folder / "own"), tables(results)
    # of frames from elsewhere nobody knows whether their liquid was equilibrated
    assert mine["dataset"]["equilibrated"].is_null().all()
    sets = [one["dataset"].drop("equilibrated") for one in (mine, first)]
    assert_frame_equal(*sets, check_row_order=False)
    assert mine["labels"]["converged"].all()
    for name, keys in (("errors", ["rmse", "mae"]), ("scan", ["energy_model_ev_per_atom", "pressure_model_bar"])):
        ours = first[name].filter(pl.col("model") != "dpmd")
        assert ours.height
        for key in keys:
            np.testing.assert_allclose(mine[name][key].to_numpy(), ours[key].to_numpy(), rtol=1e-3, atol=1e-7)


OWN_MODELS = """\
models:
  - {{id: clp, framework: classical}}
  - {{id: mace, framework: mace, weights: mine/mace.model, sha256: {mace}, licence: MIT, theory: GFN1-xTB, mode: zero-shot}}
  - {{id: mace_d3, framework: mace, weights: mine/mace.model, sha256: {mace}, licence: MIT, theory: PBE, mode: zero-shot,
     dispersion: {{functional: PBE}}}}
  - {{id: dpmd, framework: deepmd, weights: mine/dpmd.pth, sha256: {dpmd}, licence: MIT, theory: GFN1-xTB, mode: zero-shot}}
  - {{id: gfn1, framework: ase, calculator: tblite.ase.TBLite, arguments: {{method: GFN1-xTB, accuracy: 0.1, verbosity: 0}},
     theory: GFN1-xTB}}
"""


def without_training(studies: Path) -> str:
    """Return the small study without models, and without all that they would be trained on."""
    text = (studies / "test.yaml").read_text()
    for section in ("sampling:\n(?:  .*\n)+", "datasets: .*\n", "models:\n(?:  .*\n)+", "labels: .*\n"):
        text = re.sub(rf"^{section}", "", text, flags=re.M)
    return text


@pytest.mark.long
def test_own_models_are_judged_without_training(pipeline, results: Path) -> None:
    """The models of the first run, given as weights: their errors are those that they had, and nothing is trained."""
    studies = pipeline.folder / "studies"
    (studies / "mine").mkdir(exist_ok=True)
    digests = {}
    for name, file in (("mace", "mace-both-s1/model.pt"), ("dpmd", "dpmd-both-s1/model.pth")):
        target = studies / "mine" / f"{name}.{'model' if name == 'mace' else 'pth'}"
        shutil.copy(results / "models" / file, target)
        digests[name] = hashlib.sha256(target.read_bytes()).hexdigest()
    shutil.copy(results / "dataset" / "test.extxyz", studies / "mine" / "test.extxyz")
    text = without_training(studies) + OWN_MODELS.format(**digests)
    (studies / "judge.yaml").write_text(f"{text}labels: {{frames: mine/test.extxyz, theory: GFN1-xTB}}\n")
    pipeline.run("--study", "studies/judge.yaml", "--outdir", "judge", "-resume")
    folder = pipeline.folder / "judge"
    assert {"IMPORT_MODEL", "EXPORT_MODEL", "EVALUATE_MODEL", "RUN_MD"} <= pipeline.executed("judge")
    assert pipeline.executed("judge").isdisjoint({"SAMPLE_FRAMES", "LABEL_FRAMES", "TRAIN_MODEL"})
    errors, first = tables(folder)["errors"], tables(results)["errors"]

    def force(frame: pl.DataFrame, model: str) -> float:
        chosen = (pl.col("model") == model) & (pl.col("quantity") == "force") & (pl.col("scope") == "all")
        return frame.filter(chosen & (pl.col("split") == "test"))["rmse"].item()

    for model in ("mace", "dpmd"):
        assert force(errors, model) == pytest.approx(force(first, model), rel=1e-4)
    assert force(errors, "gfn1") < 1e-3  # it is what made the labels
    assert force(errors, "mace_d3") != force(errors, "mace")
    survival = tables(folder)["survival"]
    assert set(survival["model"]) == {"clp", "mace", "mace_d3", "dpmd", "gfn1"}
    assert (survival["survived_ps"] > 0).all()
    dimers = pl.read_parquet(folder / "tables" / "dimers.parquet")
    assert set(dimers["model"]) == {"mace", "mace_d3", "dpmd", "gfn1"}
    # where two atoms are too near for a self-consistent field, the row says so
    assert (dimers["energy_ev"].is_null() == dimers["reason"].is_not_null()).all()
    assert dimers["energy_ev"].is_not_null().mean() > 0.9
    report = (folder / "report.html").read_text()
    assert "mace_d3 imitates PBE-D3(BJ), the labels are GFN1-xTB" in report
    for key in ("mace", "mace_d3", "dpmd", "gfn1"):
        assert (folder / "models" / key / "model.json").is_file()
        assert (folder / "models" / key / "README.md").read_text().startswith(f"# {key}\n")
    assert (folder / "models" / "mace" / "model.pt-lammps.pt").is_file()


@pytest.mark.all
def test_weights_that_are_something_else_are_one_line(pipeline) -> None:
    """A pickle with a side effect, with its right sha256: refused by name, and it does not run."""
    studies = pipeline.folder / "studies"
    (studies / "mine").mkdir(exist_ok=True)
    trace = pipeline.folder / "it_ran"
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
    own = f"{{id: bad, framework: mace, weights: mine/bad.model, sha256: {digest}, licence: MIT, theory: PBE, mode: zero-shot}}"
    (studies / "bad.yaml").write_text(f"{without_training(studies)}models:\n  - {own}\n")
    screen = pipeline.run("--study", "studies/bad.yaml", "--outdir", "bad", "-resume", fails=True)
    said = [line for line in screen.strip().splitlines() if "Killing running tasks" not in line]
    assert "models: bad: weights: bad.model was not opened: it would call posix.system" in said[-1], screen
    assert "Traceback" not in screen
    assert not trace.exists()


@pytest.mark.all
def test_own_labels_that_may_be_misread_are_one_line(pipeline, own_labels: Path) -> None:
    """How what IMPORT_LABELS refuses reaches the screen; all that it refuses is tested beside it."""
    old, new = "  energy_key: E_dft\n", "  energy_key: E_dt\n"
    text = own_labels.read_text()
    assert old in text
    own_labels.with_name("misread.yaml").write_text(text.replace(old, new))
    screen = pipeline.run("--study", "studies/misread.yaml", "--outdir", "misread", "-resume", fails=True)
    # what Nextflow says of the tasks that ran beside the import may come after it
    said = [line for line in screen.strip().splitlines() if "Killing running tasks" not in line]
    assert "no frame holds 'E_dt' as an energy; there are: E_dft" in said[-1], screen
    assert "Traceback" not in screen


@pytest.mark.all
def test_the_bill_beforehand(pipeline, results: Path) -> None:
    screen = pipeline.run(*STUDY, "--estimate", "--outdir", "bill", "-resume")
    assert {row["name"].split(" ")[0] for row in pipeline.trace("bill")} == {
        "PLAN_STUDY",
        "BUILD_LIQUID",
        "ESTIMATE_LABELS",
    }
    assert re.search(r"^label .* measured: tblite .* s cold, .* s chained", screen, re.M), screen
    assert re.search(r"^md .* assumed: ", screen, re.M), screen
    bill = json.loads((pipeline.folder / "bill" / "estimate.json").read_text())
    assert bill["total_core_hours"] > 0
    assert not (pipeline.folder / "bill" / "report.html").exists()
    # another study's, of the same name, is replaced by what is in the cache
    before = published(pipeline.folder / "bill")
    for name in before:
        (pipeline.folder / "bill" / name).write_text("another bill\n")
    pipeline.run(*STUDY, "--estimate", "--outdir", "bill", "-resume")
    assert pipeline.executed("bill") == set()
    assert published(pipeline.folder / "bill") == before


@pytest.mark.all
@pytest.mark.parametrize("study", ["demo", "factorial", "pyr14bf4", "litfsi-pyr14tfsi", "evaluate"])
def test_bundled_studies_plan_and_stub_run(pipeline, study: str) -> None:
    outdir = f"stub-{study}"
    pipeline.run("--study", f"studies/{study}.yaml", "--outdir", outdir, "-stub", "-work-dir", "work-stub")
    names = [row["name"].split(" ")[0] for row in pipeline.trace(outdir)]
    none_trained = {"SAMPLE_FRAMES", "LABEL_FRAMES", "SPLIT_DATASET", "TRAIN_MODEL"}
    expected = set(STAGES) - none_trained | {"IMPORT_MODEL"} if study == "evaluate" else set(STAGES)
    assert set(names) == expected
    if study == "factorial":  # a dataset cut to a size is a folder with a point in its name
        trained = {row["name"] for row in pipeline.trace(outdir) if row["name"].startswith("TRAIN_MODEL")}
        assert {f"TRAIN_MODEL (mace-{name}-s1)" for name in ("both", "both.24", "eq", "eq.24")} <= trained


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


STORES = """\
include {{ keep_labels; label_store; usable_store }} from './modules/label_store.nf'
workflow {{
    println "kept: ${{usable_store('{good}')}}"
    store = usable_store('/proc/no_store')
    println "instead: ${{store}}, ${{label_store(store).exists()}}"
    keep_labels(channel.of('{task}/label_store/t1/ab/ab1.json', '{task}/label_store/t1/cd/cd1.json').map {{ name -> file(name) }}, '{good}')
    keep_labels(channel.of('{task}/label_store/t2/ab/ab2.json', '{task}/label_store/t2/cd/cd2.json').map {{ name -> file(name) }}, '{good}')
}}
"""


@pytest.mark.all
def test_a_label_store_that_cannot_be_written_is_a_warning_and_labels_go_on(pipeline, tmp_path: Path) -> None:
    """No folder can be made in /proc, nor below a file, which is where the store should have the labels of theory t2."""
    for name, age in (("t1/ab/ab1", 0), ("t1/cd/cd1", 100), ("t2/ab/ab2", 0), ("t2/cd/cd2", 0)):
        path = tmp_path / "task" / "label_store" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("new\n")
        os.utime(path, (time.time() - age, time.time() - age))
    good = tmp_path / "good"
    (good / "t1" / "cd").mkdir(parents=True)
    (good / "t1" / "cd" / "cd1.json").write_text("newer\n")
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
    assert (good / "t1" / "ab" / "ab1.json").read_text() == "new\n"
    assert (good / "t1" / "cd" / "cd1.json").read_text() == "newer\n", "of two labels the newer stays"


@pytest.mark.all
def test_a_label_store_that_cannot_be_is_refused(pipeline) -> None:
    screen = pipeline.run(*STUDY, "--label_store", "main.nf/store", fails=True)
    assert "--label_store: main.nf/store: no folder can be made there: give another, or none" in screen
    assert "Submitted process" not in screen


@pytest.mark.all
def test_help_lists_every_parameter(pipeline) -> None:
    screen = pipeline.run("--help")
    schema = json.loads((pipeline.folder / "nextflow_schema.json").read_text())
    for group in schema["$defs"].values():
        for name in group["properties"]:
            assert f"--{name}" in screen
    assert "Submitted process" not in screen
