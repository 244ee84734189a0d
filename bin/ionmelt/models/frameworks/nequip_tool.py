"""NequIP's own tools, nequip-train and nequip-package, with weights of the loss that are measured, and a record of the training.

usage: python -m ionmelt.models.frameworks.nequip_tool CONFIG BEST PACKAGE   CONFIG: file of nequip-train's configuration (YAML); BEST: checkpoint that the
training leaves; PACKAGE: file to write, the model with the code that runs it.

Both run in one process: to import NequIP takes longer than to package. What of nequip 0.19.1 is put right here: its mean over a batch
in which no frame has a stress is not a number, and so would be all weights after that step.
"""

import ctypes
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ionmelt.models import loss as models_loss

# NequIP's names of the terms of the loss.
NAMES = {"energy": "per_atom_energy_mse", "forces": "forces_mse", "stress": "stress_mse"}
FORCES = 1.0  # weight of the forces where the study gives none: that of NequIP's own example


def unweighted(module: Any, loader: Any, e0s_ev: list[float], pull: bool) -> Iterator[models_loss.Terms]:
    """Yield NequIP's own terms of the loss, each with weight one, of some training batches (scalar tensors with a graph).

    `pull`: the errors are what the labels are, less the reference energies (eV, by type), whatever the model says. `loader` is that
    of the training: its order stays as it is.
    """
    import torch

    order = torch.Generator().manual_seed(0)
    batches = torch.utils.data.DataLoader(
        loader.dataset, batch_size=loader.batch_size, shuffle=True, generator=order, collate_fn=loader.collate_fn
    )
    for _, batch in zip(range(models_loss.BATCHES), batches, strict=False):
        given = {name: value.to(module.device) for name, value in batch.items()}
        target = dict(given)
        predicted = module(given)
        if pull:
            reference = torch.tensor(e0s_ev, dtype=torch.float64, device=module.device)[target["atom_types"].flatten()]
            energy = torch.zeros(len(target["total_energy"]), dtype=torch.float64, device=module.device)
            energy.index_add_(0, target["batch"].flatten(), reference)
            target["total_energy"] = target["total_energy"] - energy.reshape(target["total_energy"].shape)
            for name in ("total_energy", "forces", "stress"):
                target[name] = target[name] + predicted[name].detach()
        squares = {}
        for name, term in NAMES.items():
            value, label = module.loss.entries[term].field(predicted, target)
            there = ~torch.isnan(label)
            squares[name] = (value[there] - label[there]).square().sum() / max(int(there.sum()), 1)
        yield squares


class Watch:
    """What is done beside a training: its loss is weighed, its errors are written down."""

    def __init__(self, loss: str, curve: str, given: dict[str, float | None], e0s_ev: list[float]) -> None:
        """Take the files of the loss and of the curve, the weights of the study (None: to be found), and reference energies by type (eV)."""
        self.loss, self.curve, self.given, self.e0s_ev = Path(loss), Path(curve), given, e0s_ev

    def lengths(self, trainer: Any, module: Any, pull: bool = False) -> dict[str, float]:
        """Return the length of the gradient of each term by the weights of the model as it is now."""
        batches = unweighted(module, trainer.train_dataloader, self.e0s_ev, pull)
        return models_loss.gradient_lengths(batches, module.model.parameters())

    def weigh(self, trainer: Any, module: Any) -> None:
        """Give the loss its weights; a training that goes on keeps those that it began with: they are in the file.

        The loss of the validation frames has the same: by it the best model is chosen, and the learning rate falls.
        """
        about = models_loss.LossRecord.read(self.loss)
        if about is None:
            start = self.lengths(trainer, module, pull=True)
            weights = models_loss.balanced(self.given, start, FORCES)
            shares = models_loss.shares(weights, start)
            about = models_loss.LossRecord(weights_start=weights, weights_end=weights, gradient_shares_start=shares)
            about.write(self.loss)
        for terms in (module.loss, *module.val_metrics):
            terms.set_coeffs({term: about.weights_end[name] for name, term in NAMES.items()})

    def note(self, trainer: Any, module: Any) -> None:
        """Write down the errors of an epoch: of the batches as they were met, and of the averaged weights at its end."""
        record = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "train": {name: float(module.loss[term].compute()) for name, term in NAMES.items()},
            "valid": {name: module.val_metrics[0].metrics_values_epoch[term] for name, term in NAMES.items()},
            "weights": {name: module.loss.entries[term].coeff for name, term in NAMES.items()},
        }
        with self.curve.open("a") as file:
            file.write(json.dumps(record) + "\n")
        rmse = record["valid"]["forces"] ** 0.5
        print(f"Epoch {trainer.current_epoch + 1} of {trainer.max_epochs}: force RMSE {rmse:.4g} eV/A", flush=True)

    def close(self, trainer: Any, module: Any) -> None:
        """Write down what share of the gradient each term has at the end."""
        about = models_loss.LossRecord.read(self.loss)
        if about is not None:
            end = models_loss.shares(about.weights_end, self.lengths(trainer, module))
            about.model_copy(update={"gradient_shares_end": end}).write(self.loss)


def watch(loss: str, curve: str, given: dict[str, float | None], e0s_ev: list[float]) -> Any:
    """Return a callback of Lightning's trainer that does what a `Watch` does."""
    from lightning.pytorch.callbacks import LambdaCallback

    watched = Watch(loss, curve, given, e0s_ev)
    return LambdaCallback(on_train_start=watched.weigh, on_train_epoch_end=watched.note, on_fit_end=watched.close)


def main() -> None:
    """Train, then package."""
    if sys.platform == "linux":  # die with the task: a restart must find its checkpoints alone
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    config, best, package = (Path(word).absolute() for word in sys.argv[1:])
    from nequip.scripts import package as packaging
    from nequip.scripts import train
    from nequip.train import metrics

    metrics.MeanSquaredError.compute = lambda metric: metric.sum / metric.count.clamp(min=1)
    sys.argv[1:] = ["-cp", str(config.parent), "-cn", config.name, "hydra.run.dir=.", "hydra.output_subdir=null"]
    train.main()
    packaging.main(["build", str(best), str(package)])


if __name__ == "__main__":
    main()
