"""Active learning by ./rounds, as a user would: a round goes on from the one before, and a kill changes nothing."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from runs import PROJECT, TIMINGS, Pipeline, copy_project

STUDY = """\
name: rounds
liquids:
  - {id: libf4, ions: {li: 8, bf4: 8}, temperatures_K: [900], density_guess_kg_m3: 1500}
equilibration: {anneal_K: 1200, anneal_ps: 4, cool_ps: 2, settle_ps: 2, production_ps: 8, save_every_ps: 0.1}
sampling:
  eq: {frames: 12}
  test_scan: {scales: [0.97, 1.0, 1.04]}
labels: {engine: xtb, chunk: 20}
datasets: {al: [eq, active]}
active: {frames: 4, npt_ps: 0.02, ramp_ps: 0.02, swing_ps: 0.02, every_fs: 5, quantile: 0.1, stop_factor: 30}
seeds: [1, 2]
models:
  - {id: mace, framework: mace, channels: 8, max_L: 0, r_max_A: 4.0, correlation: 2, max_ell: 2, epochs: 2, batch_size: 4}
md: {timestep_fs: 0.5, npt_ps: 0.02, nvt_ps: 0, save_every_fs: 5}
budget_core_hours: 1
"""


ROUNDS = ("./rounds",)


def frames(folder: Path, subset: str) -> set[str]:
    table = pl.read_parquet(folder / "tables" / "dataset.parquet")
    return set(table.filter(pl.col("split") == subset)["frame_id"])


@pytest.fixture(scope="module")
def project(pipeline: Pipeline) -> Pipeline:
    (pipeline.folder / "studies" / "rounds.yaml").write_text(STUDY)
    return pipeline


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "error: --rounds: missing: give a whole number, such as 3"),
        (("--rounds", "two"), "error: --rounds: two: give a whole number, such as 3"),
        (("--rounds", "2", "--previous", "x"), "error: --previous: is given to each round by itself: leave it out"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], line: str) -> None:
    process = subprocess.run([PROJECT / "rounds", *arguments], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (2, line + "\n")


@pytest.mark.all
@pytest.mark.parametrize("parser", ["v1", "v2"])
def test_a_round_explores_with_its_committees_and_chooses(
    parser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With stubs, after a round whose results are only named: which tasks there are, and what they are given."""
    monkeypatch.setenv("NXF_SYNTAX_PARSER", parser)
    project = Pipeline(copy_project(tmp_path / "project"))
    (project.folder / "studies" / "rounds.yaml").write_text(STUDY)
    before = project.folder / "before"
    for key in ("mace-al-s1", "mace-al-s2"):
        (before / "models" / key).mkdir(parents=True, exist_ok=True)
        card = {"id": key, "model": key, "framework": "mace", "files": {"model.pt": "0" * 64}, "settings": {"round": 0}}
        (before / "models" / key / "model.json").write_text(json.dumps(card))
        (before / "models" / key / "model.pt").touch()
    (before / "dataset" / "al").mkdir(parents=True, exist_ok=True)
    for name in ("train", "valid"):
        (before / "dataset" / "al" / f"{name}.extxyz").touch()
    project.run("-stub", "--study", "studies/rounds.yaml", "--previous", str(before))
    tasks = {row["name"]: Path(row["workdir"]) for row in project.trace()}
    explored = tasks["EXPLORE_LIQUID (libf4-900K-r1-mace-al)"]
    names = {"libf4-900K-r1-mace-al.json", "libf4-900K-r1", "mace-al-s1", "mace-al-s2", "valid.extxyz"}
    assert names <= {path.name for path in explored.iterdir()}
    chosen = tasks["CHOOSE_FRAMES (libf4-active1)"]
    assert {"libf4-active1.json", "libf4-900K-r1", "libf4-900K-r1-mace-al.extxyz"} <= {
        path.name for path in chosen.iterdir()
    }
    assert [path.name for path in (chosen / "labelled").glob("*/*")] == ["train.extxyz"]
    assert {"LABEL_FRAMES (libf4-000)", "LABEL_FRAMES (libf4-active1)"} <= set(tasks)
    (trained,) = (folder for name, folder in tasks.items() if name.startswith("TRAIN_") and "mace-al-s1" in name)
    assert (trained / "model.pt").exists()


REFINED = STUDY.replace("eq: {frames: 12}", "eq: {frames: 12, refine: 1}").replace("{al: [eq, active]}", "{eq: [eq]}")
REFINED = re.sub(r"active: .*\n", "", REFINED)
RUN = "libf4-900K-r1-mace-eq-s2"


@pytest.mark.all
@pytest.mark.parametrize("parser", ["v1", "v2"])
def test_a_refined_equilibrium_is_sampled_from_runs_of_the_round_before(
    parser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With stubs: which files of which model SAMPLE_FRAMES is given."""
    monkeypatch.setenv("NXF_SYNTAX_PARSER", parser)
    project = Pipeline(copy_project(tmp_path / "project"))
    (project.folder / "studies" / "rounds.yaml").write_text(REFINED)
    project.run("-stub", "--study", "studies/rounds.yaml")
    (project.folder / "results").rename(project.folder / "before")
    # what a stub leaves empty, as a real round leaves it
    before = project.folder / "before"
    settings = next((project.folder / "work").glob(f"*/*/plan/runs/{RUN}.json"))
    ended = {
        "save_every_asked_fs": 5.0, "planned_ps": 0.2, "survived_ps": 0.2, "npt_planned_ps": 0.2, "npt_survived_ps": 0.2, "nvt_planned_ps": 0.0,
        "nvt_survived_ps": 0.0, "end": "completed", "detail": None, "n_atoms": 48, "segments": 1, "segments_resumed": 0, "atom_steps_per_s": 1.0,
        "wall_s": 1.0, "device": "cpu",
    }  # fmt: skip
    content = {name: value for name, value in json.loads(settings.read_text()).items() if name != "content_sha256"}
    shutil.rmtree(before / "trajectories")
    (before / "trajectories" / RUN).mkdir(parents=True)
    (before / "trajectories" / RUN / "run.json").write_text(json.dumps(content | ended))
    for key in ("mace-eq-s1", "mace-eq-s2"):
        card = {"id": key, "model": key, "framework": "mace", "files": {"model.pt": "0" * 64}, "settings": {"round": 0}}
        (before / "models" / key / "model.json").write_text(json.dumps(card))
    columns = {
        "model_key": "mace-eq-s2",
        "split": "test",
        "quantity": "force",
        "scope": "all",
        "rmse": 0.1,
        "frames_missing": 0,
    }
    (before / "tables").mkdir(exist_ok=True)
    pl.DataFrame([columns]).write_parquet(before / "tables" / "errors.parquet")
    project.run("-stub", "--study", "studies/rounds.yaml", "--previous", "before")
    tasks = {row["name"]: Path(row["workdir"]) for row in project.trace()}
    sampled = tasks["SAMPLE_FRAMES (libf4)"]
    assert {"libf4-900K-r1", RUN} <= {path.name for path in sampled.iterdir()}
    assert (sampled / RUN / "run.json").is_file()


@pytest.mark.long
def test_a_round_goes_on_from_the_one_before(project: Pipeline) -> None:
    common = ("--study", "studies/rounds.yaml", "--outdir", "active", "-work-dir", "work-rounds")
    project.run("--rounds", "1", *common, program=ROUNDS)
    first, second = (project.folder / "active" / f"round-{number}" for number in (0, 1))
    assert frames(first, "test") == frames(second, "test")
    assert frames(first, "valid") == frames(second, "valid")
    labels = pl.read_parquet(second / "tables" / "labels.parquet")
    added = labels.filter(pl.col("kind") == "active")
    assert 0 < added.height <= 4
    before = pl.read_parquet(first / "tables" / "labels.parquet")
    assert_frame_equal(labels.filter(pl.col("kind") != "active"), before, check_row_order=False)
    assert not added["from_store"].any()
    assert frames(second, "train") == frames(first, "train") | set(added.filter("converged")["frame_id"])
    walks = pl.read_parquet(second / "tables" / "exploration.parquet")
    assert set(walks["walk"]) == {"npt", "ramp", "swing"}
    assert walks["offered"].sum() >= added.height
    rounds = pl.read_parquet(second / "tables" / "rounds.parquet")
    assert rounds["round"].to_list() == [0, 1]
    assert rounds["active_frames"].to_list() == [0, added.height]
    assert "Rounds of active learning" in (second / "report.html").read_text()
    assert "Rounds of active learning" in (first / "report.html").read_text()
    # the same command again: nothing is repeated
    screen = project.run("--rounds", "1", *common, program=ROUNDS)
    assert "Submitted process" not in screen


@pytest.mark.long
def test_killed_in_a_round_and_started_again(project: Pipeline) -> None:
    """Three rounds, killed while the second explores, give what three rounds give that were left alone."""
    common = ("--rounds", "3", "--study", "studies/rounds.yaml", "--label_store", "none")
    project.run(*common, "--outdir", "whole", "-work-dir", "work-whole", program=ROUNDS)
    broken = ("--outdir", "broken", "-work-dir", "work-broken")
    log = project.folder / ".nextflow.log"
    process = project.start(*common, *broken, program=ROUNDS)
    deadline = time.monotonic() + 3000
    while time.monotonic() < deadline and process.poll() is None:
        if (project.folder / "broken" / "round-1" / "report.html").exists() and "EXPLORE_LIQUID" in log.read_text():
            break
        time.sleep(0.2)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    project.run(*common, *broken, program=ROUNDS)
    for number in range(4):
        whole, again = (project.folder / name / f"round-{number}" / "tables" for name in ("whole", "broken"))
        assert whole.exists() == again.exists()
        for name in ("rounds", "exploration", "dataset", "errors", "scan", "density") if whole.exists() else ():
            left, right = (pl.read_parquet(folder / f"{name}.parquet") for folder in (whole, again))
            keep = [column for column in left.columns if column not in TIMINGS]
            assert_frame_equal(left.select(keep), right.select(keep), check_exact=True)
