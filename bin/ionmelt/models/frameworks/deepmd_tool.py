"""DeePMD's own tool, dp --pt, with weights of the loss that are measured, and a record of what share of the gradient each term has.

usage: python -m ionmelt.models.frameworks.deepmd_tool LOSS GIVEN SEED COMMANDS   LOSS: file that keeps what is found out about the loss; GIVEN: JSON, the weights of the
study at the start and at the limit, null where they are to be found; SEED: of the order of the batches; COMMANDS: JSON, arguments of dp --pt, one list a command.

The commands run one after another in one process: to import DeePMD takes longer than to freeze and compress. Weights are found once,
on the initial model: a training that was killed and goes on reads them from LOSS.

What is made faster, and changes no number by more than rounding does: layers (deepmd_layers.py), where a trial gave DeePMD's own numbers; frames
are read once, not at each step; the optimizer takes one pass over the weights.

What of deepmd-kit is put right here: a checkpoint counts one step less than were done, which a restart does twice, and a restart begins
with the first batches again. A training that was killed ends with the same numbers as one that was not (on CPUs).
"""

import ctypes
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ionmelt.models import loss as models_loss

# DeePMD's letters for the terms of the loss; its virial is the stress times the volume.
LETTERS = {"energy": "e", "forces": "f", "stress": "v"}
ENDS = ("start", "limit")  # of the learning rate, which the weights follow
INPUTS = ("coord", "atype", "box")  # of a model
FORCES = 1.0  # weight of the forces where the study gives none: the others are relative to it


def unweighted(trainer: Any, pull: bool) -> Iterator[models_loss.Terms]:
    """Yield DeePMD's own terms of the loss, each with weight one, of training batches (scalar tensors with a graph).

    `pull`: the errors are what the labels are, less the reference energies, whatever the model says.
    """
    from deepmd.pt.loss import EnergyStdLoss

    ones = {}
    for name, letter in LETTERS.items():
        ones[name] = EnergyStdLoss(1.0, **{f"{end}_pref_{letter}": 1.0 for end in ENDS})
    model = trainer.wrapper.model["Default"]
    trainer.wrapper.train()
    for _ in range(models_loss.BATCHES):
        inputs, label, _ = trainer.get_data(is_train=True)
        predicted = model(**{name: value for name, value in inputs.items() if name != "spin"})
        if pull:
            energy = predicted["energy"].detach() - model.get_out_bias()[0][inputs["atype"]].sum(dim=1)
            label = label | {
                "energy": label["energy"].reshape(energy.shape) + energy,
                "force": label["force"].reshape(predicted["force"].shape) + predicted["force"].detach(),
                "virial": label["virial"].reshape(predicted["virial"].shape) + predicted["virial"].detach(),
            }
        atoms = int(inputs["atype"].shape[-1])
        yield {
            name: loss(inputs, lambda predicted=predicted, **_: dict(predicted), label, atoms, learning_rate=1.0)[1]
            for name, loss in ones.items()
        }


def lengths(trainer: Any, pull: bool = False) -> dict[str, float]:
    """Return the length of the gradient of each term by the weights of the model as it is now."""
    return models_loss.gradient_lengths(unweighted(trainer, pull), trainer.wrapper.model["Default"].parameters())


def with_own_weights(
    run: Callable[[Any], None], path: Path, given: dict[str, dict[str, float | None]]
) -> Callable[[Any], None]:
    """Return DeePMD's training with the weights of the study, and with those that it leaves open found from the gradient."""

    def balanced_run(trainer: Any) -> None:
        about = models_loss.LossRecord.read(path)
        if about is None:
            start = lengths(trainer, pull=True)
            weights = {end: models_loss.balanced(given[end], start, FORCES) for end in ENDS}
            about = models_loss.LossRecord(
                weights_start=weights["start"],
                weights_end=weights["limit"],
                gradient_shares_start=models_loss.shares(weights["start"], start),
            )
            about.write(path)
        for end, weights_there in (("start", about.weights_start), ("limit", about.weights_end)):
            for name, letter in LETTERS.items():
                setattr(trainer.loss, f"{end}_pref_{letter}", weights_there[name])
        run(trainer)
        schedule = trainer.lr_schedule
        left = float(schedule.value(trainer.num_steps)) / trainer.loss.starter_learning_rate
        last = {name: limit + (about.weights_start[name] - limit) * left for name, limit in about.weights_end.items()}
        end_shares = models_loss.shares(last, lengths(trainer))
        about.model_copy(update={"weights_end": last, "gradient_shares_end": end_shares}).write(path)

    return balanced_run


def endless(loader: Any) -> Iterator[Any]:
    """Yield the batches of a loader, over and over."""
    while True:
        yield from loader


def begin_again(trainer: Any, seed: int) -> None:
    """Let a trainer draw its batches from the first on, in the order of a seed: what was drawn before depends on how it began."""
    import torch

    torch.manual_seed(seed)
    for name in ("training", "validation"):
        loader = getattr(trainer, f"{name}_dataloader")
        if loader is not None:
            loader.dataset.iters = [iter(system) for system in loader.dataset.dataloaders]
            setattr(trainer, f"{name}_data", endless(loader))


def pass_over(trainer: Any, steps: int) -> None:
    """Draw the batches that the first steps of a training take, those of its validation in their turn."""
    for step in range(1, steps + 1):
        trainer._next_training_batch("Default")
        if step % trainer.disp_freq == 0 or step == 1:
            for _ in range(trainer.valid_numb_batch):
                trainer.get_data(is_train=False)


def with_own_batches(run: Callable[[Any], None], seed: int) -> Callable[[Any], None]:
    """Return DeePMD's training such that a restart goes on with the batches that would have come next."""

    def run_from_there(trainer: Any) -> None:
        import torch

        with torch.device("cpu"):  # where the states of random generators are
            begin_again(trainer, seed)
            pass_over(trainer, trainer.start_step)
        run(trainer)

    return run_from_there


def with_faster_layers(run: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return DeePMD's training: on a CPU with layers that are computed faster, where a trial gave DeePMD's own numbers."""

    def faster_run(trainer: Any) -> None:
        from ionmelt.models.frameworks import deepmd_layers

        model = trainer.wrapper.model["Default"]
        inputs = {name: value for name, value in trainer.get_data(is_train=True)[0].items() if name in INPUTS}
        if inputs["coord"].device.type == "cpu" and deepmd_layers.agrees(model, inputs):
            with deepmd_layers.faster(model):
                run(trainer)
            return
        print("layers are DeePMD's own: on a GPU, of another form, or the faster ones give other numbers", flush=True)
        run(trainer)

    return faster_run


def in_one_pass(create: Callable[..., Any]) -> Callable[..., Any]:
    """Return DeePMD's maker of optimizers such that Adam changes all weights in one pass, on CPUs too."""

    def create_optimizer(trainer: Any, kind: Any, **given: Any) -> Any:
        return create(trainer, kind, **given | ({"fused": True} if kind.__name__ in ("Adam", "AdamW") else {}))

    return create_optimizer


def read_once(read: Callable[[Any, int], dict[str, Any]]) -> Callable[[Any, int], dict[str, Any]]:
    """Return DeePMD's reading of a frame of a system such that it is read once for all that is asked of it."""

    def frame(system: Any, index: int) -> dict[str, Any]:
        held = vars(system).setdefault("frames", {})
        key = index, tuple(system.data_system.data_dict)
        if key not in held:
            held[key] = read(system, index)
        return dict(held[key])

    return frame


def with_steps_done(save: Callable[..., None]) -> Callable[..., None]:
    """Return DeePMD's writing of a checkpoint with the number of steps that were done for the index of the last."""

    def save_model(trainer: Any, path: Any, lr: float = 0.0, step: int = 0, **how: Any) -> None:
        save(trainer, path, lr=lr, step=step + 1, **how)

    return save_model


def main() -> None:
    """Run the commands."""
    if sys.platform == "linux":  # die with the task: a restart must find its checkpoints alone
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    path, given = Path(sys.argv[1]), json.loads(sys.argv[2])
    seed, commands = int(sys.argv[3]), json.loads(sys.argv[4])
    from deepmd.main import main as dp
    from deepmd.pt.train import training
    from deepmd.pt.utils import env
    from deepmd.pt.utils.dataset import DeepmdDataSetForLoader

    own_batches = with_own_batches(training.Trainer.run, seed)
    training.Trainer.run = with_faster_layers(with_own_weights(own_batches, path, given))
    training.Trainer._create_optimizer = in_one_pass(training.Trainer._create_optimizer)
    DeepmdDataSetForLoader.__getitem__ = read_once(DeepmdDataSetForLoader.__getitem__)
    training.Trainer.save_model = with_steps_done(training.Trainer.save_model)
    for command in commands:
        env.CUSTOM_OP_USE_JIT = False  # set by a training, for a form of DPA-3's activation that cannot be frozen
        dp(["--pt", *command])


if __name__ == "__main__":
    main()
