"""TRAIN_MODEL: some steps on tiny data; the model is the same for the same seed, and its stress is a derivative."""

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import tiny_training as tiny
from ase import Atoms

from ionmelt import frame_file
from ionmelt.models import loss as models_loss
from ionmelt.models import pace, train
from ionmelt.models.calculators import load_calculator
from ionmelt.models.frameworks import deepmd_net, deepmd_tool, deepmd_training

# torch and deepmd warn of each other when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

SETTINGS = tiny.DEEPMD


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the split and the folder of a model that was trained on it."""
    split = tiny.make_dataset(tmp_path_factory.mktemp("data"), ions=True)
    return split, tiny.trained_once(train, SETTINGS, split, tmp_path_factory.mktemp("train"))


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


def test_card_says_what_share_of_the_gradient_each_term_had(trained: tuple[Path, Path]) -> None:
    loss = json.loads((trained[1] / "model.json").read_text())["loss"]
    assert loss["weights_start"] == {"energy": 0.02, "forces": 100.0, "stress": 0.02}
    for end in ("start", "end"):
        shares = loss[f"gradient_shares_{end}"]
        assert sum(shares.values()) == pytest.approx(1)
        assert min(shares.values()) > 0


def scheduled(steps: int, **more: float | str) -> tuple[Any, dict[str, Any]]:
    """Return DeePMD's own schedule of the learning rate, and the settings of its loss, for a number of steps."""
    from deepmd.dpmodel.utils.learning_rate import LearningRateExp

    tool = deepmd_training.tool_input(
        tiny.training_settings(SETTINGS | {"steps": steps} | more),
        deepmd_net.Net(type_map=[], descriptor=deepmd_net.Descriptor(type="se_e2_a")),
        Path("nowhere"),
        Path("kept"),
    )
    settings = {name: value for name, value in tool["learning_rate"].items() if name != "type"}
    return LearningRateExp(num_steps=steps, **settings), tool["loss"]


@pytest.mark.parametrize("steps", [7, 800, 400_000])
def test_the_schedule_is_a_function_of_the_steps_that_there_are(steps: int) -> None:
    schedule, _ = scheduled(steps, learning_rate=0.01, final_learning_rate=0.0004)
    assert schedule.value(0) == pytest.approx(0.01)
    assert schedule.value(steps) == pytest.approx(0.0004)
    for step in range(0, steps + 1, max(1, steps // 5)):
        assert schedule.value(step) == pytest.approx(0.01 * (0.0004 / 0.01) ** (step / steps))


def test_the_rate_falls_in_steps_where_the_study_says_so() -> None:
    schedule, _ = scheduled(1000, learning_rate=0.01, final_learning_rate=0.0001, decay_steps=100)
    assert schedule.value(0) == schedule.value(99) == pytest.approx(0.01)
    assert schedule.value(100) == schedule.value(199) == pytest.approx(0.01 * 0.01**0.1)


def test_what_a_study_says_of_the_net_stands_in_the_tools_input(trained: tuple[Path, Path]) -> None:
    from deepmd.utils.argcheck import normalize

    folder, about = trained[0] / "datasets" / "eq" / "deepmd", tiny.training_data(trained[0])
    more = {
        "neighbour_margin": 2.0, "type_one_side": False, "resnet_dt": True, "fitting_resnet_dt": False, "precision": "float64",
        "statistics_frames": 3, "clip_grad": 7.0, "validation_batches": 1,
    }  # fmt: skip

    def tool(given: dict[str, Any]) -> Any:
        settings = tiny.training_settings(SETTINGS | given)
        net = deepmd_net.new_model(settings, about, folder)
        return normalize(deepmd_training.tool_input(settings, net, folder, Path("kept")))

    changed, default = tool(more), tool({})
    descriptor, fitting = changed["model"]["descriptor"], changed["model"]["fitting_net"]
    assert (descriptor["type_one_side"], descriptor["resnet_dt"], descriptor["precision"]) == (False, True, "float64")
    assert (fitting["resnet_dt"], fitting["precision"], changed["model"]["data_stat_nbatch"]) == (False, "float64", 3)
    most = deepmd_net.most_neighbours(deepmd_net.read_systems(folder / "train"), 2, 3.0)
    assert all(2 * count <= room < 2 * count + 4 for count, room in zip(most, descriptor["sel"], strict=True))
    assert (changed["training"]["gradient_max_norm"], changed["training"]["validation_data"]["numb_btch"]) == (7.0, 1)
    # What DeePMD's own example of water gives, or leaves to its defaults.
    descriptor, fitting = default["model"]["descriptor"], default["model"]["fitting_net"]
    assert (descriptor["type_one_side"], descriptor["resnet_dt"], fitting["resnet_dt"]) == (True, False, True)
    assert (default["model"]["data_stat_nbatch"], default["training"].get("gradient_max_norm", 0)) == (20, 0)


def test_forces_keep_their_weight_where_the_study_leaves_it_open() -> None:
    from deepmd.pt.loss import EnergyStdLoss

    left_open = {f"{end}_pref_{letter}": "auto" for end in ("start", "limit") for letter in "efv"}
    schedule, settings = scheduled(800, **left_open)
    loss = EnergyStdLoss(schedule.start_lr, **{name: value for name, value in settings.items() if name != "type"})
    trainer = SimpleNamespace(loss=loss, lr_schedule=schedule, num_steps=800)
    weights = deepmd_training.weights_of_loss(tiny.training_settings(SETTINGS | left_open))
    assert weights == {end: dict.fromkeys(models_loss.TERMS) for end in ("start", "limit")}
    # DeePMD's own formula: with its prefactors of 1000 and 1, forces would have 21 of 1000 left after 500 of 800 steps.
    for step in (0, 500, 800):
        coefficient = schedule.value(step) / trainer.loss.starter_learning_rate
        assert loss.limit_pref_f + (loss.start_pref_f - loss.limit_pref_f) * coefficient == pytest.approx(1.0)


def test_weights_that_are_found_give_each_term_its_part_of_the_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from deepmd.pt.loss import EnergyStdLoss
    from deepmd.pt.model.model import get_model

    monkeypatch.setattr(models_loss, "BATCHES", 3)
    split = tiny.make_dataset(tmp_path, 12)
    folder = split / "datasets" / "eq" / "deepmd"
    about = tiny.training_data(split)
    torch.manual_seed(1)
    model = get_model(
        deepmd_net.new_model(tiny.training_settings(SETTINGS), about, folder).model_dump(exclude_unset=True)
    )
    e0s = torch.tensor([about.e0s_ev[symbol] for symbol in ("Li", "F")])
    model.get_out_bias()[0].copy_(e0s[:, None])  # as a training does when it begins
    system = sorted(path.parent for path in (folder / "train").glob("*/type.raw"))[0]
    types = np.loadtxt(system / "type.raw", dtype=int)
    labels = {
        name: np.load(system / "set.000" / f"{name}.npy") for name in ("coord", "box", "energy", "force", "virial")
    }
    batches = []
    for i in range(len(labels["box"])):
        held = {name: torch.tensor(value[i].reshape(1, -1)) for name, value in labels.items()}
        given = {
            "coord": held["coord"].reshape(1, -1, 3).requires_grad_(True),
            "atype": torch.tensor(types)[None],
            "box": held["box"],
        }
        labels_of_frame = {"energy": held["energy"], "force": held["force"].reshape(1, -1, 3), "virial": held["virial"]}
        batches.append((given, labels_of_frame | dict.fromkeys(("find_energy", "find_force", "find_virial"), 1.0), {}))
    places = itertools.cycle(batches)
    trainer = SimpleNamespace(
        wrapper=SimpleNamespace(model={"Default": model}, train=model.train),
        get_data=lambda is_train: next(places),
        loss=EnergyStdLoss(0.01, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        lr_schedule=SimpleNamespace(value=lambda step: 0.0001),
        num_steps=10,
    )
    ran = []
    open_ = {end: dict.fromkeys(models_loss.TERMS) for end in ("start", "limit")}
    deepmd_tool.with_own_weights(ran.append, tmp_path / "loss.json", open_)(trainer)
    assert ran == [trainer]
    record = models_loss.LossRecord.read(tmp_path / "loss.json")
    assert record is not None
    parts = {"energy": 1 / 6, "forces": 1 / 2, "stress": 1 / 3}
    assert record.gradient_shares_start == pytest.approx(parts, rel=0.02)
    # By hand: the gradient that the labels, less the reference energies, exert on the weights.
    squares = dict.fromkeys(models_loss.TERMS, 0.0)
    parameters = [p for p in model.parameters() if p.requires_grad]
    for i in range(models_loss.BATCHES):
        given, labels_of_frame, _ = batches[i % len(batches)]
        out = model(**given)
        atoms = len(types)
        reference = float(e0s[types].sum())
        errors = {
            "energy": (labels_of_frame["energy"] - reference, out["energy"], 1 / atoms),
            "forces": (labels_of_frame["force"], out["force"], 1.0),
            "stress": (labels_of_frame["virial"], out["virial"].reshape(1, 9), 1 / atoms),
        }
        for name, (label, value, factor) in errors.items():
            scale = 2 * factor / label.numel()
            gradients = torch.autograd.grad(
                (scale * label * value).sum(), parameters, retain_graph=True, allow_unused=True
            )
            squares[name] += sum(float(length.double().square().sum()) for length in gradients if length is not None)
    ratio = {name: 2 * length * (squares["forces"] / squares[name]) ** 0.5 for name, length in parts.items()}
    assert record.weights_start == pytest.approx(ratio, rel=0.02)
    assert trainer.loss.start_pref_e == record.weights_start["energy"]
    # A training that was killed goes on with the weights that it began with.
    changed = record.model_copy(update={"weights_start": record.weights_start | {"energy": 7.0}})
    changed.write(tmp_path / "loss.json")
    deepmd_tool.with_own_weights(ran.append, tmp_path / "loss.json", open_)(trainer)
    assert trainer.loss.start_pref_e == 7.0


@pytest.mark.all
def test_same_seed_same_model(trained: tuple[Path, Path], tmp_path: Path) -> None:
    forces = []
    for model in (trained[1], tiny.train(train, SETTINGS, trained[0], tmp_path)):
        atoms = frame_file.read_frames(trained[0] / "test.extxyz")[0]
        atoms.calc = load_calculator(model)
        forces.append(atoms.get_forces())
    np.testing.assert_array_equal(forces[0], forces[1])


def test_compressed_model_is_the_frozen_one(trained: tuple[Path, Path], tmp_path: Path) -> None:
    same_as_frozen(trained[1], trained[0], tmp_path / "frozen")


def same_as_frozen(compressed: Path, split: Path, folder: Path) -> None:
    """Assert that a compressed model gives the numbers of the frozen one, of which a folder is made."""
    folder.mkdir()
    card = json.loads((compressed / "model.json").read_text())
    (folder / "model_frozen.pth").write_bytes((compressed / "model_frozen.pth").read_bytes())
    card["files"] = {"model_frozen.pth": card["files"]["model_frozen.pth"]}
    (folder / "model.json").write_text(json.dumps(card | {"load": "model_frozen.pth"}))
    atoms = frame_file.read_frames(split / "test.extxyz")[0]
    energies = []
    for model in (folder, compressed):
        atoms.calc = load_calculator(model)
        energies.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
    assert energies[0][0] == pytest.approx(energies[1][0], abs=1e-4)
    np.testing.assert_allclose(energies[0][1], energies[1][1], atol=1e-4)
    np.testing.assert_allclose(energies[0][2], energies[1][2], atol=1e-5)


def test_stress_is_the_derivative_of_the_energy(trained: tuple[Path, Path]) -> None:
    atoms = frame_file.read_frames(trained[0] / "test.extxyz")[0]
    atoms.calc = load_calculator(trained[1])
    stress = atoms.get_stress(voigt=False) * atoms.get_volume()
    for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2)):
        # The model is in single precision: a wider step, and what it leaves of the digits.
        assert stress[i, j] == pytest.approx(
            tiny.strain_derivative(atoms, i, j, 2e-3), abs=0.01 + 0.02 * abs(stress[i, j])
        )


@pytest.fixture(scope="module", params=["se_atten", "dpa3"])
def later(
    request: pytest.FixtureRequest, trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Return the split and a model of a later descriptor that was trained on it."""
    settings = tiny.DESCRIPTORS[request.param]
    return trained[0], tiny.trained_once(train, settings, trained[0], tmp_path_factory.mktemp(request.param))


def test_later_descriptors_learn(later: tuple[Path, Path]) -> None:
    """Forces by se_atten; so few steps of so small a DPA-3, which begins with hardly any messages, teach it energies."""
    split, model = later
    descriptor = json.loads((model / "model.json").read_text())["settings"]["descriptor"]
    quantity = {"se_atten": "force_rmse", "dpa3": "energy_per_atom_rmse"}[descriptor]
    curve = pl.read_parquet(model / "curve.parquet").filter(pl.col("set") == "valid", pl.col("quantity") == quantity)
    values = curve.sort("step")["value"]
    assert values[-5:].mean() < 0.8 * values[:2].mean()
    card = tiny.check_card(model, split, ["model.pt", "model_frozen.pth"])
    assert card["cutoff_A"] == 3.0
    assert sum(card["loss"]["gradient_shares_end"].values()) == pytest.approx(1)


def test_forces_and_stress_of_later_descriptors_are_derivatives(later: tuple[Path, Path]) -> None:
    """In single precision: along the forces, where the energy changes most."""
    atoms = frame_file.read_frames(later[0] / "test.extxyz")[0]
    atoms.calc = load_calculator(later[1])
    forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False) * atoms.get_volume()
    start, direction, ends = atoms.positions.copy(), forces / np.linalg.norm(forces), []
    for sign in (1, -1):
        atoms.positions = start + sign * 5e-3 * direction
        ends.append(atoms.get_potential_energy())
    assert (ends[1] - ends[0]) / 1e-2 == pytest.approx(np.linalg.norm(forces), rel=0.02)
    atoms.positions = start
    for i, j in ((0, 0), (1, 1), (0, 1)):
        strain = tiny.strain_derivative(atoms, i, j, 2e-3)
        assert stress[i, j] == pytest.approx(strain, abs=0.01 + 0.02 * abs(stress[i, j]))


def test_later_descriptors_know_an_ion_alone(later: tuple[Path, Path]) -> None:
    tiny.check_single_ions(load_calculator(later[1]))


@pytest.mark.all
def test_one_net_without_attention_can_be_compressed(trained: tuple[Path, Path], tmp_path: Path) -> None:
    settings = tiny.DESCRIPTORS["se_atten"] | {"attention_layers": 0, "steps": 20}
    model = tiny.trained_once(train, settings, trained[0], tmp_path / "train")
    assert json.loads((model / "model.json").read_text())["load"] == "model.pth"
    same_as_frozen(model, trained[0], tmp_path / "frozen")


def test_reference_energies_are_those_of_the_dataset(trained: tuple[Path, Path]) -> None:
    e0s = json.loads((trained[0] / "dataset.json").read_text())["datasets"]["eq"]["e0s_ev"]
    model = json.loads((trained[1].parent / "training" / "input.json").read_text())["model"]
    assert model["preset_out_bias"]["energy"] == [e0s["Li"], e0s["F"]]
    atom = Atoms("F", cell=[30, 30, 30], pbc=True)
    atom.calc = load_calculator(trained[1])
    assert atom.get_potential_energy() == pytest.approx(e0s["F"], abs=1.0)


def test_neighbours_are_counted_like_by_hand(trained: tuple[Path, Path]) -> None:
    folder = trained[0] / "datasets" / "eq" / "deepmd" / "train"
    counts = deepmd_net.most_neighbours(deepmd_net.read_systems(folder), 2, 3.0)
    most = np.zeros(2, dtype=int)
    images = np.array([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)])
    for frame in frame_file.read_frames(folder.parent.parent / "train.extxyz"):
        everywhere = (frame.positions[None] + (images @ frame.cell.array)[:, None]).reshape(-1, 3)
        types = np.tile(frame.numbers == 9, 27).astype(int)
        for position in frame.positions:
            distance = np.linalg.norm(everywhere - position, axis=1)
            near = types[(distance < 3.0) & (distance > 1e-9)]
            most = np.maximum(most, [np.sum(near == 0), np.sum(near == 1)])
    assert counts == most.tolist()


def test_an_ion_alone_is_learned_and_judged(trained: tuple[Path, Path]) -> None:
    tiny.check_single_ions(load_calculator(trained[1]))


def test_deepmd_reads_the_same_labels(trained: tuple[Path, Path]) -> None:
    from deepmd.utils.data import DeepmdData

    folder = trained[0] / "datasets" / "eq"
    frames = frame_file.read_frames(folder / "train.extxyz", labelled=True)
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


@pytest.mark.all
def test_core_minutes_are_steps_that_give_the_same_model(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = SETTINGS["steps"]
    monkeypatch.setattr(deepmd_training, "SHORT", 2)
    monkeypatch.setattr(pace, "of_steps", lambda *_args: (0.0, 60 / (steps + 0.5)))
    budget = {name: value for name, value in SETTINGS.items() if name != "steps"} | {"core_minutes": 1}
    model = tiny.train(train, budget, trained[0], tmp_path)
    settings = json.loads((model / "model.json").read_text())["settings"]
    assert (settings["steps"], settings["core_minutes"]) == (steps, 1)
    np.testing.assert_array_equal(*(tiny.forces_of(folder, trained[0]) for folder in (trained[1], model)))
