"""Train a NequIP model from nothing with NequIP's own tools, nequip-train and nequip-package.

Writes the model folder --out: model.nequip.zip (a package: the averaged weights of the epoch with the lowest validation loss, and the
code that runs them), curve.parquet (learning curve) and model.json (the model card). On a CPU the same settings, seed, data and
number of threads give the same model. Checkpoints are kept in --checkpoints; a training that was killed goes on from the last,
with batches in another order.
"""

import json
import math
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ionmelt.dataset.summary import TrainingData
from ionmelt.models import loss as models_loss
from ionmelt.models.frameworks import nequip_tool
from ionmelt.models.frameworks.nequip import NequipTraining
from ionmelt.models.tool import environment, run_tool
from ionmelt.models.training import (
    TrainingTask,
    determined_by,
    given_weight,
    hand_on,
    kept,
    read_inputs,
    write_card,
    write_curve,
)
from ionmelt.task import check_device

PACKAGE = "model.nequip.zip"
# NequIP's own example: the average of the weights, and how the learning rate falls.
EMA_DECAY = 0.999
PLATEAU = {"factor": 0.6, "patience": 5, "threshold": 0.2, "min_lr": 1e-6}
STATISTICS_BATCH = 10  # frames that the statistics of the training data are made of at a time
# What the curve calls the errors, and their unit.
ERRORS = {
    "energy": ("energy_per_atom_rmse", "eV"),
    "forces": ("force_rmse", "eV/A"),
    "stress": ("stress_rmse", "eV/A^3"),
}
KEYS = {"REF_energy": "total_energy", "REF_forces": "forces", "REF_stress": "stress"}


def weights_of_loss(settings: NequipTraining) -> dict[str, float | None]:
    """Return the weight of each term of the loss, None where it is to be found from the data."""
    weights = (settings.energy_weight, settings.forces_weight, settings.stress_weight)
    return dict(zip(models_loss.TERMS, map(given_weight, weights), strict=True))


def tool_config(
    settings: NequipTraining, data: TrainingData, folder: Path, checkpoints: Path, device: str
) -> dict[str, Any]:
    """Return the configuration of nequip-train for the settings of a study; frames without a stress have none in the loss."""
    elements, seed = data.elements, settings.seed
    e0s = {symbol: data.e0s_ev.get(symbol, 0.0) for symbol in elements}
    lowest = "val0_epoch/weighted_sum"
    # The weights are put in their places before the first step.
    terms = {
        "_target_": "nequip.train.EnergyForceStressLoss",
        "coeffs": {"total_energy": 1.0, "forces": 1.0, "stress": 1.0},
        "ignore_nan": {"stress": True},
    }
    loader = {
        "_target_": "torch.utils.data.DataLoader",
        "batch_size": settings.batch_size,
        "num_workers": 0,  # loader processes would share the few cores, and the small data are in memory
    }
    model = {
        "_target_": "nequip.model.NequIPGNNModel",
        "seed": seed,
        "model_dtype": settings.dtype,
        "type_names": elements,
        "r_max": settings.r_max_A,
        "num_layers": settings.layers,
        "l_max": settings.l_max,
        "parity": settings.parity,
        "num_features": settings.features,
        "radial_mlp_depth": settings.radial_depth,
        "radial_mlp_width": settings.radial_width,
        "avg_num_neighbors": "${training_data_stats:num_neighbors_mean}",
        "per_type_energy_scales": "${training_data_stats:per_type_forces_rms}",
        "per_type_energy_shifts": e0s,
    }
    if settings.zbl:
        model["pair_potential"] = {
            "_target_": "nequip.nn.pair_potential.ZBL",
            "units": "metal",
            "chemical_species": elements,
        }
    config = {
        "run": ["train"],
        "data": {
            "_target_": "nequip.data.datamodule.ASEDataModule",
            "seed": seed,
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
        },
        "trainer": {
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
                    "given": weights_of_loss(settings),
                    "e0s_ev": list(e0s.values()),
                },
                {
                    "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
                    "monitor": lowest,
                    "dirpath": str(checkpoints),
                    "filename": "best",
                    "save_last": True,
                    "enable_version_counter": False,
                },
            ],
        },
        "training_module": {
            "_target_": "nequip.train.EMALightningModule",
            "ema_decay": EMA_DECAY,
            "loss": terms,
            "val_metrics": terms,
            "optimizer": {"_target_": "torch.optim.Adam", "lr": settings.learning_rate},
            "lr_scheduler": {
                "scheduler": {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", **PLATEAU},
                "monitor": lowest,
                "interval": "epoch",
                "frequency": 1,
            },
            "model": model,
        },
    }
    last = checkpoints / "last.ckpt"
    return config | ({"ckpt_path": str(last)} if last.exists() else {})


def curve(path: Path) -> Iterator[tuple[int, str, str, float, str]]:
    """Yield the learning curve (step, set, quantity, value, unit) from what the tool wrote down.

    Of the training frames the errors are means over an epoch's batches; those of the validation frames are of the averaged weights
    at its end. Of an epoch that was done twice, since a training was taken up again, the last time counts.
    """
    records: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:  # cut off by a kill; the epoch was done again
            continue
        records[record["epoch"]] = record
    for _, record in sorted(records.items()):
        for part in ("train", "valid"):
            loss = sum((record["weights"][name] or 0.0) * record[part][name] for name in ERRORS)
            yield record["step"], part, "loss", loss, "1"
            for name, (quantity, unit) in ERRORS.items():
                yield record["step"], part, quantity, math.sqrt(record[part][name]), unit


def train(task: TrainingTask) -> None:
    """Do the work of the task: train in a scratch folder, then write the model folder."""
    began = time.perf_counter()
    check_device(task.device)
    settings, data = read_inputs(task, NequipTraining)
    scratch = Path("training").resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    with kept(task.checkpoints, determined_by(settings, data, task), []) as checkpoints:
        config = tool_config(settings, data, task.dataset.resolve(), checkpoints, task.device)
        if "ckpt_path" in config:
            print("going on from a checkpoint", file=sys.stderr, flush=True)
        (scratch / "config.yaml").write_text(json.dumps(config, indent=2) + "\n")  # JSON is YAML
        run_tool(
            "nequip-train",
            [sys.executable, "-P", "-m", nequip_tool.__name__, "config.yaml", str(checkpoints / "best.ckpt"), PACKAGE],
            environment(task.threads),
            scratch,
            lambda line: line.startswith("Epoch"),
            scratch / PACKAGE,
        )
        task.out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(scratch / PACKAGE, task.out / PACKAGE)
        write_curve(task.out / "curve.parquet", settings.id, curve(checkpoints / "curve.jsonl"))
        about_loss = models_loss.read(checkpoints / "loss.json")
    cost = {"wall_s": round(time.perf_counter() - began, 1), "threads": task.threads, "device": task.device}
    hand_on(task.dataset, task.out)
    write_card(task.out, settings, data, [PACKAGE], settings.r_max_A, cost, {"loss": about_loss})
