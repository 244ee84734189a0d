"""A refined equilibrium: whose runs of the round before the frames are taken from, and what is refused."""

import json
from pathlib import Path

import polars as pl
import pytest
from planned_studies import ROOT, Planned, Study, demo, learning, loaded, rows

from ionmelt.study.round_before import read_before

LENGTH_PS = 0.1
KEYS = ("mace-eq-s1", "mace-both-s1", "dpmd-both-s1")
ERRORS = {"mace-eq-s1": 0.05, "mace-both-s1": 0.10, "dpmd-both-s1": 0.20, "clp": 0.0}


def study(rounds: int = 1) -> Study:
    content = demo()
    content["sampling"]["eq"]["refine"] = rounds
    return content


def record(key: str, state: str = "pyr14bf4-430K-r1", survived_ps: float = LENGTH_PS, kelvin: float = 430.0) -> Path:
    """Write run.json of a run of the round before, as RUN_MD leaves it."""
    model, _, rest = key.partition("-")
    replica = int(state.rpartition("r")[2])
    content = {
        "id": f"{state}-{key}", "liquid": "pyr14bf4", "replica": replica, "temperature_K": kelvin, "pressure_bar": 1.0, "seed": 1,
        "model": model, "model_key": key, "dataset": rest.rpartition("-")[0] or None, "model_seed": 1 if rest else None, "framework": model,
        "timestep_fs": 0.5, "npt_ps": LENGTH_PS, "nvt_ps": 0.1, "start_volume": 0.96, "hydrogen_mass_u": None, "thermostat_fs": 100.0,
        "barostat_fs": 500.0, "save_every_fs": 5.0, "max_trajectory_mb": 1000.0, "engine": "plain", "batch": 1, "segment_ps": 0.5,
        "save_every_asked_fs": 5.0, "planned_ps": 2 * LENGTH_PS, "survived_ps": survived_ps, "npt_planned_ps": LENGTH_PS,
        "npt_survived_ps": survived_ps, "nvt_planned_ps": 0.1, "nvt_survived_ps": 0.0, "end": "bond_broken", "detail": None, "n_atoms": 140,
        "segments": 1, "segments_resumed": 0, "atom_steps_per_s": 1.0, "wall_s": 1.0, "device": "cpu",
    }  # fmt: skip
    folder = Path("before", "runs", f"{state}-{key}")
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(content))
    return folder / "run.json"


def before(*runs: Path, number: int = 0) -> list[str]:
    """Write cards and errors of the round before; return the arguments that give them and these runs."""
    paths = list(runs)
    for key in KEYS:
        Path("before", key).mkdir(parents=True)
        card = {
            "id": key,
            "model": key,
            "framework": "mace",
            "files": {"model.pt": "0" * 64},
            "settings": {"round": number},
        }
        Path("before", key, "model.json").write_text(json.dumps(card))
        paths.append(Path("before", key, "model.json"))
    table = [
        {"model_key": key, "split": split, "quantity": quantity, "scope": scope, "rmse": factor * rmse, "frames_missing": 0}
        for key, rmse in ERRORS.items()
        # training frames and other quantities say the opposite: neither is what counts
        for split, quantity, scope, factor in (("test", "force", "all", 1.0), ("train", "force", "all", -1.0), ("test", "energy_per_atom", "all", -1.0), ("test", "force", "element", -1.0))
    ]  # fmt: skip
    pl.DataFrame(table).write_parquet("before/errors.parquet")
    return ["--previous", "/before", "--records", "before/errors.parquet", *map(str, paths)]


def test_the_first_round_is_as_without_it(planned: Planned) -> None:
    assert planned(study()) == (0, [])
    assert rows("files.csv") == []
    assert loaded("models/mace-both-s1.json")["round"] == 0
    assert planned(demo(), out="other") == (0, [])
    assert "round" not in json.loads(Path("other/models/mace-both-s1.json").read_text())


def test_the_best_model_whose_runs_are_whole_is_taken(planned: Planned) -> None:
    """The one with the least force errors broke at constant pressure; one more ran in the second box alone; the truth is not trained."""
    runs = [
        record("mace-eq-s1", survived_ps=0.06), record("mace-both-s1"), record("dpmd-both-s1"), record("clp"),
        record("mace-eq-s1", state="pyr14bf4-430K-r2"),
    ]  # fmt: skip
    assert planned(study(), *before(*runs)) == (0, [])
    (row,) = rows("files.csv")
    assert row == {
        "role": "sampling.eq.refine pyr14bf4 430", "id": "pyr14bf4", "path": "/before/trajectories/pyr14bf4-430K-r1-mace-both-s1",
    }  # fmt: skip
    settings = loaded("models/dpmd-both-s1.json")
    assert (settings["round"], settings["mode"], settings["weights"]) == (1, None, None), "each round trains anew"
    assert rows("explore.csv") == []


def test_the_errors_are_those_that_evaluations_write(tmp_path: Path) -> None:
    """Of the published demo; a model that did not answer all frames has none."""
    published = pl.read_csv(ROOT / "docs" / "results" / "demo" / "tables" / "errors.csv")
    published.write_parquet(tmp_path / "errors.parquet")
    errors = read_before("", [tmp_path / "errors.parquet"]).force_errors
    assert {key for key in errors if "-s" in key} == {"mace-both-s1", "mace-eq-s1", "dpmd-both-s1", "dpmd-eq-s1"}
    assert min(errors.values()) > 0 and errors["mace-both-s1"] != errors["dpmd-both-s1"]
    lacking = pl.col("frames_missing") + (pl.col("model_key") == "mace-both-s1")
    published.with_columns(frames_missing=lacking).write_parquet(tmp_path / "errors.parquet")
    left = read_before("", [tmp_path / "errors.parquet"]).force_errors
    assert left == {key: error for key, error in errors.items() if key != "mace-both-s1"}


@pytest.mark.parametrize(
    ("content", "runs", "number", "line"),
    [
        (study(), [("mace-eq-s1", 0.06), ("clp", LENGTH_PS)], 0,
         "sampling.eq.refine: --previous /before: no trained model ran to the end at constant pressure in the first box of every liquid and "
         "temperature: train on more frames, or give md.models and shorter runs"),
        (study(1), [("mace-both-s1", LENGTH_PS)], 1, "sampling.eq.refine: 1: --previous /before is of round 1 already: give 2, or more, to go on"),
        (demo(), [("mace-both-s1", LENGTH_PS)], 0,
         "active: missing: --previous /before is for active learning; give active: {frames: ...}, or sampling.eq.refine: 1"),
    ],
)  # fmt: skip
def test_a_round_that_cannot_be(
    planned: Planned, content: Study, runs: list[tuple[str, float]], number: int, line: str
) -> None:
    written = [record(key, survived_ps=length) for key, length in runs]
    assert planned(content, *before(*written, number=number)) == (2, [line])


def test_a_second_round_goes_on_where_it_is_asked_for(planned: Planned) -> None:
    assert planned(study(2), *before(record("mace-both-s1"), number=1)) == (0, [])
    assert loaded("models/mace-both-s1.json")["round"] == 2


def test_not_with_active_learning(planned: Planned) -> None:
    content = learning()
    content["sampling"]["eq"]["refine"] = 1
    assert planned(content) == (
        2,
        ["sampling.eq.refine: with active learning, whose test frames stay the same: give one of the two"],
    )
