"""Train a NequIP model from nothing with NequIP's own tools, nequip-train and nequip-package.

Writes the model folder --out: model.nequip.zip (a package: the averaged weights of the epoch with the lowest validation loss, and the
code that runs them), curve.parquet (learning curve) and model.json (the model card). On a CPU the same settings, seed, data and
number of threads give the same model. Checkpoints are kept in --checkpoints; a training that was killed goes on from the last,
with batches in another order.
"""

import contextlib
import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError

from ionmelt.dataset.summary import TrainingData
from ionmelt.models import loss as models_loss
from ionmelt.models import pace
from ionmelt.models.card import Facts
from ionmelt.models.frameworks import nequip_tool
from ionmelt.models.frameworks.nequip import CONFIG, NequipTraining
from ionmelt.models.tool import ToolInput, environment, run_tool
from ionmelt.models.training import (
    Trained,
    TrainingTask,
    determined_by,
    hand_on,
    kept,
    loss_weights,
    read_inputs,
    spent_before,
    write_card,
    write_curve,
    write_tool_input,
)
from ionmelt.task import check_device

PACKAGE = "model.nequip.zip"
LOWEST = "val0_epoch/weighted_sum"  # the best epoch has the lowest
STATISTICS_BATCH = 10  # frames that the statistics of the training data are made of at a time
# What the curve calls the errors, and their unit.
ERRORS = {
    "energy": ("energy_per_atom_rmse", "eV"),
    "forces": ("force_rmse", "eV/A"),
    "stress": ("stress_rmse", "eV/A^3"),
}
KEYS = {"REF_energy": "total_energy", "REF_forces": "forces", "REF_stress": "stress"}


def model_section(settings: NequipTraining, elements: list[str], e0s_ev: dict[str, float]) -> ToolInput:
    """Return the model of nequip-train's configuration; reference energies (eV) of all elements."""
    zbl = {"_target_": "nequip.nn.pair_potential.ZBL", "units": "metal", "chemical_species": elements}
    return {
        "_target_": "nequip.model.NequIPGNNModel",
        "seed": settings.seed,
        "model_dtype": settings.dtype,
        "type_names": elements,
        "r_max": settings.r_max_A,
        "num_layers": settings.layers,
        "l_max": settings.l_max,
        "parity": settings.parity,
        "num_features": settings.features,
        "num_bessels": settings.bessels,
        "polynomial_cutoff_p": settings.cutoff_power,
        "radial_mlp_depth": settings.radial_depth,
        "radial_mlp_width": settings.radial_width,
        "avg_num_neighbors": "${training_data_stats:num_neighbors_mean}",
        "per_type_energy_scales": "${training_data_stats:per_type_forces_rms}",
        "per_type_energy_shifts": e0s_ev,
        **({"pair_potential": zbl} if settings.zbl else {}),
    }


def data_section(settings: NequipTraining, elements: list[str], folder: Path) -> ToolInput:
    """Return how the frames are read; those without a stress have none in the loss."""
    loader = {
        "_target_": "torch.utils.data.DataLoader",
        "batch_size": settings.batch_size,
        "num_workers": 0,  # loader processes would share the few cores, and the small data are in memory
    }
    return {
        "_target_": "nequip.data.datamodule.ASEDataModule",
        "seed": settings.seed,
        "train_file_path": str(folder / "train.extxyz"),
        "val_file_path": str(folder / "valid.extxyz"),
        "key_mapping": KEYS,
        "transforms": [
            {"_target_": "nequip.data.transforms.AddNaNStressTransform"},
            {"_target_": "nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper", "model_type_names": elements},
            {"_target_": "nequip.data.transforms.NeighborListTransform", "r_max": settings.r_max_A},
        ],
        "train_dataloader": loader | {"shuffle": True},
        "val_dataloader": loader,
        "stats_manager": {
            "_target_": "nequip.data.CommonDataStatisticsManager",
            "dataloader_kwargs": {"batch_size": STATISTICS_BATCH},
            "type_names": elements,
        },
    }


def trainer_section(settings: NequipTraining, e0s_ev: dict[str, float], checkpoints: Path, device: str) -> ToolInput:
    """Return how long the training is, what watches it and which checkpoints it leaves."""
    return {
        "_target_": "lightning.Trainer",
        "accelerator": "gpu" if device == "cuda" else "cpu",
        "devices": 1,
        "max_epochs": settings.epochs,
        "num_sanity_val_steps": 0,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": False,
        "callbacks": [
            {
                "_target_": f"{nequip_tool.__name__}.watch",
                "loss": str(checkpoints / "loss.json"),
                "curve": str(checkpoints / "curve.jsonl"),
                "given": loss_weights(settings)[0],
                "e0s_ev": list(e0s_ev.values()),
            },
            {
                "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
                "monitor": LOWEST,
                "dirpath": str(checkpoints),
                "filename": "best",
                "save_last": True,
                "enable_version_counter": False,
            },
        ],
    }


def tool_config(
    settings: NequipTraining, data: TrainingData, folder: Path, checkpoints: Path, device: str
) -> ToolInput:
    """Return the configuration of nequip-train for the settings of a study."""
    e0s_ev = {symbol: data.e0s_ev.get(symbol, 0.0) for symbol in data.elements}
    # The weights are put in their places before the first step.
    terms = {
        "_target_": "nequip.train.EnergyForceStressLoss",
        "coeffs": {"total_energy": 1.0, "forces": 1.0, "stress": 1.0},
        "ignore_nan": {"stress": True},
    }
    config: ToolInput = {
        "run": ["train"],
        "data": data_section(settings, data.elements, folder),
        "trainer": trainer_section(settings, e0s_ev, checkpoints, device),
        "training_module": {
            "_target_": "nequip.train.EMALightningModule",
            "ema_decay": settings.ema_decay,
            "loss": terms,
            "val_metrics": terms,
            "optimizer": {"_target_": "torch.optim.Adam", "lr": settings.learning_rate},
            "lr_scheduler": {
                "scheduler": {
                    "_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau",
                    "factor": settings.plateau_factor,
                    "patience": settings.plateau_patience,
                    "threshold": settings.plateau_threshold,
                    "min_lr": settings.least_learning_rate,
                },
                "monitor": LOWEST,
                "interval": "epoch",
                "frequency": 1,
            },
            "model": model_section(settings, data.elements, e0s_ev),
        },
    }
    last = checkpoints / "last.ckpt"
    return config | ({"ckpt_path": str(last)} if last.exists() else {})


class EpochRecord(BaseModel):
    """What the tool writes down of an epoch: mean squared errors by term, and the weights of the terms."""

    epoch: int
    step: int
    train: dict[str, float]
    valid: dict[str, float]
    weights: dict[str, float | None]


def curve(path: Path) -> Iterator[tuple[int, str, str, float, str]]:
    """Yield the learning curve (step, set, quantity, value, unit) from what the tool wrote down.

    Of the training frames the errors are means over an epoch's batches; those of the validation frames are of the averaged weights
    at its end. Of an epoch that was done twice, since a training was taken up again, the last time counts.
    """
    records: dict[int, EpochRecord] = {}
    for line in path.read_text().splitlines():
        with contextlib.suppress(ValidationError):  # cut off by a kill; the epoch was done again
            record = EpochRecord.model_validate_json(line)
            records[record.epoch] = record
    for _, record in sorted(records.items()):
        for frames, errors in (("train", record.train), ("valid", record.valid)):
            loss = sum((record.weights[name] or 0.0) * errors[name] for name in ERRORS)
            yield record.step, frames, "loss", loss, "1"
            for name, (quantity, unit) in ERRORS.items():
                yield record.step, frames, quantity, math.sqrt(errors[name]), unit


def run(settings: NequipTraining, data: TrainingData, folder: Path, checkpoints: Path, task: TrainingTask) -> Path:
    """Train on the frames of a folder with nequip-train, in the folder `training`; return the packaged model."""
    scratch = Path("training").resolve()
    config = tool_config(settings, data, folder, checkpoints, task.device)
    if "ckpt_path" in config:
        print("going on from a checkpoint", file=sys.stderr, flush=True)
    (scratch / CONFIG).write_text(json.dumps(config, indent=2) + "\n")  # JSON is YAML
    run_tool(
        "nequip-train",
        [sys.executable, "-P", "-m", nequip_tool.__name__, CONFIG, str(checkpoints / "best.ckpt"), PACKAGE],
        environment(task.threads),
        scratch,
        lambda line: line.startswith("Epoch"),
        scratch / PACKAGE,
        settings.epochs,
    )
    return scratch / PACKAGE


def with_epochs(
    settings: NequipTraining, data: TrainingData, folder: Path, checkpoints: Path, task: TrainingTask
) -> NequipTraining:
    """Return the settings with as many epochs as fit into their core-minutes."""

    def train_on(kept_in: Path, epochs: int, frames: int) -> None:
        with tempfile.TemporaryDirectory(dir=".") as name:
            few = Path(name).resolve()
            pace.some_frames(folder, frames, few)
            run(settings.model_copy(update={"epochs": epochs}), data, few, kept_in, task)

    first = pace.BATCHES * settings.batch_size
    return pace.with_length(settings, checkpoints, task.threads, task.device, train_on, first, data.frames["train"])


def train(task: TrainingTask) -> None:
    """Do the work of the task: train in a scratch folder, then write the model folder."""
    began = time.perf_counter()
    check_device(task.device)
    settings, data = read_inputs(task, NequipTraining)
    scratch = Path("training").resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    with kept(task.checkpoints, determined_by(settings, data, task), []) as checkpoints:
        before_s = spent_before(checkpoints)
        folder = task.dataset.resolve()
        settings = with_epochs(settings, data, folder, checkpoints, task)
        package = run(settings, data, folder, checkpoints, task)
        task.out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(package, task.out / PACKAGE)
        write_tool_input(
            task.out / CONFIG, (scratch / CONFIG).read_text(), {folder: "dataset", checkpoints: "checkpoints"}
        )
        write_curve(task.out / "curve.parquet", settings.id, curve(checkpoints / "curve.jsonl"))
        about_loss = models_loss.LossRecord.read(checkpoints / "loss.json")
    hand_on(task.dataset, task.out)
    facts = Facts(elements=tuple(data.elements), cutoff_A=settings.r_max_A, e0s_ev=data.e0s_ev)
    cost = task.cost(began, before_s, settings.epochs * data.frames["train"])
    write_card(task.out, settings, data, Trained([PACKAGE], facts, cost, about_loss))
