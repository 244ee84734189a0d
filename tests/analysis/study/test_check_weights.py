"""What is wrong with what a model says of its weights."""

import hashlib
from pathlib import Path

from planned_studies import (
    ZERO,
    Planned,
    Refusal,
    Refused,
    Spoil,
    class_model,
    demo,
    each_of,
    loaded,
    model,
    rows,
)

REFUSALS: list[Refusal] = [
    ("weights_without_particulars", model(0, weights="study.yaml"), [
        "models[0].sha256: missing: the sha256 of the weights: they are checked before they are opened",
        "models[0].licence: missing: the licence of the weights, such as MIT",
        "models[0].theory: missing: the theory that the weights imitate, such as PBE: it is compared with that of the labels",
        "models[0].mode: missing: the mode of the weights' use: zero-shot, finetune, replay or lora"]),
    ("weights_from_nothing", lambda s: s["models"].append(
        {"id": "m", "framework": "nequip", "weights": "no.zip", "sha256": ZERO, "licence": "MIT", "theory": "GFN1-xTB"}),
     [f"models[{len(demo()['models'])}].weights: a model of nequip is trained from nothing: leave this out"]),
    ("missing_weights", model(0, weights="no.model", sha256=ZERO, licence="MIT", theory="GFN1-xTB", mode="finetune"), [
        "models[0].weights: 'no.model': no such file: {here}/no.model; a path is relative to the study file"]),
    ("weights_are_a_folder", model(0, weights=".", sha256=ZERO, licence="MIT", theory="GFN1-xTB", mode="finetune"), [
        "models[0].weights: '.': {here}/. is a folder: give a file"]),
    ("mode_without_weights", model(0, mode="zero-shot"), [
        "models[0].mode: 'zero-shot': weights are missing: give their path, or leave this out"]),
    ("replay_of_nothing", model(0, weights="no.model", sha256=ZERO, licence="MIT", theory="PBE", mode="replay"), [
        "models[0].weights: 'no.model': no such file: {here}/no.model; a path is relative to the study file",
        "models[0].replay_frames: missing: extxyz of the foundation model's own data, to replay"]),
    ("a_frozen_model_to_tune", model(1, weights="m.pth", sha256=ZERO, licence="MIT", theory="GFN1-xTB", mode="finetune"), [
        "models[1].weights: 'm.pth': a frozen model cannot be fine-tuned: give its checkpoint, a .pt file",
        "models[1].weights: 'm.pth': no such file: {here}/m.pth; a path is relative to the study file"]),
    ("weights_for_no_argument", class_model(weights="no.model", sha256=ZERO, licence="MIT"), [
        "models[0].weights_argument: missing: the weights_argument of the calculator: its name for the path of the weights",
        "models[0].weights: 'no.model': no such file: {here}/no.model; a path is relative to the study file"]),
]  # fmt: skip


def test_a_calculator_of_a_file_of_the_study(planned: Planned) -> None:
    content = demo()
    entry = {"id": "own", "framework": "ase", "calculator": "sub/mine.py:make", "theory": "LJ"}
    content["models"].append(entry)
    index = len(content["models"]) - 1
    path = str(Path("sub/mine.py").absolute())
    assert planned(content) == (2, [
        f"models[{index}].calculator_sha256: missing: the sha256 of sub/mine.py: it is checked before it is imported",
        f"models[{index}].calculator: 'sub/mine.py': no such file: {path}; a path is relative to the study file",
    ])  # fmt: skip
    Path("sub").mkdir()
    Path("sub/mine.py").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    entry["calculator_sha256"] = ZERO
    assert planned(content) == (
        2,
        [f"models[{index}].calculator_sha256: sub/mine.py has sha256 {digest}, not this one"],
    )
    entry["calculator_sha256"] = digest
    assert planned(content) == (0, [])
    assert {(row["role"], row["path"]) for row in rows("files.csv") if row["id"] == "own"} == {("own_model", path)}
    told = loaded("imports/own.json")
    assert (told["calculator"], told["calculator_sha256"]) == ("mine.py:make", digest)


@each_of(REFUSALS)
def test_refusal(refused: Refused, spoil: Spoil, lines: list[str]) -> None:
    refused(spoil, lines)


def test_wrong_sha256(planned: Planned) -> None:
    Path("w.model").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    content = demo()
    content["models"][0] |= {
        "weights": "w.model",
        "sha256": ZERO,
        "licence": "MIT",
        "theory": "GFN1-xTB",
        "mode": "finetune",
    }
    assert planned(content) == (2, [f"models[0].sha256: w.model has sha256 {digest}, not this one"])
    content["models"][0]["sha256"] = digest
    assert planned(content) == (0, [])
    path = str(Path("w.model").resolve())
    # the weights themselves are evaluated too, and not run
    assert [tuple(row.values()) for row in rows("files.csv")][:2] == [
        ("own_model", "mace-start", path),
        ("weights", "mace-both-s1", path),
    ]
    assert loaded("imports/mace-start.json")["sha256"] == digest
    assert {row["start"] for row in rows("models.csv") if row["model"] == "mace"} == {"mace-start"}
    assert not any(row["model_key"] == "mace-start" for row in rows("runs.csv"))
    assert loaded("models/mace-both-s1.json")["weights"] == "w.model"
