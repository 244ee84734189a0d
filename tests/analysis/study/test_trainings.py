"""The settings of trainings and imports."""

import hashlib
from pathlib import Path

import pytest
from planned_studies import Planned, demo, loaded, rows


def test_the_plan_says_where_each_force_field_is_from(planned: Planned) -> None:
    Path("own.xml").write_text("<ForceField></ForceField>")
    content = demo()
    content["labels"] = {"engine": "classical"}
    one = content["liquids"][0]
    content["liquids"] += [
        {**one, "id": "mixed", "ions": {"li": 1, "pf6": 1}, "molecules": {"dmc": 12}, "charge_scale": 0.8},
        {**one, "id": "own", "force_field": "own.xml"},
    ]
    assert planned(content) == (0, [])
    settings = loaded("force_fields.json")
    assert settings["charge_scale"] == {"pyr14bf4": 1.0, "mixed": 0.8, "own": 1.0}
    sources = settings["force_fields"]
    assert {name: set(of) for name, of in sources.items()} == {
        "pyr14bf4": {"pyr14", "bf4"}, "mixed": {"li", "pf6", "dmc"}, "own": {"pyr14", "bf4"}
    }  # fmt: skip
    assert all("CL&P" in source for source in (*sources["pyr14bf4"].values(), sources["mixed"]["pf6"]))
    assert "Sage" in sources["mixed"]["dmc"] and "NAGL" in sources["mixed"]["dmc"]
    assert set(sources["own"].values()) == {"own.xml"}


@pytest.mark.parametrize(("mode", "rate"), [("finetune", 0.001), ("replay", 0.001), ("lora", 0.005), (None, 0.01)])
def test_models_that_are_tuned_get_their_weights_and_a_rate_of_their_own(
    mode: str | None, rate: float, planned: Planned
) -> None:
    Path("w.model").write_bytes(b"weights")
    Path("own.extxyz").write_text("2\nProperties=species:S:1:pos:R:3\nH 0 0 0\nH 0 0 1\n")
    content = demo()
    content["models"][0].pop("learning_rate", None)
    if mode:
        digest = hashlib.sha256(b"weights").hexdigest()
        about = {"sha256": digest, "licence": "MIT", "theory": "GFN1-xTB", "head": "dft"}
        content["models"][0] |= {"weights": "w.model", "mode": mode, **about}
    if mode == "replay":
        content["models"][0]["replay_frames"] = "own.extxyz"
    assert planned(content) == (0, [])
    settings = loaded("models/mace-both-s1.json")
    assert settings["learning_rate"] == rate
    assert settings["weights"] == ("w.model" if mode else None)
    assert settings["replay_frames"] == ("own.extxyz" if mode == "replay" else None)
    assert settings["head"] == ("dft" if mode else None)
    files = {(row["role"], Path(row["path"]).name) for row in rows("files.csv") if row["id"] == "mace-both-s1"}
    wanted = {("weights", "w.model")} if mode else set()
    assert files == wanted | ({("replay", "own.extxyz")} if mode == "replay" else set())
