"""What a study will do and what it costs."""

import json
from pathlib import Path
from typing import Any

import pytest
from planned_studies import CP2K_LABELS, Planned, demo, loaded

from ionmelt.labels.engines import ENGINES
from ionmelt.models.frameworks import deepmd, mace


def test_budget(planned: Planned) -> None:
    content = demo() | {"budget_core_hours": 0.1}
    code, (line,) = planned(content)
    assert code == 2
    assert line.startswith("budget_core_hours: 0.1 is less than the ")
    assert line.endswith("): plan less, or raise it")


@pytest.mark.parametrize(
    ("labels", "frames", "pairs", "chunk"),
    [
        ({"engine": "xtb", "chunk": 7}, 9997, 4, 7),
        ({"engine": "xtb"}, 9997, 4, 537),
        # half an hour would hold them all, but others shall have something to do
        ({"engine": "xtb"}, 397, 4, 50),
        ({"engine": "xtb"}, 29, 4, 10),
        # minutes each: half an hour is a few frames, of which a chain cannot live
        (CP2K_LABELS, 397, 4, 10),
        # and 10,000 of them are 200 tasks
        (CP2K_LABELS, 9997, 4, 51),
    ],
)
def test_chunks_last_half_an_hour_within_limits(
    planned: Planned, labels: dict[str, Any], frames: int, pairs: int, chunk: int
) -> None:
    content = demo()
    content |= {"labels": labels, "budget_core_hours": 1e9}
    content["sampling"] = {"eq": {"frames": frames}, "test_scan": {"scales": [0.9, 1.0, 1.1]}}
    content["datasets"] = {"eq": ["eq"]}
    content["liquids"][0]["ions"] = {"pyr14": pairs, "bf4": pairs}
    content["equilibration"] = {"production_ps": 12_000, "save_every_ps": 1}
    assert planned(content) == (0, [])
    assert loaded("samples/pyr14bf4.json")["chunk"] == chunk


def test_xtb_equilibrates_for_as_long_as_asked_or_is_refused_with_its_cost(planned: Planned) -> None:
    content = demo() | {
        "equilibration": {"anneal_ps": 0.5, "cool_ps": 0.3, "settle_ps": 0.2, "production_ps": 1, "save_every_ps": 0.1}
    }
    content["liquids"][0]["force_field"] = "xtb"
    content["sampling"] |= {"eq": {"frames": 6}}
    content["models"].pop()
    assert planned(content) == (0, [])
    state, short = loaded("states/pyr14bf4-430K-r1.json"), loaded("estimate.json")["stages"][0]
    assert (state["timestep_fs"], state["production_ps"]) == (1.0, 1)
    assert "GFN1-xTB" in short["source"] and short["core_hours"] > 0
    assert "the equilibration of each box is 2000 steps of GFN1-xTB" in Path("plan/warnings.txt").read_text()
    # The cost goes with the steps: what is asked is estimated, not a part of it.
    content["equilibration"] = {name: 100 * ps for name, ps in content["equilibration"].items()}
    content["budget_core_hours"] = 50 * short["core_hours"]
    code, (line,) = planned(content, out="long")
    assert code == 2
    assert line.startswith("budget_core_hours: ") and f"equilibrate {100 * short['core_hours']:.3g}" in line


def test_estimate_is_what_was_measured() -> None:
    """Every law goes through its measured points: wall seconds on two cores."""
    for name, atoms, seconds in [
        ("GFN1-xTB", 70, 0.4), ("GFN1-xTB", 280, 7), ("GFN2-xTB", 70, 1.4), ("GFN2-xTB", 280, 12),
        ("cp2k", 35, 60), ("cp2k", 70, 150)]:  # fmt: skip
        (law,) = [engine.laws[name] for engine in ENGINES.values() if name in engine.laws]
        assert law.core_s(atoms) == pytest.approx(2 * seconds)
    small = mace.MaceModel.model_validate(
        {"id": "m", "framework": "mace", "channels": 32, "max_L": 1, "r_max_A": 4.5, "interactions": 2, "epochs": 5}
    )
    assert mace.md_core_s(small, 560, 1000) == pytest.approx(2 * 560_000 / 3900)
    assert mace.training_core_s(small, 50, 70) == pytest.approx(2 * 70)


def test_estimate_counts_what_will_run(planned: Planned, capsys: pytest.CaptureFixture[str]) -> None:
    assert planned(demo()) == (0, [])
    estimate = loaded("estimate.json")
    counts = {row["stage"]: row["count"] for row in estimate["stages"]}
    assert counts == {"equilibrate": 2, "label": 20 + 10 + 5 + 8, "train": 8, "md": 18}
    assert estimate["total_core_hours"] == pytest.approx(sum(row["core_hours"] for row in estimate["stages"]), rel=0.01)
    (label,) = [row["core_hours"] for row in estimate["stages"] if row["stage"] == "label"]
    # one frame in fifty is labelled a second time, to compare
    assert label == pytest.approx(1.02 * 43 * 2 * 0.4 * (140 / 70) ** 2.0646 / 3600, rel=0.01)


def test_the_estimate_names_what_the_study_has_and_what_its_figures_were_measured_with(planned: Planned) -> None:
    content = demo() | {"models": [
        {"id": "seven", "framework": "named", "model": "sevennet-0"},
        {"id": "other", "framework": "named", "model": "chgnet-0.3.0"},
        {"id": "own", "framework": "classical"},
        {"id": "sem", "framework": "xtb", "method": "GFN1-xTB"},
    ]}  # fmt: skip
    assert planned(content) == (0, [])
    source = {row["stage"]: row["source"] for row in loaded("estimate.json")["stages"]}
    assert source["equilibrate"].startswith("pyr14bf4 (clandp): from CL&P in OpenMM")
    assert source["label"].startswith("GFN1-xTB: from tblite")
    assert source["train"] == ""
    seven, classical, sem = source["md"].split("; ")
    assert seven.startswith("seven (sevennet-0), other (chgnet-0.3.0): from SevenNet-0, 140 atoms")
    assert classical.startswith("own (classical): from CL&P in OpenMM") and sem.startswith(
        "sem (GFN1-xTB): from tblite"
    )
    assert planned(demo()) == (0, [])
    source = {row["stage"]: row["source"] for row in loaded("estimate.json")["stages"]}
    for stage in ("train", "md"):
        assert "(mace): from MACE 32x0e+32x1o" in source[stage] and "(se_e2_a): from DeePMD se_e2_a" in source[stage]


def test_trainings_at_equal_cost_take_what_they_are_given(planned: Planned) -> None:
    content = demo() | {"training": {"core_minutes": 6}}
    for model, length in ((0, "epochs"), (1, "steps")):
        del content["models"][model][length]
    assert planned(content) == (0, [])
    (train,) = [row["core_hours"] for row in loaded("estimate.json")["stages"] if row["stage"] == "train"]
    assert train == pytest.approx(8 * 0.1)
    trained = sorted(Path("plan/models").glob("*.json"))
    assert len(trained) == 8
    assert {json.loads(path.read_text())["core_minutes"] for path in trained} == {6.0}


def test_a_deepmd_model_costs_as_many_times_as_it_has_neighbours() -> None:
    """Of twice the radius eight times as many; a smaller radius than that of the measurement is not counted as cheaper."""
    usual, wide, small = (
        deepmd.DeepmdModel.model_validate({"id": "d", "framework": "deepmd", "rcut_A": radius}) for radius in (6, 12, 4)
    )
    for cost in (deepmd.md_core_s, deepmd.training_core_s):
        assert cost(wide, 500, 1000) == pytest.approx(8 * cost(usual, 500, 1000))
        assert cost(small, 500, 1000) == cost(usual, 500, 1000)


def test_trials_cost_so_many_trainings(planned: Planned) -> None:
    hours = []
    for training in ({}, {"training": {"trials": 3}}):
        assert planned(demo() | training) == (0, [])
        hours += [row["core_hours"] for row in loaded("estimate.json")["stages"] if row["stage"] == "train"]
    assert hours[1] == pytest.approx(3 * hours[0], rel=0.01)
    assert {json.loads(path.read_text())["trials"] for path in Path("plan/models").glob("*.json")} == {3}
