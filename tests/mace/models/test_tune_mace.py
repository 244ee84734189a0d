"""TRAIN_MODEL from a foundation model: each mode, its reference energies, what is refused, and a training that is killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import polars as pl
import pytest
import tiny_training as tiny
from ase import Atoms

from ionmelt import frame_file
from ionmelt.dynamics.engines import choice
from ionmelt.files import sha256
from ionmelt.frame import frame_id
from ionmelt.models import train
from ionmelt.models.calculators import load_calculator
from ionmelt.models.frameworks import mace_foundation

SCRIPT = str(Path(__file__).resolve().parents[3] / "bin" / "train_model.py")
# torch, e3nn and mace warn of each other when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

TUNE = tiny.MACE | {
    "sha256": "", "licence": "MIT", "theory": "Lennard-Jones", "head": None, "freeze": "none", "lora_rank": 2,
    "replay_per_frame": 1.0, "learning_rate": 0.005, "epochs": 4,
}  # fmt: skip
NUMBERS = {"Li": 3, "F": 9, "Na": 11}


def old_frames(count: int) -> list[Atoms]:
    """Return frames of the foundation model's own chemistry: some Li are Na, and an atom has 3 eV more than in the tuned frames."""
    frames = []
    for index, frame in enumerate(tiny.make_frames(count, seed=7)):
        if index % 2:
            frame.numbers[np.flatnonzero(frame.numbers == 3)[:2]] = 11
        frame.info["REF_energy"] += 3.0 * len(frame)
        frame.info["frame_id"] = frame_id(frame)
        frames.append(frame)
    return frames


def run(work: Path, split: Path, settings: dict[str, Any], *more: str) -> int:
    """Train in a folder with settings; returns the exit code."""
    work.mkdir(exist_ok=True)
    tiny.write_settings(work / "settings.json", settings)
    with contextlib.chdir(work):
        return train.main([*tiny.arguments(work, split), *more])


@pytest.fixture(scope="module")
def foundation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Train a foundation model on Li, Na and F; returns its weights and frames of its own data."""
    frames = old_frames(36)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "make_frames", lambda count: frames)
        split = tiny.make_dataset(tmp_path_factory.mktemp("old"))
    work = tmp_path_factory.mktemp("foundation")
    tiny.trained_once(train, tiny.MACE | {"epochs": 12}, split, work)
    # Under the plain names that ASE puts into a calculator: MACE itself would give these labels a weight of zero.
    replay = work / "replay.extxyz"
    plain = []
    for frame in frames:
        copy = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
        copy.info |= {"energy": frame.info["REF_energy"], "stress": np.asarray(frame.info["REF_stress"]).reshape(3, 3)}
        copy.arrays["forces"] = frame.arrays["REF_forces"]
        plain.append(copy)
    ase.io.write(replay, plain, format="extxyz")
    return work / "model" / "model.pt", replay


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_dataset(tmp_path_factory.mktemp("data"))


def settings_of(foundation: tuple[Path, Path], mode: str, **more: Any) -> dict[str, Any]:
    digest = sha256(foundation[0])
    replay = {"replay_frames": foundation[1].name} if mode == "replay" else {}
    return TUNE | {"mode": mode, "weights": foundation[0].name, "sha256": digest} | replay | more


def files_of(foundation: tuple[Path, Path], mode: str) -> list[str]:
    return ["--weights", str(foundation[0]), *(["--replay", str(foundation[1])] if mode == "replay" else [])]


@pytest.fixture(scope="module")
def tuned(foundation: tuple[Path, Path], split: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tune in each mode; returns the model folders."""
    models = {}
    for mode in ("finetune", "replay", "lora"):
        work = tmp_path_factory.mktemp(mode)
        assert run(work, split, settings_of(foundation, mode), *files_of(foundation, mode)) == 0
        models[mode] = work / "model"
    return models


def weights_of(model: Path) -> dict[str, np.ndarray]:
    """Return the numbers of a model's file, by name."""
    import mace.modules  # noqa: F401
    import torch

    return {k: v.numpy() for k, v in torch.load(model, weights_only=False).state_dict().items()}


@pytest.mark.all
def test_every_mode_starts_from_the_foundation_model_with_its_reference_energies_moved(
    foundation: tuple[Path, Path], tuned: dict[str, Path]
) -> None:
    old = mace_foundation.read_foundation(foundation[0], "m", None).e0s_ev
    for mode, model in tuned.items():
        card = json.loads((model / "model.json").read_text())
        start = card["tuned_from"]["start"]
        # The zero of the tuned frames is 3 eV an atom lower: that goes into the reference energies, of Na too, and not into
        # what the model has learnt.
        assert start["energy_offset_ev_per_atom"] == pytest.approx(-3.0, abs=0.3)
        assert start["energy_rmse_ev_per_atom_after_offset"] < 0.1
        assert card["elements"] == ["Li", "F", "Na"]
        for symbol, number in NUMBERS.items():
            assert card["e0s_ev"][symbol] - old[number] == pytest.approx(-3.0, abs=0.4)
        atom = Atoms("Na", cell=[30, 30, 30], pbc=True)
        atom.calc = load_calculator(model)
        lone = atom.get_potential_energy()
        atom.calc = load_calculator(foundation[0].parent)
        assert lone - atom.get_potential_energy() == pytest.approx(-3.0, abs=0.5)
        curve = pl.read_parquet(model / "curve.parquet").filter(pl.col("set") == "valid").sort("step")
        first = curve.filter(pl.col("quantity") == "energy_per_atom_rmse")["value"][0]
        assert first == pytest.approx(start["energy_rmse_ev_per_atom_after_offset"], abs=0.05)
        assert card["licence"] == "MIT"
        assert card["tuned_from"]["sha256"] == sha256(foundation[0])
        assert (card["uses_charge"], card["uses_spin"]) == (False, False)
        assert mode == card["settings"]["mode"]


@pytest.mark.all
def test_replay_trains_both_heads_and_the_new_one_is_used(
    foundation: tuple[Path, Path], tuned: dict[str, Path]
) -> None:
    import mace.modules  # noqa: F401
    import torch

    model = tuned["replay"] / "model.pt"
    loaded = torch.load(model, weights_only=False)
    assert loaded.heads == ["pt_head", "Default"]
    old = mace_foundation.read_foundation(foundation[0], "m", None).e0s_ev
    np.testing.assert_allclose(loaded.atomic_energies_fn.atomic_energies.numpy()[0], [old[z] for z in (3, 9, 11)])
    assert load_calculator(tuned["replay"]).head == "Default"
    card = json.loads((tuned["replay"] / "model.json").read_text())
    assert (card["heads"], card["head"]) == (["pt_head", "Default"], "Default")
    about = card["tuned_from"]["replay"]
    assert about["train"] + about["valid"] <= about["frames"] == 36
    # The replayed labels have weight: their loss is not zero, and falls or stays.
    curve = pl.read_parquet(tuned["replay"] / "curve.parquet").filter(pl.col("set") == "replay").sort("step")
    assert (curve.filter(pl.col("quantity") == "loss")["value"] > 0).all()
    assert set(curve["quantity"]) == {"loss", "energy_per_atom_rmse", "force_rmse", "stress_rmse"}
    for frame in ase.io.read(tuned["replay"].parent / "training" / "replay" / "train.extxyz", ":"):
        assert {"REF_energy", "REF_stress"} <= set(frame.info)
        assert "REF_forces" in frame.arrays


@pytest.mark.all
def test_low_rank_changes_are_merged_and_few(foundation: tuple[Path, Path], tuned: dict[str, Path]) -> None:
    old, new = weights_of(foundation[0]), weights_of(tuned["lora"] / "model.pt")
    assert set(new) == set(old)
    changed = {name for name in old if old[name].size and not np.array_equal(old[name], new[name])}
    assert changed
    assert not any("symmetric_contractions" in name for name in changed)  # these have no low-rank form: they stay
    naive = weights_of(tuned["finetune"] / "model.pt")
    assert any("symmetric_contractions" in name and not np.array_equal(old[name], naive[name]) for name in old)


@pytest.mark.all
def test_frozen_parts_stay(foundation: tuple[Path, Path], split: Path, tmp_path: Path) -> None:
    settings = settings_of(foundation, "finetune", freeze="products", epochs=1)
    assert run(tmp_path / "work", split, settings, *files_of(foundation, "finetune")) == 0
    old, new = weights_of(foundation[0]), weights_of(tmp_path / "work" / "model" / "model.pt")
    changed = {name.split(".")[0] for name in old if not np.array_equal(old[name], new[name])}
    assert changed == {"readouts", "atomic_energies_fn"}


@pytest.mark.all
def test_two_heads_run_in_every_engine(tuned: dict[str, Path], tmp_path: Path) -> None:
    state = tiny.make_state(tmp_path / "state")
    atoms = ase.io.read(state / "start.extxyz")
    plain, _ = choice.load_engine(tuned["replay"], state, 1, atoms, "plain")
    frame = (atoms.positions, atoms.cell.array)
    expected = plain.compute([frame], [0])[0]
    from mace.tools.torch_tools import default_dtype  # here, for it warns when it is imported

    for name in ("fused", "direct"):
        engine, probe = choice.load_engine(tuned["replay"], state, 1, atoms, name)
        assert engine.name == name, probe
        with default_dtype("float64"):  # of a process in which something else asks for it
            answer = engine.compute([frame, frame], [0, 1])[1]
        assert answer.energy == pytest.approx(expected.energy, abs=1e-3)
        np.testing.assert_allclose(answer.forces, expected.forces, atol=1e-4)
        np.testing.assert_allclose(answer.stress, expected.stress, atol=1e-5)


@pytest.mark.all
@pytest.mark.parametrize(
    "more",
    [pytest.param({}, id="one stage", marks=pytest.mark.long), pytest.param({"stage_two": 0.7}, id="in stage two")],
)
def test_a_killed_tuning_ends_with_the_same_numbers(
    more: dict[str, Any], foundation: tuple[Path, Path], split: Path, tmp_path: Path
) -> None:
    # So large a step spoils the foundation model: its best epoch is one of the first, where MACE's own restart would begin again.
    settings = settings_of(foundation, "finetune", learning_rate=0.3, epochs=14, **more)
    files = files_of(foundation, "finetune")
    assert run(tmp_path / "whole", split, settings, *files) == 0
    curve = pl.read_parquet(tmp_path / "whole" / "model" / "curve.parquet")
    loss = curve.filter(pl.col("set") == "valid", pl.col("quantity") == "loss").sort("step")["value"].to_numpy()

    work, kept = tmp_path / "killed", tmp_path / "checkpoints"
    work.mkdir()
    kept.mkdir()
    (kept / "README.txt").write_text("checkpoints")
    tiny.write_settings(work / "settings.json", settings)
    command = [
        sys.executable,
        SCRIPT,
        *tiny.arguments(work, split),
        *files,
        "--checkpoints",
        str(kept / "README.txt"),
    ]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, cwd=work, env=env, stderr=subprocess.DEVNULL, start_new_session=True)
    begun: set[int] = set()
    while len(begun) < 6:  # early enough that gradients are clipped: by nothing that a state does not hold
        assert process.poll() is None
        time.sleep(0.1)
        for path in kept.glob("*/model_run-1_train.txt"):
            lines = path.read_text().splitlines()[:-1]
            begun = {record["epoch"] for record in map(json.loads, lines) if record["mode"] == "opt"}
    process.send_signal(signal.SIGKILL)  # the task alone: MACE's process has to die with it
    process.wait()
    assert list(kept.glob("*/state"))
    done = subprocess.run(command, cwd=work, env=env, stderr=subprocess.PIPE, text=True, check=True)
    again = [
        int(line.split("Epoch ")[1].split(":")[0])
        for line in done.stderr.splitlines()
        if "Epoch " in line and "head" in line
    ]
    assert again == list(range(again[0], 14))
    assert again[0] >= 3
    assert more or again[0] > np.argmin(loss[1 : again[0] + 1]), loss  # not the best epoch of before
    assert sorted(path.name for path in kept.iterdir()) == ["README.txt"]  # nothing is left of it

    whole, resumed = (weights_of(tmp_path / name / "model" / "model.pt") for name in ("whole", "killed"))
    for name, value in whole.items():
        np.testing.assert_array_equal(value, resumed[name])
    assert curve.equals(pl.read_parquet(work / "model" / "curve.parquet"))


def test_what_cannot_be_tuned_is_refused_with_one_line(
    foundation: tuple[Path, Path], split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, replay = foundation
    frames = ase.io.read(replay, ":")

    def refused(line: str, settings: dict[str, Any], weights: Path = model, replayed_frames: Path = replay) -> None:
        code = run(tmp_path / "work", split, settings, "--weights", str(weights), "--replay", str(replayed_frames))
        said = capsys.readouterr().err.strip().splitlines()
        assert code == 2, said
        assert [line_said for line_said in said if line_said.startswith("error: ")] == said
        assert line in said[0]
        assert not (tmp_path / "work" / "model").exists()

    wrong = tmp_path / "boom.model"
    wrong.write_bytes(b"cposix\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    refused("weights: boom.model: sha256 is", settings_of(foundation, "finetune"), wrong)
    assert not (tmp_path / "ran").exists()  # a pickle with a side effect was not opened
    text = tmp_path / "text.model"
    text.write_text("no model")
    digest = sha256(text)
    named = settings_of(foundation, "finetune", sha256=digest, weights="text.model")
    refused("weights: text.model is no MACE model", named, text)
    refused(
        "head: 'dft' is none of the heads of model.pt: did you mean Default? give one of Default",
        settings_of(foundation, "finetune", head="dft"),
    )

    plain = frame_file.read_frames(split / "datasets" / "eq" / "train.extxyz", labelled=True)
    for frame in plain:
        frame.numbers[:1] = 19
    foundation_read = mace_foundation.read_foundation(model, "m", None)
    with pytest.raises(mace_foundation.UserError, match=r"weights: model\.pt does not know K; it knows Li, F, Na"):
        mace_foundation.tuned_energies(foundation_read, plain, "m")

    def replayed(name: str, change: Any) -> Path:
        path = tmp_path / f"{name}.extxyz"
        changed = [frame.copy() for frame in frames]
        for copy, frame in zip(changed, frames, strict=True):
            copy.info["REF_energy"] = frame.get_potential_energy()
            copy.arrays["REF_forces"] = frame.get_forces()
            change(copy)
        ase.io.write(path, changed, format="extxyz")
        return path

    mode = settings_of(foundation, "replay")
    refused(
        "have no forces (the first is frame 0)",
        mode,
        replayed_frames=replayed("a", lambda f: f.arrays.pop("REF_forces")),
    )
    refused(
        "has K, which model.pt does not know",
        mode,
        replayed_frames=replayed("b", lambda f: f.numbers.__setitem__(0, 19)),
    )

    def moved(frame: Atoms) -> None:
        frame.info["REF_energy"] += 2.0 * len(frame)

    def turned(frame: Atoms) -> None:
        frame.arrays["REF_forces"] *= -1

    refused("are off by -2.", mode, replayed_frames=replayed("c", moved))
    refused("themselves: give the foundation model's own data", mode, replayed_frames=replayed("d", turned))
    garbage = tmp_path / "garbage.extxyz"
    garbage.write_text("what\n")
    refused("is not a readable extended XYZ file", mode, replayed_frames=garbage)
