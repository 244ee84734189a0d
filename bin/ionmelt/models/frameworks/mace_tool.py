"""MACE's own training tool, mace_run_train, so that a killed training goes on and reference energies are those asked for.

usage: python -m ionmelt.models.frameworks.mace_tool STATE LOSS GIVEN STAGE_TWO ARGUMENT...   STATE: file that holds the whole state of the training; LOSS: file
that keeps what is found out about the loss; GIVEN: JSON, the weights of the study, null where they are to be found; STAGE_TWO: weight of the energy
in stage two over that before; the rest is MACE's.

What of mace-torch 0.3.16 is put right here:
- Its checkpoint is the best epoch so far, with averaged weights for those of the optimizer, and without the average, the order of
  the batches and the lowest loss. A restart therefore begins again at the best epoch: at the first one where a model that is
  fine-tuned gets no better on the validation set, which looks as if it had not restarted at all. STATE holds all of it and is
  written whole between two epochs; a training that was killed ends with the same numbers as one that was not (on CPUs).
- A foundation model with the elements of the tuned one has its reference energies copied over those that were asked for.
- Those of a model that is tuned are a parameter that no optimizer has: nothing sets their gradient to zero, so that the sum over all
  steps counts in the norm by which gradients are clipped, steps shrink as the training grows older, and a restart forgets it.
- Replay replaces the loss that was asked for by another, in which the weights mean something else.
- A loss that is not finite counts as better than any other.
- AMSGrad cannot be switched off: its flag is on whether it is given or not.
- Its default weights leave all but a thousandth of the gradient to the forces: weights that the study leaves open are found (ionmelt/models/loss.py).
"""

import copy
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ionmelt.models import loss as models_loss

FORCES = (
    100.0  # weight of the forces where the study gives none: MACE's own, which its clipping of gradients is made for
)
# A state is written when this many times as long has gone as it takes to write one.
SPARING = 20


class Keeper:
    """The state of a training, in memory and in a file."""

    def __init__(self, path: Path, stateful: dict[str, Any], generator: Any) -> None:
        """Take the objects whose state is kept, by name, and the generator that shuffles the training frames."""
        self.path, self.stateful, self.generator = path, stateful, generator
        self.loss = float("nan")  # of the last validation
        self.lowest = float("inf")  # loss of the best checkpoint
        self._written, self._cost = time.monotonic(), 0.0

    def restore(self) -> int:
        """Take up the state of the file, if there is one; return the epoch to begin with."""
        if not self.path.is_file():
            return 0
        import torch

        # Read to the CPU, where the states of random generators must be; model and optimizer move theirs to their device.
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, holder in self.stateful.items():
            holder.load_state_dict(state[name])
        torch.set_rng_state(state["random"])
        if state["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda"])
        self.generator.set_state(state["order"])
        self.lowest = state["lowest"]
        return int(state["epoch"])

    def write(self, epoch: int) -> None:
        """Write the state before an epoch; a kill leaves this file or the one before, whole."""
        import torch

        start = time.monotonic()
        state = {name: holder.state_dict() for name, holder in self.stateful.items()} | {
            "random": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "order": self.generator.get_state(),
            "lowest": self.lowest,
            "epoch": epoch,
        }
        unfinished = self.path.with_name(f".{self.path.name}")
        with unfinished.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.path)
        self._written = time.monotonic()
        self._cost = self._written - start

    def due(self) -> bool:
        """Whether it is time to write the state."""
        return time.monotonic() - self._written >= SPARING * self._cost


def epoch_of(checkpoint: Path) -> int:
    """Return the epoch of a checkpoint of MACE, whose name ends in -7 or, of stage two, in -7_swa."""
    return int(checkpoint.stem.removesuffix("_swa").rpartition("-")[2])


class Best:
    """A checkpoint handler that keeps what is better than all before, be it before a kill; of each stage the best."""

    def __init__(self, handler: Any, keeper: Keeper) -> None:
        self.handler, self.keeper = handler, keeper
        # A checkpoint from before a kill is replaced like any other.
        folder, tag = Path(handler.io.directory), handler.io.tag
        handler.io.old_path = None
        earlier = sorted(folder.glob(f"{tag}_epoch-*.pt"), key=epoch_of)
        for is_second in (False, True):
            of_stage = [path for path in earlier if path.stem.endswith("_swa") == is_second]
            handler.io.old_path = str(of_stage[-1]) if of_stage else handler.io.old_path
            for path in of_stage[:-1]:
                path.unlink()

    def save(self, state: Any, epochs: int, keep_last: bool = False) -> None:
        """Write the checkpoint of an epoch, if its loss is the lowest so far."""
        if self.keeper.loss < self.keeper.lowest:  # not so where it is not a number
            self.keeper.lowest = self.keeper.loss
            self.handler.save(state=state, epochs=epochs, keep_last=keep_last)


def terms_of(loss: Any, labels: Any, predicted: Any) -> models_loss.Terms:
    """Return the terms of one of MACE's losses of a batch, each with weight one and by itself."""
    import torch

    terms = {}
    for name in models_loss.TERMS:
        for other in models_loss.TERMS:
            held = f"{other}_weight"
            setattr(loss, held, torch.full_like(getattr(loss, held), float(other == name)))
        terms[name] = loss(labels, predicted)
    return terms


def unweighted(model: Any, loader: Any, loss: Any, pull: bool) -> Iterator[models_loss.Terms]:
    """Yield the terms of MACE's loss, each with weight one, of some training batches (scalar tensors with a graph).

    `pull`: the errors are what the labels are, less the reference energies, whatever the model says. `loader` is that of
    the training: its order, and all other random numbers, stay as they are.
    """
    import torch
    from mace.tools import torch_geometric

    loss = copy.deepcopy(loss)
    device = next(model.parameters()).device
    order = torch.Generator().manual_seed(0)
    batches = torch_geometric.dataloader.DataLoader(
        loader.dataset, batch_size=loader.batch_size, shuffle=True, drop_last=True, generator=order
    )
    model.train()
    for _, batch in zip(range(models_loss.BATCHES), batches, strict=False):
        labels = batch.to(device)
        predicted = model(labels.to_dict(), training=True, compute_force=True, compute_stress=True)
        if pull:
            labels["energy"] = predicted["interaction_energy"].detach() + labels["energy"]
            labels["forces"] = predicted["forces"].detach() + labels["forces"]
            labels["stress"] = predicted["stress"].detach() + labels["stress"]
        yield terms_of(loss, labels, predicted)


def lengths(model: Any, loader: Any, loss: Any, pull: bool = False) -> dict[str, float]:
    """Return the length of the gradient of each term of a loss by the weights of the model as it is now."""
    return models_loss.gradient_lengths(unweighted(model, loader, loss, pull), model.parameters())


@dataclass(frozen=True)
class Weights:
    """The weights of the loss that a study gives, None where they are to be found, and what the energy's is times in stage two."""

    given: dict[str, float | None]
    stage_two_energy: float


def weigh(path: Path, weights: Weights, model: Any, loader: Any, loss: Any, stage_two: Any) -> models_loss.LossRecord:
    """Give MACE's losses the weights of the study, and those found for what it leaves open; return what is known of the loss.

    A training that goes on keeps the weights that it began with: they are in the file. `stage_two`: the loss of it; None where
    there is none.
    """
    import torch

    about = models_loss.LossRecord.read(path)
    if about is None:
        start = lengths(model, loader, loss, pull=True)
        balanced = models_loss.balanced(weights.given, start, FORCES)
        end = balanced | {"energy": balanced["energy"] * weights.stage_two_energy}
        shares = models_loss.shares(balanced, start)
        about = models_loss.LossRecord(weights_start=balanced, weights_end=end, gradient_shares_start=shares)
        about.write(path)
    for one, numbers in ((loss, about.weights_start), (stage_two, about.weights_end)):
        for name in models_loss.TERMS if one is not None else ():
            held = getattr(one, f"{name}_weight")
            held.copy_(torch.as_tensor(numbers[name], dtype=held.dtype))
    return about


def layers(model: Any, loader: Any) -> AbstractContextManager[object]:
    """Return the context of a training: on a CPU with layers that are computed faster, where a trial gave MACE's own forces."""
    from mace.tools import torch_geometric

    from ionmelt.models.frameworks import mace_layers

    if next(model.parameters()).device.type != "cpu":
        return nullcontext()
    # A loader of its own, whose order is the files': that of the training, and all other random numbers, stay as they are.
    (batch, *_) = torch_geometric.dataloader.DataLoader([loader.dataset[0]], batch_size=1)
    if mace_layers.agrees(model, batch):
        return mace_layers.faster(model)
    print("layers are MACE's own: they are of another form, or the faster ones give other forces", flush=True)
    return nullcontext()


def going_on(trainer: Any, path: Path, loss_path: Path, weights: Weights) -> Callable[..., None]:
    """Return MACE's training (of its module `trainer`) such that it goes on from the state in a file, with the weights of the study."""
    train, one_epoch, log = trainer.train, trainer.train_one_epoch, trainer.valid_err_log

    def going_on_train(**given: Any) -> None:
        stepped = {id(held) for group in given["optimizer"].param_groups for held in group["params"]}
        for held in given["model"].parameters():
            held.requires_grad_(held.requires_grad and id(held) in stepped)
        second = given["swa"]
        stage_two = second.loss_fn if second is not None else None
        about = weigh(loss_path, weights, given["model"], given["train_loader"], given["loss_fn"], stage_two)
        stateful = {
            "model": given["model"],
            "optimizer": given["optimizer"],
            "scheduler": given["lr_scheduler"].lr_scheduler,  # PyTorch's, in MACE's
        }
        if given["ema"] is not None:
            stateful["average"] = given["ema"]
        if second is not None:
            stateful["stage two"] = second.scheduler
        keeper = Keeper(path, stateful, given["train_loader"].generator)
        first = keeper.restore()
        if first:
            print(f"going on from a checkpoint: Epoch {first} of {given['max_num_epochs']} is next", flush=True)

        def kept_epoch(**of_epoch: Any) -> None:
            # The epoch before is complete here: its model is saved, and the learning rate is that of this epoch.
            if second is not None and of_epoch["epoch"] == second.start:
                keeper.lowest = float("inf")  # the loss means something else from here on
            if of_epoch["epoch"] > first and keeper.due():
                keeper.write(of_epoch["epoch"])
            one_epoch(**of_epoch)

        def noted(valid_loss: Any, *rest: Any, **more: Any) -> None:
            keeper.loss = float(valid_loss)  # of several heads the last counts, as in MACE
            log(valid_loss, *rest, **more)

        trainer.train_one_epoch, trainer.valid_err_log = kept_epoch, noted
        with layers(given["model"], given["train_loader"]):
            train(**given | {"start_epoch": first, "checkpoint_handler": Best(given["checkpoint_handler"], keeper)})
        if not keeper.lowest < float("inf"):
            raise SystemExit("the loss of the validation set was never a finite number: give a smaller learning_rate")
        keeper.write(given["max_num_epochs"])
        at_end = lengths(given["model"], given["train_loader"], given["loss_fn"])
        end = models_loss.shares(about.weights_end, at_end)
        about.model_copy(update={"gradient_shares_end": end}).write(loss_path)

    return going_on_train


def with_own_energies(configure: Callable[..., Any]) -> Callable[..., Any]:
    """Return MACE's maker of models such that a model has the reference energies that were asked for."""

    def configure_model(args: Any, train_loader: Any, atomic_energies: Any, *rest: Any, **more: Any) -> Any:
        import torch

        model, outputs = configure(args, train_loader, atomic_energies, *rest, **more)
        held = model.atomic_energies_fn.atomic_energies
        held.copy_(torch.as_tensor(atomic_energies, dtype=held.dtype).reshape(held.shape))
        return model, outputs

    return configure_model


def with_own_loss(make: Callable[..., Any], loss: str) -> Callable[..., Any]:
    """Return MACE's maker of losses such that the loss is the one of a name."""

    def get_loss_fn(args: Any, *rest: Any, **more: Any) -> Any:
        args.loss = loss
        return make(args, *rest, **more)

    return get_loss_fn


def with_own_amsgrad(options: Callable[..., dict[str, Any]], is_asked: bool) -> Callable[..., dict[str, Any]]:
    """Return MACE's maker of the optimizer's options such that AMSGrad is what was asked for."""

    def get_params_options(*given: Any) -> dict[str, Any]:
        return options(*given) | {"amsgrad": is_asked}

    return get_params_options


def main() -> None:
    """Run MACE's tool."""
    if sys.platform == "linux":  # die with the task: a restart must find its checkpoints alone
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    state, loss_path = Path(sys.argv[1]), Path(sys.argv[2])
    weights = Weights(json.loads(sys.argv[3]), float(sys.argv[4]))
    sys.argv[1:] = sys.argv[5:]
    from mace.cli import run_train

    trainer = sys.modules["mace.tools.train"]
    run_train.tools.train = going_on(trainer, state, loss_path, weights)
    (loss,) = (word.removeprefix("--loss=") for word in sys.argv if word.startswith("--loss="))
    run_train.get_loss_fn = with_own_loss(run_train.get_loss_fn, loss)
    run_train.get_params_options = with_own_amsgrad(run_train.get_params_options, "--amsgrad" in sys.argv)
    run_train.configure_model = with_own_energies(run_train.configure_model)
    run_train.main()


if __name__ == "__main__":
    main()
