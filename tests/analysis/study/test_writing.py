"""The settings of each task, as the plan writes them."""

import json
from pathlib import Path

import pytest
from planned_studies import Planned, demo, loaded, rows


def test_settings_hold_what_a_task_needs(planned: Planned) -> None:
    assert planned(demo()) == (0, [])
    box = loaded("boxes/pyr14bf4-r1.json")
    assert [(ion["name"], ion["charge"], ion["count"]) for ion in box["ions"]] == [
        ("pyr14", 1, 4),
        ("bf4", -1, 4),
    ]
    # 4 x (140.25 + 86.80) g/mol at 1000 kg/m3
    edge = (4 * (142.266 + 86.803) / 6.02214076e23 * 1e24) ** (1 / 3)
    assert box["cutoff_A"] == pytest.approx(0.42 * edge, abs=0.002)
    assert "production_ps" not in box
    state = loaded("states/pyr14bf4-430K-r1.json")
    assert state["temperature_K"] == 430
    assert state["force_field"] == "clandp"
    assert state["timestep_fs"] == 2.0
    run = loaded("runs/pyr14bf4-430K-r2-mace-eq-s2.json")
    assert (run["model"], run["dataset"], run["model_seed"], run["replica"], run["timestep_fs"]) == (
        "mace",
        "eq",
        2,
        2,
        0.5,
    )
    assert run["seed"] == loaded("runs/pyr14bf4-430K-r2-clp.json")["seed"], "all models start alike"
    assert run["seed"] != loaded("runs/pyr14bf4-430K-r1-clp.json")["seed"], "replicas differ"
    theories = {loaded("labels.json")["theory_id"], loaded("models/mace-eq-s1.json")["theory_id"]}
    assert len(theories) == 1
    assert loaded("models/mace-eq-s1.json")["labels_theory"] == "GFN1-xTB"
    assert loaded("dataset.json")["datasets"] == {"both": ["eq", "neq"], "eq": ["eq"]}


def test_only_the_models_that_are_asked_for_run(planned: Planned) -> None:
    content = demo()
    assert planned(content, out="all") == (0, [])
    content["md"] |= {"models": ["dpmd", "clp"]}
    assert planned(content) == (0, [])
    assert {row["model_key"].split("-")[0] for row in rows("runs.csv")} == {"dpmd", "clp"}
    models = [row["key"] for row in rows("models.csv")]
    assert "mace-both-s1" in models, "it is trained, and evaluated"
    stages = {name: json.loads(Path(name, "estimate.json").read_text())["stages"] for name in ("all", "plan")}
    of_md = {name: next(row for row in some if row["stage"] == "md") for name, some in stages.items()}
    assert (of_md["all"]["count"], of_md["plan"]["count"]) == (18, 10)
    assert of_md["plan"]["core_hours"] < of_md["all"]["core_hours"]
    for path in Path("plan/runs").iterdir():
        assert path.read_text() == Path("all/runs", path.name).read_text(), "a run is not repeated for it"


def test_own_labels_skip_sampling(planned: Planned) -> None:
    Path("mine.extxyz").write_text("2\nProperties=species:S:1:pos:R:3\nH 0 0 0\nH 0 0 1\n")
    content = demo() | {"labels": {"frames": "mine.extxyz", "theory": "PBE-D3"}}
    del content["sampling"]
    assert planned(content) == (0, [])
    assert rows("samples.csv") == []
    assert rows("files.csv") == [{"role": "labels", "id": "labels", "path": str(Path("mine.extxyz").resolve())}]


def test_own_labels_may_be_a_folder(planned: Planned) -> None:
    Path("runs").mkdir()
    content = demo() | {"labels": {"frames": "runs", "theory": "PBE-D3", "format": "deepmd-npy"}}
    del content["sampling"]
    assert planned(content) == (0, [])
    assert rows("files.csv") == [{"role": "labels", "id": "labels", "path": str(Path("runs").resolve())}]
    content["labels"]["stress_order"] = "xx yy zz xy yz zx"
    said = "labels.stress_order: is for extxyz: the orders of deepmd-npy are known: leave this out"
    assert planned(content, out="refused") == (2, [said])


def test_an_ion_of_your_own(planned: Planned) -> None:
    content = demo()
    content["liquids"][0] |= {
        "ions": {"cho": {"smiles": "C[N+](C)(C)CCO", "count": 6}, "bf4": 6},
        "force_field": "xtb",
    }
    content["models"].pop()
    assert planned(content) == (0, [])
    assert loaded("boxes/pyr14bf4-r1.json")["ions"][0] == {
        "name": "cho", "smiles": "C[N+](C)(C)CCO", "charge": 1, "count": 6, "types": None, "hydrogen_types": None}  # fmt: skip
    content["liquids"][0] |= {
        "ions": {"mine": {"smiles": "C1CCC[N+]1(C)CCCC", "count": 6}, "bf4": 6},
        "force_field": "clandp",
    }
    assert planned(content) == (0, []), "the same ion by another SMILES has the library's types"


def test_a_force_field_takes_the_longer_step(planned: Planned) -> None:
    assert planned(demo()) == (0, [])
    assert loaded("states/pyr14bf4-430K-r1.json")["timestep_fs"] == 2.0
