"""TRAIN_MODEL: a few epochs on tiny data; forces and stress are derivatives, and a training that was cut off is gone on with."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tiny_training as tiny
from ase import Atoms

from ionmelt import frame_file
from ionmelt.errors import ModelError
from ionmelt.models import train
from ionmelt.models.calculators import load_calculator
from ionmelt.models.frameworks import nequip_training

# torch, e3nn and lightning warn of each other when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

SETTINGS = tiny.NEQUIP


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the split and the folder of a model that was trained on it."""
    split = tiny.make_dataset(tmp_path_factory.mktemp("data"), ions=True)
    return split, tiny.trained_once(train, SETTINGS, split, tmp_path_factory.mktemp("train"))


@pytest.fixture
def liquid(trained: tuple[Path, Path]) -> Atoms:
    """Return a test frame with the model."""
    atoms = frame_file.read_frames(trained[0] / "test.extxyz")[0]
    atoms.calc = load_calculator(trained[1])
    return atoms


def test_loss_falls_and_curve_has_both_sets(trained: tuple[Path, Path]) -> None:
    curve = pl.read_parquet(trained[1] / "curve.parquet")
    for name in ("train", "valid"):
        force = curve.filter(pl.col("set") == name, pl.col("quantity") == "force_rmse").sort("step")
        assert force["value"][-1] < 0.7 * force["value"][0]
        assert force["step"].to_list() == [
            7 * epoch for epoch in range(1, SETTINGS["epochs"] + 1)
        ]  # 28 frames, 4 a batch
    assert set(curve["quantity"]) == {"loss", "energy_per_atom_rmse", "force_rmse", "stress_rmse"}
    assert curve["value"].is_finite().all()


def test_what_a_study_says_stands_in_the_tools_configuration(tmp_path: Path) -> None:
    about, more = tiny.training_data(tiny.make_dataset(tmp_path, 12)), {
        "bessels": 6, "cutoff_power": 5, "ema_decay": 0.9, "plateau_factor": 0.5, "plateau_patience": 2, "plateau_threshold": 0.1,
        "least_learning_rate": 1e-4,
    }  # fmt: skip

    def read(given: dict[str, Any]) -> tuple[Any, ...]:
        settings = tiny.training_settings(SETTINGS | given)
        module: Any = nequip_training.tool_config(settings, about, tmp_path, tmp_path, "cpu")["training_module"]
        falls = {name: value for name, value in module["lr_scheduler"]["scheduler"].items() if name != "_target_"}
        return module["model"]["num_bessels"], module["model"]["polynomial_cutoff_p"], module["ema_decay"], falls

    assert read(more) == (6, 5, 0.9, {"factor": 0.5, "patience": 2, "threshold": 0.1, "min_lr": 1e-4})
    # NequIP's own example
    assert read({}) == (8, 6, 0.999, {"factor": 0.6, "patience": 5, "threshold": 0.2, "min_lr": 1e-6})


def test_errors_of_the_curve_are_those_of_the_model(trained: tuple[Path, Path]) -> None:
    # The best epoch is the last here, so that its errors are those of the weights that were kept.
    curve = pl.read_parquet(trained[1] / "curve.parquet").filter(pl.col("set") == "valid")
    last = curve.filter(pl.col("step") == curve["step"].max())
    written = dict(zip(last["quantity"], last["value"], strict=True))
    calculator = load_calculator(trained[1])
    forces, stresses, energies = [], [], []
    for atoms in frame_file.read_frames(trained[0] / "datasets" / "eq" / "valid.extxyz", labelled=True):
        label = atoms.copy()
        atoms.calc = calculator
        energies.append((atoms.get_potential_energy() - label.info["REF_energy"]) / len(atoms))
        forces.append((atoms.get_forces() - label.arrays["REF_forces"]).ravel())
        stresses.append((atoms.get_stress(voigt=False) - label.info["REF_stress"]).ravel())
    for name, errors in (
        ("energy_per_atom_rmse", np.array(energies)),
        ("force_rmse", np.concatenate(forces)),
        ("stress_rmse", np.concatenate(stresses)),
    ):
        assert written[name] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-6), name


def test_card(trained: tuple[Path, Path]) -> None:
    card = tiny.check_card(trained[1], trained[0], ["model.nequip.zip"])
    assert card["cutoff_A"] == 3.0
    assert "nequip" in card["versions"]
    loss = card["loss"]
    assert loss["weights_start"] == loss["weights_end"]
    assert loss["weights_start"]["forces"] == 1.0
    assert loss["gradient_shares_start"] == pytest.approx({"energy": 1 / 6, "forces": 1 / 2, "stress": 1 / 3}, rel=0.02)
    assert sum(loss["gradient_shares_end"].values()) == pytest.approx(1)


def test_forces_are_derivatives_of_the_energy(liquid: Atoms) -> None:
    forces = liquid.get_forces()
    start = liquid.positions.copy()
    for atom, axis in ((0, 0), (3, 1), (5, 2)):
        ends = []
        for sign in (1, -1):
            liquid.positions = start
            liquid.positions[atom, axis] += sign * 1e-4
            ends.append(liquid.get_potential_energy())
        assert forces[atom, axis] == pytest.approx((ends[1] - ends[0]) / 2e-4, abs=1e-5)


def test_stress_is_the_derivative_of_the_energy(liquid: Atoms) -> None:
    stress = liquid.get_stress(voigt=False) * liquid.get_volume()
    assert abs(stress[0, 0]) > 0.1
    for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2)):
        assert stress[i, j] == pytest.approx(tiny.strain_derivative(liquid, i, j, 1e-4), abs=1e-4)


def test_an_atom_that_sees_nothing_has_its_reference_energy(trained: tuple[Path, Path], liquid: Atoms) -> None:
    e0s = json.loads((trained[0] / "dataset.json").read_text())["datasets"]["eq"]["e0s_ev"]
    for symbol, energy in e0s.items():
        assert liquid.calc.get_potential_energy(Atoms(symbol, cell=[30] * 3, pbc=True)) == pytest.approx(energy)
    pair = [
        liquid.calc.get_potential_energy(Atoms("LiF", [[0, 0, 0], [distance, 0, 0]], cell=[30] * 3, pbc=True))
        for distance in (2.0, 2.999, 3.001)
    ]
    assert pair[2] == pytest.approx(sum(e0s.values()))  # beyond the cut-off
    assert pair[1] == pytest.approx(pair[2], abs=1e-4)  # smooth at the cut-off
    assert abs(pair[0] - pair[2]) > 1e-3
    tiny.check_single_ions(liquid.calc)


def test_elements_are_told_apart_by_their_names(liquid: Atoms) -> None:
    energy = liquid.get_potential_energy()
    backwards = Atoms(liquid.numbers[::-1], liquid.positions[::-1], cell=liquid.cell, pbc=True)
    assert liquid.calc.get_potential_energy(backwards) == pytest.approx(energy)
    exchanged = Atoms(np.where(liquid.numbers == 3, 9, 3), liquid.positions, cell=liquid.cell, pbc=True)
    assert abs(liquid.calc.get_potential_energy(exchanged) - energy) > 1e-3


def test_a_training_that_was_cut_off_is_gone_on_with(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    split, run_tool = trained[0], nequip_training.run_tool

    def cut_off(name: str, command: list[str], env: dict[str, str], cwd: Path, *rest: Any) -> None:
        config = json.loads((cwd / "config.yaml").read_text())
        config["trainer"]["max_epochs"] = 5
        (cwd / "config.yaml").write_text(json.dumps(config))
        run_tool(name, command, env, cwd, *rest)
        raise ModelError("cut off")

    def trained_with(tool: Callable[..., None]) -> int:
        monkeypatch.setattr(nequip_training, "run_tool", tool)
        tiny.write_settings(tmp_path / "settings.json", SETTINGS)
        with contextlib.chdir(tmp_path):
            return train.main([
                "--id", "m-eq-s1", "--settings", "settings.json", "--dataset", str(split / "datasets" / "eq"),
                "--summary", str(split / "datasets" / "eq" / "dataset.json"), "--out", "model", "--checkpoints", str(tmp_path / "kept"),
            ])  # fmt: skip

    (tmp_path / "kept").mkdir()
    assert trained_with(cut_off) != 0
    capfd.readouterr()
    assert trained_with(run_tool) == 0
    said = capfd.readouterr().err
    assert "going on from a checkpoint" in said
    epochs = [int(line.split()[1]) for line in said.splitlines() if line.startswith("Epoch")]
    assert epochs == list(range(6, SETTINGS["epochs"] + 1))
    whole, gone_on = (pl.read_parquet(model / "curve.parquet") for model in (trained[1], tmp_path / "model"))
    assert gone_on["step"].to_list() == whole["step"].to_list()
    kept = 5 * len(whole) // SETTINGS["epochs"]  # of the epochs before it was cut off
    np.testing.assert_allclose(gone_on["value"][:kept], whole["value"][:kept], rtol=1e-9)
    assert not list((tmp_path / "kept").iterdir())
