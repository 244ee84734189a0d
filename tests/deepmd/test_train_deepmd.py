"""TRAIN_DEEPMD: some steps on tiny data; the model is the same for the same seed, and its stress is a derivative."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tiny_training as tiny
from ase import Atoms

import il_frames
import train_deepmd
from il_models import load_calculator

# torch and deepmd warn of each other when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

SETTINGS = tiny.DEEPMD


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the split and the folder of a model that was trained on it."""
    split = tiny.make_dataset(tmp_path_factory.mktemp("data"), ions=True)
    return split, tiny.trained_once(train_deepmd, SETTINGS, split, tmp_path_factory.mktemp("train"))


def test_loss_falls_and_curve_has_both_sets(trained: tuple[Path, Path]) -> None:
    curve = pl.read_parquet(trained[1] / "curve.parquet")
    for name in ("train", "valid"):
        force = curve.filter(pl.col("set") == name, pl.col("quantity") == "force_rmse").sort("step")
        # A value is the error of a batch or a few.
        assert force["value"][-10:].mean() < 0.7 * force["value"][:2].mean()
        assert force["step"][-1] == SETTINGS["steps"]
    assert set(curve["quantity"]) == {"loss", "energy_per_atom_rmse", "force_rmse", "virial_per_atom_rmse"}
    assert curve["value"].is_finite().all()


def test_card(trained: tuple[Path, Path]) -> None:
    card = tiny.check_card(trained[1], trained[0], ["model.pt", "model_frozen.pth", "model.pth"])
    assert card["load"] == "model.pth"
    assert card["cutoff_A"] == 3.0
    assert "deepmd-kit" in card["versions"]


@pytest.mark.all
def test_same_seed_same_model(trained: tuple[Path, Path], tmp_path: Path) -> None:
    forces = []
    for model in (trained[1], tiny.train(train_deepmd, SETTINGS, trained[0], tmp_path)):
        atoms = il_frames.read_frames(trained[0] / "test.extxyz")[0]
        atoms.calc = load_calculator(model)
        forces.append(atoms.get_forces())
    np.testing.assert_array_equal(forces[0], forces[1])


def test_compressed_model_is_the_frozen_one(trained: tuple[Path, Path], tmp_path: Path) -> None:
    card = json.loads((trained[1] / "model.json").read_text())
    (tmp_path / "model_frozen.pth").write_bytes((trained[1] / "model_frozen.pth").read_bytes())
    card["files"] = {"model_frozen.pth": card["files"]["model_frozen.pth"]}
    (tmp_path / "model.json").write_text(json.dumps(card | {"load": "model_frozen.pth"}))
    atoms = il_frames.read_frames(trained[0] / "test.extxyz")[0]
    found = []
    for model in (tmp_path, trained[1]):
        atoms.calc = load_calculator(model)
        found.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-4)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-4)
    np.testing.assert_allclose(found[0][2], found[1][2], atol=1e-5)


def test_stress_is_the_derivative_of_the_energy(trained: tuple[Path, Path]) -> None:
    atoms = il_frames.read_frames(trained[0] / "test.extxyz")[0]
    atoms.calc = load_calculator(trained[1])
    stress = atoms.get_stress(voigt=False) * atoms.get_volume()
    for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2)):
        # The model is in single precision: a wider step, and what it leaves of the digits.
        assert stress[i, j] == pytest.approx(
            tiny.strain_derivative(atoms, i, j, 2e-3), abs=0.01 + 0.02 * abs(stress[i, j])
        )


def test_reference_energies_are_those_of_the_dataset(trained: tuple[Path, Path]) -> None:
    e0s = json.loads((trained[0] / "dataset.json").read_text())["datasets"]["eq"]["e0s_ev"]
    model = json.loads((trained[1].parent / "training" / "input.json").read_text())["model"]
    assert model["preset_out_bias"]["energy"] == [e0s["Li"], e0s["F"]]
    atom = Atoms("F", cell=[30, 30, 30], pbc=True)
    atom.calc = load_calculator(trained[1])
    assert atom.get_potential_energy() == pytest.approx(e0s["F"], abs=1.0)


def test_neighbours_are_counted_like_by_hand(trained: tuple[Path, Path]) -> None:
    folder = trained[0] / "datasets" / "eq" / "deepmd" / "train"
    found = train_deepmd.most_neighbours(train_deepmd.read_systems(folder), 2, 3.0)
    most = np.zeros(2, dtype=int)
    images = np.array([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)])
    for frame in il_frames.read_frames(folder.parent.parent / "train.extxyz"):
        everywhere = (frame.positions[None] + (images @ frame.cell.array)[:, None]).reshape(-1, 3)
        types = np.tile(frame.numbers == 9, 27).astype(int)
        for position in frame.positions:
            distance = np.linalg.norm(everywhere - position, axis=1)
            near = types[(distance < 3.0) & (distance > 1e-9)]
            most = np.maximum(most, [np.sum(near == 0), np.sum(near == 1)])
    assert found == most.tolist()


def test_an_ion_alone_is_learned_and_judged(trained: tuple[Path, Path]) -> None:
    tiny.check_single_ions(load_calculator(trained[1]))


def test_deepmd_reads_the_same_labels(trained: tuple[Path, Path]) -> None:
    from deepmd.utils.data import DeepmdData

    folder = trained[0] / "datasets" / "eq"
    frames = il_frames.read_frames(folder / "train.extxyz", labelled=True)
    read = 0
    for system in sorted((folder / "deepmd" / "train").iterdir()):
        data = DeepmdData(str(system), type_map=["Li", "F"])
        data.add("energy", 1, atomic=False, must=True, high_prec=True)
        data.add("force", 3, atomic=True, must=True, high_prec=True)
        data.add("virial", 9, atomic=False, must=True, high_prec=True)
        content = data._load_set(data.dirs[0])
        symbols = [data.get_type_map()[i] for i in data.get_atom_type()]
        # DeePMD sorts the atoms by type: stable, so that each frame's own sort compares.
        for frame in frames:
            order = np.argsort(frame.numbers, kind="stable")
            if sorted(symbols) != sorted(frame.get_chemical_symbols()):
                continue
            (row,) = np.flatnonzero(content["energy"][:, 0] == frame.info["REF_energy"])
            np.testing.assert_array_equal(content["force"][row].reshape(-1, 3), frame.arrays["REF_forces"][order])
            virial = content["virial"][row].reshape(3, 3)
            np.testing.assert_allclose(virial, -frame.info["REF_stress"] * frame.get_volume(), rtol=1e-12, atol=1e-12)
            read += 1
    assert read == len(frames)
