"""The keys of models, their datasets, and their levels of theory."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from planned_studies import Planned, demo, loaded, rows


def test_sizes_are_datasets_of_their_own(planned: Planned) -> None:
    assert planned(demo() | {"sizes": [4, 8]}) == (0, [])
    names = {"both", "both.4", "both.8", "eq", "eq.4", "eq.8"}
    trained = [row for row in rows("models.csv") if row["framework"] == "mace"]
    assert {row["dataset"] for row in trained} == names
    assert all(row["dataset"] == row["mixture"] + (row["size"] and f".{row['size']}") for row in trained)
    assert {row["size"] for row in trained} > {""}
    settings = loaded("dataset.json")
    assert set(settings["datasets"]) == names
    assert settings["datasets"]["both.4"] == settings["datasets"]["both"]
    assert settings["sizes"] == {"both.4": 4, "both.8": 8, "eq.4": 4, "eq.8": 8}


def test_keys_and_files_belong_together(planned: Planned) -> None:
    assert planned(demo()) == (0, [])
    boxes, states, models, runs = (rows(f"{name}.csv") for name in ("boxes", "states", "models", "runs"))
    assert [row["key"] for row in boxes] == ["pyr14bf4-r1", "pyr14bf4-r2"]
    assert [row["key"] for row in states] == ["pyr14bf4-430K-r1", "pyr14bf4-430K-r2"]
    assert [row["key"] for row in models if row["framework"] == "mace"] == [
        "mace-both-s1", "mace-both-s2", "mace-eq-s1", "mace-eq-s2"]  # fmt: skip
    assert (models[-1]["key"], models[-1]["framework"], models[-1]["role"]) == ("labels", "xtb", "labels")
    assert models[-2] == {
        "key": "clp",
        "model": "clp",
        "framework": "classical",
        "dataset": "",
        "seed": "",
        "trained": "false",
        "imported": "false",
        "image": "analysis",
        "environment": "analysis",
        "role": "model",
        "start": "",
        "mixture": "",
        "size": "",
        "theory": "",
        "labels_theory": "GFN1-xTB",
        "same_theory": "",
    }
    assert len(runs) == 2 * 9
    folder = Path("plan")
    assert {(row["image"], row["environment"]) for row in runs if "-mace-" in row["key"]} == {("mace", "mace")}
    for table, names in (("boxes", boxes), ("states", states), ("runs", runs)):
        assert {path.stem for path in (folder / table).glob("*.json")} == {row["key"] for row in names}
        for row in names:
            assert loaded(f"{table}/{row['key']}.json")["id"] == row["key"]
    assert {p.name.removesuffix(".json") for p in (folder / "models").iterdir()} == {
        m["key"] for m in models if m["trained"] == "true"
    }
    assert {p.name for p in (folder / "cards").iterdir()} == {"clp", "labels"}
    assert rows("samples.csv") == [{"key": "pyr14bf4"}]


@pytest.mark.parametrize(
    ("theory", "dispersion", "mode", "labels", "said"),
    [
        ("PBE", None, "zero-shot", "PBE-D3(BJ)", "mace imitates PBE, the labels are PBE-D3(BJ)"),
        ("PBE", {"functional": "PBE"}, "zero-shot", "PBE-D3(BJ)", None),
        ("pbe-d3(bj)", None, "zero-shot", "PBE-D3(BJ)/TZV2P, CP2K 2025.1", None),
        ("PBE-D3(BJ)", None, "finetune", "PBE-D3(BJ)/TZV2P, CP2K 2025.1", None),
        ("PBE", None, "replay", "PBE-D3(BJ)", None),
    ],
)
def test_levels_of_theory_are_compared(
    theory: str, dispersion: Any, mode: str, labels: str, said: str | None, planned: Planned
) -> None:
    Path("mine.extxyz").write_text("2\nProperties=species:S:1:pos:R:3\nH 0 0 0\nH 0 0 1\n")
    Path("w.model").write_bytes(b"weights")
    content = demo() | {"labels": {"frames": "mine.extxyz", "theory": labels}}
    del content["sampling"]
    digest = hashlib.sha256(b"weights").hexdigest()
    content["models"][0] |= {"weights": "w.model", "sha256": digest, "licence": "MIT", "theory": theory, "mode": mode}
    if mode == "replay":
        content["models"][0]["replay_frames"] = "mine.extxyz"
    if dispersion:
        content["models"][0]["dispersion"] = dispersion
    assert planned(content) == (0, [])
    lines = [line for line in Path("plan/warnings.txt").read_text().splitlines() if ".theory" in line]
    assert [said in line for line in lines] == ([True] if said else [])
    (row,) = [row for row in rows("models.csv") if row["model"] == "mace" and row["theory"]] or [{"same_theory": ""}]
    assert row["same_theory"] == ("" if mode in ("finetune", "replay") else "false" if said else "true")
