"""TRAIN_MODEL: a few epochs on tiny data; the model is the same for the same seed, and its stress is a derivative."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import tiny_training as tiny
from ase import Atoms
from ase.data import atomic_numbers

from ionmelt import errors as errors_module
from ionmelt import frame_file
from ionmelt.errors import UserError
from ionmelt.models import loss as models_loss
from ionmelt.models import pace, train
from ionmelt.models import tool as models_tool
from ionmelt.models.calculators import load_calculator
from ionmelt.models.frameworks import mace_tool, mace_training
from ionmelt.models.training import TrainingTask

SCRIPT = str(Path(__file__).resolve().parents[4] / "bin" / "train_model.py")
# torch, e3nn and mace warn of each other when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

SETTINGS = tiny.MACE


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the split and the folder of a model that was trained on it."""
    split = tiny.make_dataset(tmp_path_factory.mktemp("data"), ions=True)
    return split, tiny.trained_once(train, SETTINGS, split, tmp_path_factory.mktemp("train"))


def test_loss_falls_and_curve_has_both_sets(trained: tuple[Path, Path]) -> None:
    split, model = trained
    curve = pl.read_parquet(model / "curve.parquet")
    frames = json.loads((split / "dataset.json").read_text())["datasets"]["eq"]["frames"]["train"]
    for name in ("train", "valid"):
        loss = curve.filter(pl.col("set") == name, pl.col("quantity") == "loss").sort("step")
        assert loss["value"][-1] < 0.5 * loss["value"][0]
        assert loss["step"][-1] == SETTINGS["epochs"] * (frames // SETTINGS["batch_size"])
    assert set(curve["quantity"]) == {"loss", "energy_per_atom_rmse", "force_rmse", "stress_rmse"}
    assert curve["value"].is_finite().all()


def test_card(trained: tuple[Path, Path]) -> None:
    split, model = trained
    card = tiny.check_card(model, split, ["model.pt"])
    assert card["cutoff_A"] == 3.0
    assert "mace-torch" in card["versions"]
    task = json.loads((model.parent / "TRAIN_MODEL.m-eq-s1.task.json").read_text())
    assert task["cpu_s"] > 0


def test_card_says_what_share_of_the_gradient_each_term_had(trained: tuple[Path, Path]) -> None:
    loss = json.loads((trained[1] / "model.json").read_text())["loss"]
    assert loss["weights_start"] == loss["weights_end"] == {"energy": 1.0, "forces": 10.0, "stress": 100.0}
    for end in ("start", "end"):
        shares = loss[f"gradient_shares_{end}"]
        assert sum(shares.values()) == pytest.approx(1)
        assert min(shares.values()) > 0


@pytest.fixture
def double() -> Iterator[None]:
    """Make torch's numbers double, as those of the model are."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.usefixtures("double")
def test_shares_are_those_of_the_gradients_of_each_term(trained: tuple[Path, Path]) -> None:
    import torch
    from mace.data import AtomicData, KeySpecification, config_from_atoms
    from mace.modules import WeightedEnergyForcesStressLoss
    from mace.tools import AtomicNumberTable, torch_geometric

    split, trained_model = trained
    model = torch.load(trained_model / "model.pt", map_location="cpu", weights_only=False)
    frames = frame_file.read_frames(split / "datasets" / "eq" / "train.extxyz", labelled=True)[:3]
    keys = KeySpecification(
        info_keys={"energy": "REF_energy", "stress": "REF_stress"}, arrays_keys={"forces": "REF_forces"}
    )
    table = AtomicNumberTable([int(number) for number in model.atomic_numbers])
    data = [
        AtomicData.from_config(config_from_atoms(f, key_specification=keys), z_table=table, cutoff=3.0) for f in frames
    ]
    loader = torch_geometric.dataloader.DataLoader(data, batch_size=1, shuffle=True)
    state = torch.get_rng_state()
    squared = WeightedEnergyForcesStressLoss(energy_weight=3.0)
    lengths = {pull: mace_tool.lengths(model, loader, squared, pull) for pull in (False, True)}
    assert float(squared.energy_weight) == 3.0  # the training's own loss is left as it is
    assert torch.equal(state, torch.get_rng_state())  # the training's own random numbers are left as they are

    held = list(model.parameters())
    e0s = model.atomic_energies_fn.atomic_energies.flatten()
    squares = {pull: dict.fromkeys(models_loss.TERMS, 0.0) for pull in (False, True)}
    for frame, one in zip(frames, data, strict=True):
        batch = next(iter(torch_geometric.dataloader.DataLoader([one], batch_size=1)))
        out = model(batch.to_dict(), training=True, compute_force=True, compute_stress=True)
        reference = sum(float(e0s[table.z_to_index(int(number))]) for number in frame.numbers)
        labels = {
            "energy": frame.info["REF_energy"] - reference,
            "forces": frame.arrays["REF_forces"],
            "stress": frame.info["REF_stress"],
        }
        values = {"energy": out["energy"] - reference, "forces": out["forces"], "stress": out["stress"][0]}
        for pull in (False, True):
            for name in models_loss.TERMS:
                # The derivative of a mean square, (values - labels)^2, with and without what the model says.
                error = torch.as_tensor(labels[name]) - (0 if pull else values[name].detach())
                scale = 2 / error.numel() / (len(frame) ** 2 if name == "energy" else 1)
                parts = torch.autograd.grad(
                    (scale * error * values[name]).sum(), held, retain_graph=True, allow_unused=True
                )
                squares[pull][name] += sum(float(gradient.square().sum()) for gradient in parts if gradient is not None)
    for pull in (False, True):
        wanted = {name: (square / len(frames)) ** 0.5 for name, square in squares[pull].items()}
        assert lengths[pull] == pytest.approx(wanted, rel=1e-6)


def test_schedule_and_weights_are_those_of_the_study() -> None:
    def tool(**more: float | str) -> dict[str, str]:
        words = mace_training.tool_arguments(
            tiny.training_settings(SETTINGS | more), {3: 0.0}, Path("data"), Path("kept"), 1, "cpu"
        )
        return dict(word.removeprefix("--").split("=", 1) for word in words if "=" in word)

    epochs = SETTINGS["epochs"]
    default, changed = tool(), tool(final_learning_rate=0.005, energy_weight="auto")
    assert float(default["lr"]) * float(default["lr_scheduler_gamma"]) ** (epochs - 1) == pytest.approx(0.02 * 0.02)
    assert float(changed["lr"]) * float(changed["lr_scheduler_gamma"]) ** (epochs - 1) == pytest.approx(0.005)
    assert (changed["forces_weight"], changed["stress_weight"]) == ("10.0", "100.0")
    given = {"energy": None, "forces": 10.0, "stress": 100.0}
    assert mace_training.loss_weights(tiny.training_settings(SETTINGS | {"energy_weight": "auto"})) == [given]


def test_options_of_experts_are_those_of_the_tool() -> None:
    more = {"loss": "huber", "huber_delta": 0.02, "zbl": True, "distance_transform": "agnesi", "stage_two": 0.4}
    settings = tiny.training_settings(SETTINGS | more)
    words = mace_training.tool_arguments(settings, {3: 0.0}, Path("data"), Path("kept"), 1, "cpu")
    assert {"--loss=universal", "--huber_delta=0.02", "--distance_transform=Agnesi", "--start_stage_two=5"} <= set(
        words
    )
    assert {"--pair_repulsion", "--stage_two"} <= set(words)
    # the first five epochs fall to a fiftieth of the first rate, the last three stay there
    gamma, last = (float(word.split("=")[1]) for word in words if "gamma" in word or "stage_two_lr" in word)
    assert 0.02 * gamma**4 == pytest.approx(last) == pytest.approx(0.02 * 0.02)


def test_elements_are_those_of_the_study_whichever_frames_it_is_trained_on(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Core-minutes are measured on a few frames, which need not hold every element of the study's liquids."""
    import torch

    monkeypatch.chdir(tmp_path)
    split, chlorine = trained[0], 17
    e0s = {atomic_numbers[symbol]: energy for symbol, energy in tiny.training_data(split).e0s_ev.items()}
    for name in ("training", "kept"):
        (tmp_path / name).mkdir()
    model = mace_training.run(
        tiny.training_settings(SETTINGS | {"epochs": 1}),
        mace_training.Start(e0s | {chlorine: -1.0}, 3.0),
        split / "datasets" / "eq",
        tmp_path / "kept",
        SETTINGS["batch_size"],
        TrainingTask(tmp_path, split, split / "dataset.json", tmp_path, None, None, None, "", 1, "cpu"),
    )
    assert chlorine not in e0s
    assert torch.load(model, weights_only=False).atomic_numbers.tolist() == [*sorted(e0s), chlorine]


def test_the_optimiser_is_the_tools_own_where_the_study_says_nothing() -> None:
    from mace.tools import build_default_arg_parser

    def read(**more: float | bool) -> argparse.Namespace:
        settings = tiny.training_settings(SETTINGS | more)
        words = mace_training.tool_arguments(settings, {3: 0.0}, Path("data"), Path("kept"), 1, "cpu")
        return build_default_arg_parser().parse_args(words)

    theirs, default = build_default_arg_parser().parse_args(["--name=x"]), read()
    same = ("ema_decay", "weight_decay", "clip_grad", "amsgrad", "lr_factor", "scheduler_patience")
    for name in (*same, "num_radial_basis", "radial_MLP", "num_cutoff_basis", "MLP_irreps"):
        assert getattr(default, name) == getattr(theirs, name)
    changed = read(ema_decay=0.995, weight_decay=1e-8, clip_grad=100)
    assert (changed.ema_decay, changed.weight_decay, changed.clip_grad) == (0.995, 1e-8, 100.0)
    nets = read(radial_bases=6, radial_neurons=[32, 16], cutoff_power=6, readout_channels=8)
    assert (nets.num_radial_basis, nets.radial_MLP, nets.num_cutoff_basis, nets.MLP_irreps) == (
        6,
        "[32, 16]",
        6,
        "8x0e",
    )
    waits = read(schedule="plateau", plateau_factor=0.5, plateau_patience=7)
    assert (default.scheduler, waits.scheduler) == ("ExponentialLR", "ReduceLROnPlateau")
    assert (waits.lr_factor, waits.scheduler_patience) == (0.5, 7)


@pytest.mark.parametrize("is_asked", [True, False])
def test_amsgrad_is_what_the_study_says(is_asked: bool) -> None:
    """The tool's own flag is on whether it is given or not."""
    from mace.tools import build_default_arg_parser
    from mace.tools.scripts_utils import get_params_options

    settings = tiny.training_settings(SETTINGS | {"amsgrad": is_asked})
    words = mace_training.tool_arguments(settings, {3: 0.0}, Path("data"), Path("kept"), 1, "cpu")
    nothing = SimpleNamespace(named_parameters=dict, parameters=list)
    parts = ("node_embedding", "products", "readouts")
    model = SimpleNamespace(**dict.fromkeys(parts, nothing), interactions=SimpleNamespace(named_parameters=lambda: []))
    asked = mace_tool.with_own_amsgrad(get_params_options, "--amsgrad" in words)
    given = build_default_arg_parser().parse_args(words)
    assert given.amsgrad
    assert asked(given, model)["amsgrad"] is is_asked


@pytest.fixture(scope="module")
def expert(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of Huber's loss in two stages, with ZBL and Agnesi's transform."""
    more = {
        "loss": "huber",
        "zbl": True,
        "distance_transform": "agnesi",
        "stage_two": 0.4,
        "stage_two_energy": 50.0,
    }
    return tiny.trained_once(train, SETTINGS | more, trained[0], tmp_path_factory.mktemp("expert"))


def losses(model: Path) -> list[float]:
    """Return the loss of the validation set, before the first epoch and after each."""
    curve = pl.read_parquet(model / "curve.parquet")
    return curve.filter(pl.col("set") == "valid", pl.col("quantity") == "loss").sort("step")["value"].to_list()


def test_the_second_stage_weighs_the_energy_more(trained: tuple[Path, Path], expert: Path) -> None:
    """The loss jumps, and the error of the energy falls; Huber's loss is far below the squared one."""
    record = json.loads((expert / "model.json").read_text())["loss"]
    assert record["weights_start"] == {"energy": 1.0, "forces": 10.0, "stress": 100.0}
    assert record["weights_end"] == {"energy": 50.0, "forces": 10.0, "stress": 100.0}
    first, second = losses(trained[1]), losses(expert)
    assert second[0] < 0.5 * first[0]  # errors of an untrained model are far beyond huber_delta
    curve = pl.read_parquet(expert / "curve.parquet").filter(pl.col("set") == "valid")
    energy = curve.filter(pl.col("quantity") == "energy_per_atom_rmse").sort("step")["value"].to_list()
    # the same errors, of which that of the energy is worth 50 times as much from the sixth epoch on: it then falls
    assert second[6] > 5 * second[5]
    assert energy[8] < energy[7] < energy[6] < energy[5]


def test_forces_and_stress_of_an_experts_model_are_derivatives(trained: tuple[Path, Path], expert: Path) -> None:
    atoms = frame_file.read_frames(trained[0] / "test.extxyz")[0]
    atoms.calc = load_calculator(expert)
    forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False) * atoms.get_volume()
    start = atoms.positions.copy()
    for index, axis in ((0, 0), (3, 1), (5, 2)):
        ends = []
        for sign in (1, -1):
            atoms.positions = start.copy()
            atoms.positions[index, axis] += sign * 1e-4
            ends.append(atoms.get_potential_energy())
        assert forces[index, axis] == pytest.approx(-(ends[0] - ends[1]) / 2e-4, abs=1e-5)
    atoms.positions = start
    for i, j in ((0, 0), (0, 1)):
        assert stress[i, j] == pytest.approx(tiny.strain_derivative(atoms, i, j, 1e-4), abs=1e-5)


def test_zbl_repels_where_nothing_was_learnt(trained: tuple[Path, Path], expert: Path) -> None:
    """Two nuclei at 0.05 to 0.2 A: of the order of Coulomb's law, screened; without it a net says anything small."""
    energies = {}
    for name, model in (("zbl", expert), ("none", trained[1])):
        calculator = load_calculator(model)
        for distance in (0.05, 0.1, 0.2):
            pair = Atoms("LiF", [[9, 9, 9], [9 + distance, 9, 9]], cell=[18.0] * 3, pbc=True)
            pair.calc = calculator
            energies[name, distance] = pair.get_potential_energy() + 100  # the reference energies are about -50 eV each
    coulomb = {distance: 14.4 * 3 * 9 / distance for distance in (0.05, 0.1, 0.2)}
    for distance, value in coulomb.items():
        assert 0.02 * value < energies["zbl", distance] < value
        assert abs(energies["none", distance]) < 0.1 * energies["zbl", distance]
    assert energies["zbl", 0.05] > 2 * energies["zbl", 0.1] > 4 * energies["zbl", 0.2]


@pytest.mark.all
def test_same_seed_same_model(trained: tuple[Path, Path], tmp_path: Path) -> None:
    models = [trained[1]]
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        models.append(tiny.train(train, SETTINGS | {"seed": seed}, trained[0], tmp_path / str(seed)))
    forces = []
    for model in models:
        atoms = frame_file.read_frames(trained[0] / "test.extxyz")[0]
        atoms.calc = load_calculator(model)
        forces.append(atoms.get_forces())
    np.testing.assert_array_equal(forces[0], forces[1])
    assert np.abs(forces[0] - forces[2]).max() > 1e-4


def test_stress_is_the_derivative_of_the_energy(trained: tuple[Path, Path]) -> None:
    atoms = frame_file.read_frames(trained[0] / "test.extxyz")[0]
    atoms.calc = load_calculator(trained[1])
    stress = atoms.get_stress(voigt=False) * atoms.get_volume()
    for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2)):
        assert stress[i, j] == pytest.approx(tiny.strain_derivative(atoms, i, j, 1e-4), abs=1e-5)


def test_model_has_learned_and_beats_no_forces(trained: tuple[Path, Path]) -> None:
    errors, sizes = [], []
    calculator = load_calculator(trained[1])
    for atoms in frame_file.read_frames(trained[0] / "test.extxyz", labelled=True):
        atoms.calc = calculator
        errors.append(atoms.get_forces() - atoms.arrays["REF_forces"])
        sizes.append(atoms.arrays["REF_forces"])
    assert np.std(np.concatenate(errors)) < 0.8 * np.std(np.concatenate(sizes))


def test_an_ion_alone_is_learned_and_judged(trained: tuple[Path, Path]) -> None:
    tiny.check_single_ions(load_calculator(trained[1]))


def test_mace_reads_the_same_labels(trained: tuple[Path, Path]) -> None:
    from mace.data import KeySpecification, load_from_xyz

    path = trained[0] / "datasets" / "eq" / "train.extxyz"
    keys = KeySpecification(
        info_keys={"energy": "REF_energy", "stress": "REF_stress", "head": "head"}, arrays_keys={"forces": "REF_forces"}
    )
    _, configurations, *_ = load_from_xyz(str(path), key_specification=keys)
    frames = frame_file.read_frames(path, labelled=True)
    assert len(frames) == len(configurations)
    for frame, configuration in zip(frames, configurations, strict=True):
        assert configuration.properties["energy"] == frame.info["REF_energy"]
        np.testing.assert_array_equal(configuration.properties["forces"], frame.arrays["REF_forces"])
        stress = np.reshape(configuration.properties["stress"], (3, 3))
        np.testing.assert_allclose(stress, frame.info["REF_stress"], atol=1e-15)


def test_other_theory_is_refused(
    trained: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.write_settings(tmp_path / "settings.json", SETTINGS | {"theory_id": "ffffffffffff"})
    assert train.main(tiny.arguments(tmp_path, trained[0])) == 2
    assert "theory_id: the study says ffffffffffff, the labels are 0123456789ab" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_a_tool_that_fails_shows_its_last_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "import sys; [print('line', i) for i in range(100)]; sys.exit(3)"
    with pytest.raises(UserError) as caught:
        models_tool.run_tool("tool", [sys.executable, "-c", code], {}, tmp_path, lambda line: line == "line 7\n")
    assert "exit code 3" in caught.value.errors[0]
    assert caught.value.errors[1:] == [f"line {i}" for i in range(80, 100)]
    assert capsys.readouterr().err == "line 7\n"


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        (
            "raise RuntimeError('CUDA out of memory. Tried to allocate 20.00 MiB')",
            MemoryError,
            "ended with exit code 1",
        ),
        ("print('torch.OutOfMemoryError: CUDA out of memory.')", MemoryError, "left no .*model"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", MemoryError, "ended with exit code -9"),
        ("raise OSError(28, 'No space left on device')", errors_module.DiskFullError, "ended with exit code 1"),
        ("pass", UserError, "left no .*model; its last lines:"),
    ],
)
def test_a_tool_that_leaves_no_model_says_what_was_short(
    tmp_path: Path, code: str, error: type[Exception], said: str
) -> None:
    (tmp_path / "model").touch()  # of an earlier try
    command = [sys.executable, "-c", code]
    with pytest.raises(error, match=rf"^tool {said}"):
        models_tool.run_tool("tool", command, {}, tmp_path, lambda line: False, tmp_path / "model")


@pytest.mark.all
def test_core_minutes_are_epochs_that_give_the_same_model(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = SETTINGS["epochs"]
    monkeypatch.setattr(pace, "BATCHES", 2)
    monkeypatch.setattr(pace, "of_epochs", lambda *_args: (0.0, 60 / (epochs + 0.5)))
    budget = {name: value for name, value in SETTINGS.items() if name != "epochs"} | {"core_minutes": 1}
    model = tiny.train(train, budget, trained[0], tmp_path)
    settings = json.loads((model / "model.json").read_text())["settings"]
    assert (settings["epochs"], settings["core_minutes"]) == (epochs, 1)
    np.testing.assert_array_equal(*(tiny.forces_of(folder, trained[0]) for folder in (trained[1], model)))
