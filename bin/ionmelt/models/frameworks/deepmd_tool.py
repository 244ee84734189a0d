"""DeePMD's own tool, dp --pt, with weights of the loss that are measured, and a record of what share of the gradient each term has.

usage: python -m ionmelt.models.frameworks.deepmd_tool LOSS GIVEN COMMANDS   LOSS: file that keeps what is found out about the loss; GIVEN: JSON, the weights of the
study at the start and at the limit, null where they are to be found; COMMANDS: JSON, arguments of dp --pt, one list a command.

The commands run one after another in one process: to import DeePMD takes longer than to freeze and compress. Weights are found once,
on the initial model: a training that was killed and goes on reads them from LOSS.
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
FORCES = 1.0  # weight of the forces where the study gives none: the others are relative to it


def unweighted(trainer: Any, pull: bool) -> Iterator[dict[str, Any]]:
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
        given, label, _ = trainer.get_data(is_train=True)
        found = model(**{name: value for name, value in given.items() if name != "spin"})
        if pull:
            own = found["energy"].detach() - model.get_out_bias()[0][given["atype"]].sum(dim=1)
            label = label | {
                "energy": label["energy"].reshape(own.shape) + own,
                "force": label["force"].reshape(found["force"].shape) + found["force"].detach(),
                "virial": label["virial"].reshape(found["virial"].shape) + found["virial"].detach(),
            }
        atoms = int(given["atype"].shape[-1])
        yield {
            name: loss(given, lambda found=found, **_: dict(found), label, atoms, learning_rate=1.0)[1]
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
        about = models_loss.read(path)
        if about is None:
            start = lengths(trainer, pull=True)
            weights = {end: models_loss.balanced(given[end], start, FORCES) for end in ENDS}
            about = {
                "weights_start": weights["start"],
                "weights_end": weights["limit"],
                "gradient_shares_start": models_loss.shares(weights["start"], start),
            }
            models_loss.write(path, about)
        for end, own in (("start", "weights_start"), ("limit", "weights_end")):
            for name, letter in LETTERS.items():
                setattr(trainer.loss, f"{end}_pref_{letter}", about[own][name])
        run(trainer)
        schedule = trainer.lr_schedule
        left = float(schedule.value(trainer.num_steps)) / trainer.loss.starter_learning_rate
        last = {
            name: limit + (about["weights_start"][name] - limit) * left for name, limit in about["weights_end"].items()
        }
        models_loss.write(
            path, about | {"weights_end": last, "gradient_shares_end": models_loss.shares(last, lengths(trainer))}
        )

    return balanced_run


def main() -> None:
    """Run the commands."""
    if sys.platform == "linux":  # die with the task: a restart must find its checkpoints alone
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    path, given, commands = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
    from deepmd.main import main as dp
    from deepmd.pt.train import training

    training.Trainer.run = with_own_weights(training.Trainer.run, path, given)
    for command in commands:
        dp(["--pt", *command])


if __name__ == "__main__":
    main()
