"""Train a MACE model with MACE's own tool, mace_run_train: from nothing, or from a foundation model (--weights).

Modes of tuning: finetune (all weights, on the liquid's frames alone), replay (along with frames of the foundation model's
own data, in a head of their own), lora (low-rank changes of the weights). Writes the model folder --out: model.pt
(loads on a CPU), curve.parquet (learning curve) and model.json (the model card). On a CPU the same settings, seed, data
and number of threads give the same model, a training that was killed included: it goes on from --checkpoints.
"""

import json
import math
import shlex
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from ionmelt import errors as errors_module
from ionmelt.errors import UserError
from ionmelt.frame_file import read_frames
from ionmelt.models import loss as models_loss
from ionmelt.models import pace
from ionmelt.models.card import Facts, TunedFrom
from ionmelt.models.frameworks import mace_foundation, mace_opening, mace_replay, mace_tool
from ionmelt.models.frameworks.mace import COMMAND, LEARNING_RATES, MaceTraining
from ionmelt.models.tool import environment, run_tool
from ionmelt.models.training import (
    Trained,
    TrainingTask,
    determined_by,
    hand_on,
    kept,
    loss_weights,
    own_file,
    own_weights,
    read_inputs,
    spent_before,
    write_card,
    write_curve,
    write_tool_input,
)
from ionmelt.task import check_device

# What the learning rate falls to, exponentially, as a share of the first, where a study does not say: most of the accuracy of a
# short training comes late.
FINAL_LEARNING_RATE = 0.02
LOSS = "loss.json"  # in the folder of checkpoints
# What a study freezes, and MACE's number for it: all up to there.
FROZEN = {"embedding": 1, "interactions": 5, "products": 6}
# What MACE calls the errors, what the curve calls them, and their unit.
ERRORS = {
    "loss": ("loss", "1"),
    "rmse_e_per_atom": ("energy_per_atom_rmse", "eV"),
    "rmse_f": ("force_rmse", "eV/A"),
    "rmse_stress": ("stress_rmse", "eV/A^3"),
}


def count_frames(path: Path) -> int:
    """Return the number of frames of an extended XYZ file."""
    with path.open() as file:
        return sum("Properties=" in line for line in file)


def last_epochs(settings: MaceTraining) -> int:
    """Return the number of epochs of stage two; the first is never one of them."""
    return min(round(settings.stage_two * settings.epochs), settings.epochs - 1)


def tool_arguments(
    settings: MaceTraining, e0s_ev: dict[int, float], folder: Path, checkpoints: Path, batch: int, device: str
) -> list[str]:
    """Return the arguments of mace_run_train for the settings of a study and a number of frames in a batch."""
    epochs, last = settings.epochs, last_epochs(settings)
    final, first = settings.final_learning_rate, settings.learning_rate or LEARNING_RATES[settings.mode]
    fall = final / first if final else FINAL_LEARNING_RATE
    # MACE's loss that is called huber leaves the stress out of stage two, and counts frames without one.
    loss = {"squared": "stress", "huber": "universal"}[settings.loss]
    # Weights that are to be found begin as one.
    weights = {f"{name}_weight": 1.0 if value is None else value for name, value in loss_weights(settings)[0].items()}
    values = {
        "name": "model",
        "seed": settings.seed,
        "device": device,
        "default_dtype": settings.dtype,
        "train_file": folder / "train.extxyz",
        "valid_file": folder / "valid.extxyz",
        "energy_key": "REF_energy",
        "forces_key": "REF_forces",
        "stress_key": "REF_stress",
        "E0s": json.dumps(e0s_ev).replace('"', ""),
        "num_channels": settings.channels,
        "max_L": settings.max_L,
        "max_ell": settings.max_ell,
        "r_max": settings.r_max_A,
        "num_interactions": settings.interactions,
        "correlation": settings.correlation,
        "num_radial_basis": settings.radial_bases,
        "radial_MLP": json.dumps(settings.radial_neurons),
        "num_cutoff_basis": settings.cutoff_power,
        "MLP_irreps": f"{settings.readout_channels}x0e",
        "max_num_epochs": epochs,
        "patience": epochs,
        "batch_size": batch,
        "valid_batch_size": batch,
        "lr": first,
        "scheduler": {"exponential": "ExponentialLR", "plateau": "ReduceLROnPlateau"}[settings.schedule],
        "lr_factor": settings.plateau_factor,
        "scheduler_patience": settings.plateau_patience,
        "lr_scheduler_gamma": fall ** (1 / max(epochs - last - 1, 1)),
        "ema_decay": settings.ema_decay,
        "weight_decay": settings.weight_decay,
        "clip_grad": settings.clip_grad,
        "loss": loss,
        "huber_delta": settings.huber_delta,
        "distance_transform": {"none": "None", "agnesi": "Agnesi"}[settings.distance_transform],
        "compute_stress": True,
        **weights,
        "error_table": "PerAtomRMSEstressvirials",
        "plot": False,
        "num_workers": 0,
        "checkpoints_dir": checkpoints,
        "results_dir": checkpoints,
        "log_dir": "logs",
        "model_dir": "models",
    }
    if settings.weights is None:  # of a few frames, which core-minutes are measured on, not every element need be there
        values["atomic_numbers"] = sorted(e0s_ev)
    if last:
        values |= {"start_stage_two": epochs - last, "stage_two_lr": fall * first}
    flags = ["--ema", "--save_cpu", *["--amsgrad"] * settings.amsgrad, *["--pair_repulsion"] * settings.zbl]
    flags += ["--stage_two"] * bool(last)
    return [f"--{key}={value}" for key, value in values.items()] + flags


def tuning_arguments(settings: MaceTraining, weights: Path, replay: Path | None) -> list[str]:
    """Return the further arguments of mace_run_train that start from a foundation model.

    The learning rate stays the study's, and every element that the foundation model knows stays known.
    """
    values: dict[str, Any] = {"foundation_model": weights, "foundation_model_elements": True}
    if settings.head:
        values["foundation_head"] = settings.head
    if settings.freeze != "none":
        values["freeze"] = FROZEN[settings.freeze]
    if settings.mode == "lora":
        # With alpha equal to the rank, the rank does not change how fast the weights move.
        values |= {"lora": True, "lora_rank": settings.lora_rank, "lora_alpha": settings.lora_rank}
    values["multiheads_finetuning"] = replay is not None
    if replay is not None:
        files = {f"pt_{name}_file": replay / f"{name}.extxyz" for name in ("train", "valid")}
        # How much is replayed is the study's choice: MACE repeats no frame on its own.
        values |= files | {"force_mh_ft_lr": True, "real_pt_data_ratio_threshold": 0}
    return [f"--{key}={value}" for key, value in values.items()]


@dataclass
class Start:
    """What a training starts from: reference energies by atomic number and what else the model card says of it."""

    e0s_ev: dict[int, float]
    cutoff_A: float
    arguments: list[str] = field(default_factory=list)
    replayed: int = 0  # frames of the foundation model's own data
    heads: dict[str, dict[int, float]] = field(default_factory=dict)  # reference energies that each must have
    elements: tuple[str, ...] = ()
    tuned_from: TunedFrom | None = None


@errors_module.of_model(UserError)
def from_foundation(settings: MaceTraining, folder: Path, weights: Path, replay: Path | None, scratch: Path) -> Start:
    """Return how to start from a foundation model; writes the replayed frames into the scratch folder.

    Raises `ModelError` for a foundation model or a replay file that cannot be used.
    """
    key = settings.id
    try:
        opened = mace_opening.opened(weights, settings)
    except UserError as error:
        raise UserError(*(f"model {key}: {line}" for line in error.errors)) from error
    foundation = mace_foundation.read_foundation(weights, key, settings.head)
    frames = read_frames(folder / "train.extxyz", labelled=True)
    e0s, offset = mace_foundation.tuned_energies(foundation, frames, key)
    start = Start(dict(sorted(e0s.items())), foundation.cutoff_A, heads={mace_foundation.HEAD: e0s})
    start.elements = tuple(chemical_symbols[number] for number in sorted(foundation.e0s_ev))
    start.tuned_from = TunedFrom(
        file=weights.name,
        sha256=settings.sha256,
        theory=settings.theory,
        head=foundation.head if len(foundation.heads) > 1 else None,
        start=offset,
        opened=opened,
    )
    if replay is not None:
        wanted = math.ceil(settings.replay_per_frame * len(frames))
        about = mace_replay.replay(foundation, replay, key, wanted, settings.seed, scratch / "replay")
        start.tuned_from = start.tuned_from.model_copy(update={"replay": about})
        start.replayed = about.train
        start.heads[mace_foundation.REPLAY_HEAD] = foundation.e0s_ev
    start.arguments = tuning_arguments(settings, weights, scratch / "replay" if replay else None)
    return start


def curve(results: Path, steps_per_epoch: int) -> Iterator[tuple[int, str, str, float, str]]:
    """Yield the learning curve (step, set, quantity, value, unit) from MACE's results.

    Steps are gradient steps. The training loss is the mean over an epoch's batches; the errors of the
    validation set, and of the replayed frames' (set ``replay``), are those of the averaged weights at the end of the
    epoch. Of an epoch that was done twice, since a training was taken up again, the last time counts.
    """
    losses: dict[int, list[float]] = defaultdict(list)
    errors: dict[tuple[int, str], dict[str, Any]] = {}
    for line in results.read_text().splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:  # cut off by a kill; the epoch was done again
            continue
        epoch = -1 if record.get("epoch") is None else record["epoch"]  # none: before the first
        if record["mode"] == "opt":
            losses[epoch].append(record["loss"])
        elif epoch >= 0 or not any(earlier >= 0 for earlier, _ in errors):
            errors[epoch, "replay" if record["head"] == mace_foundation.REPLAY_HEAD else "valid"] = record
    for (epoch, name), record in sorted(errors.items()):
        step = (epoch + 1) * steps_per_epoch
        if epoch >= 0 and name == "valid":
            yield step, "train", "loss", float(np.mean(losses[epoch][-steps_per_epoch:])), "1"
        for error, (quantity, unit) in ERRORS.items():
            if record.get(error) is not None:  # replayed frames may have no stress
                yield step, name, quantity, float(record[error]), unit


def run(settings: MaceTraining, start: Start, folder: Path, checkpoints: Path, batch: int, task: TrainingTask) -> Path:
    """Train on the frames of a folder with MACE's tool, in the folder `training`; return the model's file."""
    scratch = Path("training").resolve()
    product = scratch / "models" / ("model_stagetwo.model" if last_epochs(settings) else "model.model")
    arguments = tool_arguments(settings, start.e0s_ev, folder, checkpoints, batch, task.device) + start.arguments
    (scratch / COMMAND).write_text(" \\\n  ".join(["mace_run_train", *map(shlex.quote, arguments)]) + "\n")
    words = [str(checkpoints / "state"), str(checkpoints / LOSS), json.dumps(loss_weights(settings)[0])]
    words.append(str(settings.stage_two_energy if last_epochs(settings) else 1.0))
    run_tool(
        "mace_run_train",
        [sys.executable, "-P", "-m", mace_tool.__name__, *words, *arguments],
        environment(task.threads),
        scratch,
        lambda line: "Epoch" in line or "Initial:" in line,
        product,
        settings.epochs,
    )
    return product


def with_epochs(
    settings: MaceTraining, start: Start, folder: Path, checkpoints: Path, batch: int, task: TrainingTask
) -> MaceTraining:
    """Return the settings with as many epochs as fit into their core-minutes; frames that are replayed count as any other."""

    def train_on(kept_in: Path, epochs: int, frames: int) -> None:
        with tempfile.TemporaryDirectory(dir=".") as name:
            few = Path(name).resolve()
            pace.some_frames(folder, frames, few)
            run(settings.model_copy(update={"epochs": epochs}), start, few, kept_in, batch, task)

    first, frames = pace.BATCHES * batch, count_frames(folder / "train.extxyz")
    return pace.with_length(
        settings, checkpoints, task.threads, task.device, train_on, first, frames, replayed=start.replayed
    )


def train(task: TrainingTask) -> None:
    """Do the work of the task: train in a scratch folder, then write the model folder."""
    began = time.perf_counter()
    check_device(task.device)
    settings, data = read_inputs(task, MaceTraining)
    weights = own_weights(settings, task.weights)
    replay = own_file(settings.id, "replay_frames", settings.replay_frames, task.replay)
    scratch = Path("training").resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    folder = task.dataset.resolve()
    if weights is not None:
        start = from_foundation(settings, folder, weights, replay, scratch)
    else:
        e0s = {atomic_numbers[symbol]: energy for symbol, energy in sorted(data.e0s_ev.items())}
        start = Start(e0s, settings.r_max_A, heads={mace_foundation.HEAD: e0s}, elements=tuple(data.elements))
    frames = count_frames(folder / "train.extxyz") + start.replayed
    # MACE drops an incomplete last batch: a batch larger than the training set would train on nothing.
    batch = min(settings.batch_size, frames)
    with kept(task.checkpoints, determined_by(settings, data, task), [weights, replay]) as checkpoints:
        before_s = spent_before(checkpoints)
        settings = with_epochs(settings, start, folder, checkpoints, batch, task)
        model = run(settings, start, folder, checkpoints, batch, task)
        with errors_module.of_model(UserError):
            heads = mace_foundation.check_energies(model, start.heads, settings.id)
        task.out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model, task.out / "model.pt")
        results = checkpoints / f"model_run-{settings.seed}_train.txt"
        folders = {folder: "dataset", checkpoints: "checkpoints", scratch: "training"}
        write_tool_input(task.out / COMMAND, (scratch / COMMAND).read_text(), folders)
        write_curve(task.out / "curve.parquet", settings.id, curve(results, frames // batch))
        about_loss = models_loss.LossRecord.read(checkpoints / LOSS)
    hand_on(task.dataset, task.out)
    e0s_ev = {chemical_symbols[number]: energy for number, energy in start.e0s_ev.items()}
    facts = Facts(elements=start.elements, cutoff_A=start.cutoff_A, e0s_ev=e0s_ev)
    if start.tuned_from is not None:
        facts = Facts(**facts.model_dump(exclude_unset=True), head=mace_foundation.HEAD, heads=tuple(heads))
    cost = task.cost(began, before_s, settings.epochs * (frames // batch) * batch)
    trained = Trained(["model.pt"], facts, cost, about_loss, start.tuned_from)
    write_card(task.out, settings, data, trained)
