"""Train a model with the tool of its framework: from nothing, or from weights (--weights).

The framework is that of the settings; its file in ionmelt/models/frameworks says what it writes besides the model folder --out with
the weights, curve.parquet (learning curve), model.json (the model card) and domain.npz (what the training frames span). On a CPU the
same settings, seed, data and number of threads give the same model. A training that was killed goes on from --checkpoints. With
trials in its settings it is a search: so many trainings, of which the best is the model (ionmelt/models/search.py).
"""

import importlib
from pathlib import Path

from ionmelt.arguments import command_line
from ionmelt.models import frameworks
from ionmelt.models.search import search
from ionmelt.models.training import TrainingTask, read_settings
from ionmelt.task import run


def train(task: TrainingTask) -> None:
    """Do the work of the task; raises `UserError` for a framework that is not trained here."""
    settings = read_settings(task.settings)
    # Imported by its name, so that the digest of this script leaves it out: modules/models.nf adds that of the one framework.
    module = importlib.import_module(f"{frameworks.__name__}.{settings.framework}_training")
    if settings.trials is None:
        module.train(task)
    else:
        search(task, module.train)


def main(argv: list[str] | None = None) -> int:
    """Read the command line and run the task."""
    parser = command_line(__doc__, "--id", "--settings", "--out", "--threads", "--checkpoints", "--code", "--errors")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the dataset, as the split wrote it")
    parser.add_argument("--summary", type=Path, required=True, metavar="dataset.json", help="what the split wrote")
    parser.add_argument("--weights", type=Path, help="weights to start from, as the settings name them")
    parser.add_argument("--replay", type=Path, help="extxyz of a foundation model's own data, to replay (MACE)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    given = vars(parser.parse_args(argv))
    key, errors = given.pop("id"), given.pop("errors")
    task = TrainingTask(**given)
    reads = [task.settings, task.dataset, task.summary]
    return run("TRAIN_MODEL", lambda: train(task), task_id=key, reads=reads, writes=[task.out], errors=errors)
