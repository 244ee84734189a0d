"""The pipeline as its user sees it: run, resumed, edited, killed and misused, on a small real study.

What needs the results of the real run stands here, so that one worker alone makes it.
"""

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from ase import Atoms
from ase.units import Bohr, GPa, Hartree
from pipeline_study import STUDY, without_training
from polars.testing import assert_frame_equal
from runs import TABLES, assert_same_tables, tables
from used_files import BIN, all_imports

from ionmelt.files import SUMS, check
from ionmelt.frame_file import read_frames

PROJECT = Path(__file__).resolve().parents[2]

STAGES = (
    "PLAN_STUDY", "BUILD_LIQUID", "EQUILIBRATE", "ESTIMATE_POWER", "SAMPLE_FRAMES", "LABEL_FRAMES", "SPLIT_DATASET", "TRAIN_MODEL",
    "EXPORT_MODEL", "EVALUATE_MODEL", "RUN_MD", "MEASURE_LIQUID", "COMPARE_MODELS",
)  # fmt: skip
MODELS = {"classical", "mace", "deepmd"}


def test_run_leaves_the_tables_of_the_contract(results: Path) -> None:
    table_of = tables(results)
    for name in ("density", "diffusion", "survival"):
        assert set(table_of[name]["framework"]) == MODELS, name
    assert {"liquid", "model", "dataset", "seed", "temperature_K", "replica", "density_kg_m3",
            "standard_error_kg_m3", "reference_kg_m3", "n_effective", "converged"} <= set(table_of["density"].columns)  # fmt: skip
    assert {"species", "diffusion_m2_s", "ci95_low_m2_s", "ci95_high_m2_s", "finite_size_correction_m2_s",
            "log_slope", "converged"} <= set(table_of["diffusion"].columns)  # fmt: skip
    assert table_of["labels"].height == table_of["sampling"]["kept"].sum()
    assert table_of["labels"]["frame_id"].is_unique().all()
    # errors on training frames tell who is undertrained
    trained = pl.read_parquet(results / "tables" / "trainings.parquet")["model_key"].unique()
    judged = table_of["errors"].filter(pl.col("split") == "train")["model_key"].unique()
    assert sorted(judged) == sorted(trained) and len(trained)
    # a test frame of one mixture is never a training frame of another
    splits = table_of["dataset"].group_by("frame_id").agg(pl.col("split").n_unique())
    assert splits["split"].max() == 1
    assert table_of["cost"].filter(pl.col("wall_s") > 0)["process"].n_unique() == len(STAGES) - 1
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
    for name in ("assets", "studies"):
        for path in (PROJECT / name).rglob("*"):
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
    for folder in ("liquids/other-r1", "models/other-both-s1", "trajectories/libf4-900K-r1-other", "dataset/other"):
        strange |= {f"{folder}/{name}": b"other\n" for name in ("model.json", "SHA256SUMS")}
    run = next((results / "trajectories").glob("*/run.json")).parent.relative_to(results)
    for name in ("models/mace-both-s1/model.pth", f"{run}/other.xtc"):
        strange[name] = b"other\n"
    users_files = {"models/notes/mine.txt": b"no task made this folder\n"}
    # what lies in a folder that is published as a whole goes with it
    replaced = dict.fromkeys(("tables/other.csv", "dataset/both/other.extxyz"), b"other\n")
    for name, content in (strange | users_files | replaced).items():
        (results / name).parent.mkdir(exist_ok=True)
        (results / name).write_bytes(content)
    return set(strange)


@pytest.mark.all
def test_resume_runs_nothing_and_puts_right_what_lies_in_the_results(pipeline, results: Path) -> None:
    before = published(results)
    assert {name.split("/")[0] for name in before} == {
        "report.html", "recommendation.txt", "study.json", "tables", "liquids", "dataset", "models", "trajectories"
    }  # fmt: skip
    strange = leave_what_another_study_left(results)
    screen = pipeline.run(*STUDY, "-resume")
    assert pipeline.executed() == set()
    after = published(results)
    aside = {name: after.pop(name) for name in list(after) if name.startswith("earlier/")}
    assert aside == {f"earlier/{name}": b"other\n" for name in strange}
    assert after.pop("models/notes/mine.txt") == b"no task made this folder\n"
    assert after == before
    assert len(re.findall(r"^not of this study: .* and 3 more: now in .*/earlier$", screen, re.M)) == 1, screen
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
    assert {name.split(" ")[0] for name in repeated} == {
        "PLAN_STUDY",
        "ESTIMATE_POWER",
        "RUN_MD",
        "MEASURE_LIQUID",
        "COMPARE_MODELS",
    }


@pytest.mark.all
def test_an_edited_shared_file_reruns_exactly_its_users(pipeline, results: Path) -> None:
    shared = pipeline.folder / "bin" / "ionmelt/measure/series.py"
    text = shared.read_text()
    scripts = (pipeline.folder / "bin").glob("*.py")
    users = {path.stem.upper() for path in scripts if BIN / "ionmelt/measure/series.py" in all_imports(BIN / path.name)}
    users &= {row["name"].split(" ")[0] for row in pipeline.trace()}  # the others are not of this study
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
    options = ("--outdir", "killed", "-work-dir", "work-killed", "--label_store", "none")
    for number, stage in enumerate(stage for stage in STAGES if stage != "ESTIMATE_POWER"):  # which runs beside others
        pipeline.kill_in(stage, *STUDY, *options, *(["-resume"] if number else []))
    pipeline.run(*STUDY, *options, "-resume")
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
    shard = min((pipeline.folder / "store-copied").glob("*/*.jsonl"))
    before, *others = shard.read_text().splitlines(keepends=True)
    missing = json.loads(before)["frame_id"]
    shard.write_text("".join(others))
    shard.with_suffix(".ids").unlink()  # as a task that was killed leaves it
    (pipeline.folder / "copying.config").write_text("process.stageInMode = 'copy'\n")
    options = ("--outdir", "copied", "-work-dir", "work-copied", "-c", "copying.config")
    store = ("--label_store", (pipeline.folder / "store-copied").as_uri())
    pipeline.run(*labels_only(pipeline), *options, *store)
    labels = tables(pipeline.folder / "copied")["labels"]
    assert labels.filter(~pl.col("from_store"))["frame_id"].to_list() == [missing]
    assert labels["converged"].all()
    lines = [line for path in shard.parent.glob("*.jsonl") for line in path.read_text().splitlines()]
    (back,) = (entry for line in lines if (entry := json.loads(line))["frame_id"] == missing)
    for name in ("energy_ev", "forces_ev_a", "stress_ev_a3"):  # within what the guess leaves open
        np.testing.assert_allclose(back[name], json.loads(before)[name], atol=1e-4, rtol=0)
    pipeline.run(*labels_only(pipeline), *options, *store, "-resume")
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
    # of frames from elsewhere nobody knows whether their liquid was equilibrated, at what temperature and pressure
    unknown = ["equilibrated", "temperature_K", "equilibrium_pressure_bar"]
    assert mine["dataset"].select(pl.col(unknown).is_null().all()).row(0) == (True, True, True)
    sets = [one["dataset"].drop(unknown) for one in (mine, first)]
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
        assert (folder / "models" / key / "RESULTS.md").read_text().startswith(f"# {key} in the study ")
    assert (folder / "models" / "mace" / "model.pt-lammps.pt").is_file()


@pytest.mark.all
def test_own_labels_that_may_be_misread_are_one_line(pipeline, own_labels: Path) -> None:
    """How what IMPORT_LABELS refuses reaches the screen; all that it refuses is tested beside it."""
    old, new = "  energy_key: E_dft\n", "  energy_key: E_dt\n"
    text = own_labels.read_text()
    assert old in text
    own_labels.with_name("misread.yaml").write_text(text.replace(old, new))
    screen = pipeline.run("--study", "studies/misread.yaml", "--outdir", "misread", "-resume", fails=True)
    said = [line for line in screen.splitlines() if line.startswith("labels.")]
    assert said == [
        "labels.energy_key: no frame holds 'E_dt' as an energy; did you mean E_dft? there are: E_dft, scan_scale"
    ], screen
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
    assert "to run it: the same command without --estimate" in screen, screen
    # what is assumed is said before the minutes that the labels take
    assert (
        screen.index("plan of test")
        < screen.index("Two frames of each liquid are labelled now")
        < screen.index("measured: tblite")
    )
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
@pytest.mark.parametrize(
    "study",
    [
        "demo",
        "factorial",
        "evaluate",
        *(
            pytest.param(name, marks=pytest.mark.long) for name in ("pyr14bf4", "litfsi-pyr14tfsi")
        ),  # larger, of the same kinds
    ],
)
def test_bundled_studies_plan_and_stub_run(pipeline, study: str) -> None:
    outdir = f"stub-{study}"
    screen = pipeline.run("--study", f"studies/{study}.yaml", "--outdir", outdir, "-stub", "-work-dir", "work-stub")
    assert re.search(r"^plan of \w+.*\n(.*\n)*total +[\d.e+]+\nbudget_core_hours is ", screen, re.M), screen
    assert "the same command without -stub" in screen, screen
    names = [row["name"].split(" ")[0] for row in pipeline.trace(outdir)]
    none_trained = {"SAMPLE_FRAMES", "LABEL_FRAMES", "SPLIT_DATASET", "TRAIN_MODEL"}
    expected = set(STAGES) - none_trained | {"IMPORT_MODEL"} if study == "evaluate" else set(STAGES)
    assert set(names) == expected
    if study == "factorial":  # a dataset cut to a size is a folder with a point in its name
        trained = {row["name"] for row in pipeline.trace(outdir) if row["name"].startswith("TRAIN_MODEL")}
        assert {f"TRAIN_MODEL (mace-{name}-s1)" for name in ("both", "both.24", "eq", "eq.24")} <= trained
