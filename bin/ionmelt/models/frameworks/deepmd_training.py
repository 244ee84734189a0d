"""Train a DeePMD model with DeePMD's own tool (dp --pt train, freeze, compress): from nothing, or from a checkpoint (--weights).

Writes the model folder --out: model_frozen.pth, model.pth (compressed: the same model with its embedding
nets tabulated, several times faster; se_e2_a only), model.pt (to be fine-tuned), curve.parquet (learning curve) and
model.json (the model card). On a CPU the same settings, seed, data and number of threads give the same model. Checkpoints
are kept in --checkpoints; a training that was killed goes on from the last, with batches in another order.
"""

import json
import math
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from ionmelt import errors as errors_module
from ionmelt.dataset.summary import TrainingData
from ionmelt.errors import UserError
from ionmelt.models import loss as models_loss
from ionmelt.models.frameworks import deepmd_tool
from ionmelt.models.frameworks.deepmd import DeepmdTraining
from ionmelt.models.tool import environment, run_tool
from ionmelt.models.training import (
    TrainingTask,
    determined_by,
    given_weight,
    hand_on,
    kept,
    own_weights,
    read_inputs,
    write_card,
    write_curve,
)
from ionmelt.task import check_device

# What the learning rate falls to, as a share of the first, where a study does not say.
FINAL_LEARNING_RATE = 0.01
PRECISION = "float32"
# Room for more neighbours than any training frame has: MD meets denser boxes. DeePMD drops neighbours beyond it.
NEIGHBOUR_MARGIN = 1.25
DISPLAYS = 25  # points of the learning curve
VALIDATED = 20  # most batches of the validation frames that a point is computed on
CHECKPOINTS = 10
FROZEN, COMPRESSED = "model_frozen.pth", "model.pth"
UNITS = {
    "rmse": ("loss", "1"),
    "rmse_e": ("energy_per_atom_rmse", "eV"),
    "rmse_f": ("force_rmse", "eV/A"),
    "rmse_v": ("virial_per_atom_rmse", "eV"),
}


def read_systems(folder: Path) -> Iterator[Atoms]:
    """Yield the structures of DeePMD systems (numbers are indices of the type map)."""
    for system in sorted(path.parent for path in folder.glob("*/type.raw")):
        types = np.loadtxt(system / "type.raw", dtype=int, ndmin=1)
        coordinates, boxes = (np.load(system / "set.000" / f"{name}.npy") for name in ("coord", "box"))
        for positions, cell in zip(coordinates, boxes, strict=True):
            yield Atoms(numbers=types, positions=positions.reshape(-1, 3), cell=cell.reshape(3, 3), pbc=True)


def most_neighbours(frames: Iterator[Atoms], n_types: int, rcut_A: float) -> list[int]:
    """Return, for each type, the largest number of neighbours of that type within the cut-off of any atom."""
    most = np.zeros(n_types, dtype=int)
    for atoms in frames:
        centre, other = neighbor_list("ij", atoms, rcut_A)
        counts = np.zeros((len(atoms), n_types), dtype=int)
        np.add.at(counts, (centre, atoms.numbers[other]), 1)
        most = np.maximum(most, counts.max(axis=0))
    return [int(count) for count in most]


@errors_module.of_model(UserError)
def read_foundation(path: Path, key: str, branch: str | None, elements: list[str]) -> dict[str, Any]:
    """Return the settings of the model in a checkpoint to be fine-tuned, as DeePMD's input has them, of its branch.

    Raises `ModelError`, naming the model `key`, for a file that is no checkpoint, a frozen model, a branch that is not there or
    not named, and elements that the model does not know.
    """
    import torch

    where = f"model {key}: weights: {path.name}"
    if path.suffix in (".pth", ".pb", ".pt2"):
        raise UserError(f"{where}: is a frozen model, which cannot be fine-tuned: give its checkpoint (.pt)")
    with errors_module.reading(
        f"{where}: is no checkpoint of DeePMD's PyTorch backend: give a .pt file of dp --pt train"
    ):
        state = torch.load(path, map_location="cpu", weights_only=True)
        model = state.get("model", state)["_extra_state"]["model_params"]
    if branches := model.get("model_dict"):
        # Without a branch DeePMD would begin with a new fitting net, and say so in its log alone.
        if branch not in branches:
            given = "missing" if branch is None else repr(branch)
            raise UserError(f"model {key}: head: {given}: {path.name} has {', '.join(branches)}")
        model = branches[branch]
    elif branch is not None:
        raise UserError(f"model {key}: head: {branch!r}: {path.name} has one, without a name: leave this out")
    type_map = list(model["type_map"])
    if unknown := [symbol for symbol in elements if symbol not in type_map]:
        known = ", ".join(type_map) if len(type_map) <= 12 else f"{len(type_map)} others"
        raise UserError(f"{where} does not know {', '.join(unknown)}; it knows {known}")
    return {name: model[name] for name in ("type_map", "descriptor", "fitting_net") if name in model}


def cutoff_of(descriptor: dict[str, Any]) -> float:
    """Return the cut-off radius (A) of a descriptor of DeePMD's input: that of DPA-2 and DPA-3 stands in its first part."""
    parts = [descriptor, descriptor.get("repinit", {}), descriptor.get("repflow", {})]
    return float(next(part[name] for part in parts for name in ("rcut", "e_rcut") if name in part))


@errors_module.of_model(UserError)
def check_room(descriptor: dict[str, Any], type_map: list[str], folder: Path, key: str) -> None:
    """Refuse training frames that have more neighbours than the model has room for: DeePMD drops them without a word."""
    if descriptor["type"] != "se_e2_a" or not isinstance(descriptor.get("sel"), list):
        return  # of the others, a number for all types together, and no fixed order
    own = (folder / "train").glob("*/type_map.raw")
    names = next(iter(sorted(own))).read_text().split()
    most = most_neighbours(read_systems(folder / "train"), len(names), descriptor["rcut"])
    for symbol, count in zip(names, most, strict=True):
        if count > (room := descriptor["sel"][type_map.index(symbol)]):
            raise UserError(
                f"model {key}: weights: have room for {room} neighbours {symbol} of an atom, the training frames have {count}"
            )


def new_model(settings: DeepmdTraining, data: TrainingData, folder: Path) -> dict[str, Any]:
    """Return the model of DeePMD's input for a training from nothing."""
    type_map, seed = data.type_map, settings.seed
    most = most_neighbours(read_systems(folder / "train"), len(type_map), settings.rcut_A)
    sel = [max(4, 4 * math.ceil(NEIGHBOUR_MARGIN * count / 4)) for count in most]
    return {
        "type_map": type_map,
        "descriptor": {
            "type": settings.descriptor,
            "rcut": settings.rcut_A,
            "rcut_smth": settings.rcut_smth_A,
            "sel": sel,
            "neuron": settings.neurons,
            "axis_neuron": settings.axis_neurons,
            "type_one_side": True,
            "precision": PRECISION,
            "seed": seed,
        },
        "fitting_net": {"neuron": settings.fitting_neurons, "precision": PRECISION, "seed": seed},
        "preset_out_bias": {"energy": [data.fitted_e0s_ev.get(symbol, 0.0) for symbol in type_map]},
    }


def energies_of(checkpoint: Path, type_map: list[str]) -> dict[str, float]:
    """Return the reference energies (eV) of the elements that a checkpoint of one branch has."""
    import torch

    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    state = state.get("model", state)
    (bias,) = (value for name, value in state.items() if name.endswith("atomic_model.out_bias"))
    return {symbol: float(energy) for symbol, energy in zip(type_map, bias.flatten().tolist(), strict=True)}


def weights_of_loss(settings: DeepmdTraining) -> dict[str, dict[str, float | None]]:
    """Return the weight of each term of the loss at the start and at the limit, None where it is to be found from the data."""
    start = (settings.start_pref_e, settings.start_pref_f, settings.start_pref_v)
    limit = (settings.limit_pref_e, settings.limit_pref_f, settings.limit_pref_v)
    return {
        end: dict(zip(models_loss.TERMS, map(given_weight, weights), strict=True))
        for end, weights in zip(deepmd_tool.ENDS, (start, limit), strict=True)
    }


def tool_input(
    settings: DeepmdTraining, data: TrainingData, folder: Path, checkpoint: Path, model: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return DeePMD's input for the settings of a study; `model` is that of a checkpoint to be fine-tuned.

    The reference energies of the elements are those fitted to the dataset, also where free atoms are known: DeePMD takes off no
    mean besides them, and its net would first have to learn the binding. A model that is fine-tuned has its own,
    which DeePMD moves by what its energies are off on the training frames.
    """
    steps, seed, first = settings.steps, settings.seed, settings.learning_rate
    last = settings.final_learning_rate or first * FINAL_LEARNING_RATE
    # DeePMD leaves a term out for good where it has no weight: those that are to be found begin as one.
    prefactors = {
        f"{end}_pref_{deepmd_tool.LETTERS[name]}": 1.0 if value is None else value
        for end, own in weights_of_loss(settings).items()
        for name, value in own.items()
    }

    def systems(part: str) -> list[str]:
        return sorted(str(path.parent) for path in (folder / part).glob("*/type.raw"))

    validated = sum(len(np.load(Path(system) / "set.000" / "box.npy")) for system in systems("valid"))

    return {
        "model": model or new_model(settings, data, folder),
        # Smooth: every step has its own rate, however few there are. The weights of the loss follow the rate.
        "learning_rate": {"type": "exp", "start_lr": first, "stop_lr": last, "smooth": True},
        "loss": {"type": "ener", **prefactors},
        "training": {
            "training_data": {"systems": systems("train"), "batch_size": settings.batch_size},
            "validation_data": {
                "systems": systems("valid"),
                "batch_size": settings.batch_size,
                "numb_btch": max(1, min(VALIDATED, math.ceil(validated / settings.batch_size))),
            },
            "numb_steps": steps,
            "seed": seed,
            "disp_file": str(checkpoint.with_name("lcurve.out")),
            "disp_freq": max(1, steps // DISPLAYS),
            "save_freq": max(1, steps // CHECKPOINTS),
            "max_ckpt_keep": 2,
            "save_ckpt": str(checkpoint),
        },
    }


def curve(lcurve: Path) -> Iterator[tuple[int, str, str, float, str]]:
    """Yield the learning curve (step, set, quantity, value, unit) from DeePMD's lcurve.out.

    The errors are those of a batch or a few, as DeePMD prints them.
    """
    lines = lcurve.read_text().splitlines()
    names = lines[0].lstrip("# ").split()
    # A training that was taken up again appends to the file: the last word on a step counts.
    rows = {int(line.split()[0]): line.split() for line in lines[1:] if not line.startswith("#")}
    for step, row in sorted(rows.items()):
        for name, value in zip(names[1:], row[1:], strict=True):
            base, _, part = name.rpartition("_")
            if base in UNITS:
                quantity, unit = UNITS[base]
                yield step, {"trn": "train", "val": "valid"}[part], quantity, float(value), unit


def foundation_of(
    weights: Path | None, settings: DeepmdTraining, data: TrainingData, folder: Path
) -> dict[str, Any] | None:
    """Return the model of DeePMD's input that a checkpoint has, which fits the data; None for a training from nothing."""
    if weights is None:
        return None
    model = read_foundation(weights, settings.id, settings.head, data.elements)
    check_room(model["descriptor"], model["type_map"], folder, settings.id)
    return model


def tool_environment(task: TrainingTask) -> dict[str, str]:
    """Return the environment of DeePMD's tool."""
    env = environment(task.threads) | {
        "DP_INTRA_OP_PARALLELISM_THREADS": str(task.threads),
        "DP_INTER_OP_PARALLELISM_THREADS": "1",
        "NUM_WORKERS": "0",  # loader processes would share the few cores, and the small data are in memory
    }
    return env | {"DEVICE": "cpu"} if task.device == "cpu" else env


def tool_commands(tool: dict[str, Any], last: Path, weights: Path | None, head: str | None) -> list[list[str]]:
    """Return the arguments of dp --pt, a list for each command: train, freeze, and compress where the descriptor can be.

    `last` is the checkpoint that a training writes and, where it is there, goes on from.
    """
    begin: list[str] = []
    if last.exists():
        begin = ["--restart", str(last)]
    elif weights is not None:
        begin = ["--finetune", str(weights), *(["--model-branch", head] if head else [])]
    commands = [["train", "input.json", *begin], ["freeze", "-c", str(last), "-o", FROZEN]]
    if tool["model"]["descriptor"]["type"] == "se_e2_a":
        commands.append(["compress", "-i", FROZEN, "-o", COMPRESSED])
    return commands


def tuned_from(weights: Path, settings: DeepmdTraining, model: dict[str, Any], checkpoint: Path) -> dict[str, Any]:
    """Return what the card says of a model that was tuned: its reference energies, its elements, and the weights."""
    about = {"file": weights.name, "sha256": settings.sha256, "theory": settings.theory, "head": settings.head}
    return {
        "e0s_ev": energies_of(checkpoint, model["type_map"]),
        "elements": model["type_map"],
        "tuned_from": about,
    }


def train(task: TrainingTask) -> None:
    """Do the work of the task: train in a scratch folder, then write the model folder."""
    start = time.perf_counter()
    check_device(task.device)
    settings, data = read_inputs(task, DeepmdTraining)
    weights = own_weights(settings, task.weights)
    scratch = Path("training").resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    folder = task.dataset.resolve() / "deepmd"
    model = foundation_of(weights, settings, data, folder)
    with kept(task.checkpoints, determined_by(settings, data, task), [weights]) as checkpoints:
        tool = tool_input(settings, data, folder, checkpoints / "model.ckpt", model)
        (scratch / "input.json").write_text(json.dumps(tool, indent=2) + "\n")
        last, loss = checkpoints / "model.ckpt.pt", checkpoints / "loss.json"
        commands = tool_commands(tool, last, weights, settings.head)
        files = [FROZEN, COMPRESSED][: len(commands) - 1]
        own = [str(loss), json.dumps(weights_of_loss(settings)), json.dumps(commands)]
        run_tool(
            "dp --pt",
            [sys.executable, "-P", "-m", deepmd_tool.__name__, *own],  # -P: no folder here hides a library
            tool_environment(task),
            scratch,
            lambda line: " val: rmse" in line,
            scratch / files[-1],
        )
        task.out.mkdir(parents=True, exist_ok=True)
        for name in files:
            shutil.copyfile(scratch / name, task.out / name)
        shutil.copyfile(last, task.out / "model.pt")
        write_curve(task.out / "curve.parquet", settings.id, curve(checkpoints / "lcurve.out"))
        about: dict[str, Any] = {"loss": models_loss.read(loss)}
    cost = {"wall_s": round(time.perf_counter() - start, 1), "threads": task.threads, "device": task.device}
    if model is not None and weights is not None:
        about |= tuned_from(weights, settings, model, task.out / "model.pt")
    hand_on(task.dataset, task.out)
    cutoff_A = cutoff_of(tool["model"]["descriptor"])
    write_card(task.out, settings, data, ["model.pt", *files], cutoff_A, cost, about)
