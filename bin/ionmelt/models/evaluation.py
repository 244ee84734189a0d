"""Compare a model with the labels of frames that it was not trained on.

Forces are judged whole and by the motion of the ions they drive: translation and rotation of whole ions (what moves
the liquid) and vibration (what dominates the sum, and hides the rest). The split is a projection: exact for
charged ions, and no further label is needed. The frozen-ion volume scan tells whether the density can come out right.
Frames of other chemistry (--heldout) tell what a tuned model has kept of what it knew; atoms alone and in pairs, what lies
at short distances.

Writes, under --out: errors.parquet, scan.parquet, parity.parquet, frame_errors.parquet (the test set frame by frame),
heldout.parquet and dimers.parquet. Intervals are bootstraps over groups, since frames of one trajectory are not independent;
with few groups they are too narrow. An error is that of the frames which the model answered; how many it did not stands beside it.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ase.calculators.calculator import Calculator

from ionmelt import errors as errors_module
from ionmelt import files, task
from ionmelt.arguments import command_line
from ionmelt.frame import read_frames
from ionmelt.models import dimers as models_dimers
from ionmelt.models.accuracy import errors_of
from ionmelt.models.calculators import load_calculator
from ionmelt.models.card import read_card
from ionmelt.models.parity import parity_of
from ionmelt.models.prediction import Prediction, predict, remove_offset
from ionmelt.models.scan import scan_of
from ionmelt.tables.evaluation import DIMERS, ERRORS, FRAME_ERRORS, PARITY, SCAN

MAX_TRAIN_FRAMES = 50


def calculators_of(model: Path, states: list[Path], threads: int) -> dict[str, Calculator] | Calculator:
    """Return the model's calculator; one for each liquid where the model is a force field of the liquid."""
    if read_card(model)["framework"] != "classical":
        return load_calculator(model, threads=threads)
    if not states:
        raise errors_module.UserError(
            f"--state: missing; model {model.name} is classical and needs the folder of each liquid"
        )
    liquids = {files.read_json(state / "topology.json")["liquid"]: state for state in sorted(states)}
    return {liquid: load_calculator(model, state, threads=threads) for liquid, state in liquids.items()}


def frames_of(predictions: list[Prediction]) -> list[dict[str, Any]]:
    """Return the sum of squared force errors (eV/A)^2 of each frame, over n components; null with a reason: no answer."""
    rows = []
    for p in predictions:
        square = None if p.model is None else float(np.sum((p.model.forces - p.reference.forces) ** 2))
        names = {"frame_id": p.frame.info["frame_id"], "group": p.frame.info["group"]}
        rows.append(names | {"force_square": square, "n": p.reference.forces.size, "reason": p.reason})
    return rows


def elements_of(states: list[Path]) -> list[str]:
    """Return the elements of the liquids."""
    ions = [ion for state in states for ion in files.read_json(state / "topology.json")["ions"]]
    return sorted({element for ion in ions for element in ion["elements"]})


def evaluate(args: argparse.Namespace) -> None:
    """Do the work of the task: predict, compare, write."""
    task.check_device(args.device)
    card = read_card(args.model)
    with errors_module.of_model():
        calculators = calculators_of(args.model, args.state, args.threads)
    splits = {}
    # The labels' own engine is here for its pairs of atoms alone.
    if args.test is not None and card.get("role") != "labels":
        frames = read_frames(args.test, labelled=True)
        splits["test"] = [frame for frame in frames if frame.info.get("split") != "near"]
        # Frames of the trajectories that models were trained on: what a random split would test on.
        if card["dataset"] is not None and (near := [frame for frame in frames if frame.info.get("split") == "near"]):
            splits["near"] = near
    if args.train is not None:
        train = read_frames(args.train, labelled=True)
        splits["train"] = train[:: -(-len(train) // MAX_TRAIN_FRAMES)]
    if args.heldout is not None and not isinstance(calculators, dict) and card.get("role") != "labels":
        splits["heldout"] = read_frames(args.heldout, labelled=True)
    offset_removed = card["dataset"] is None  # not trained on these labels
    rows: list[dict[str, Any]] = []
    predictions: dict[str, list[Prediction]] = {"test": [], "heldout": []}
    for split, frames in splits.items():
        predictions[split] = list(predict(frames, calculators))
        if offset_removed or split == "heldout":
            remove_offset(predictions[split])
        rows += [
            {"split": split, "energy_offset_removed": offset_removed or split == "heldout", **row}
            for row in errors_of(predictions[split], ions=split != "heldout")
        ]
    identity = {"model_key": card["id"], "model": card["model"], "dataset": card["dataset"], "seed": card["seed"]}
    for row in rows:
        row |= identity
        if row["quantity"] != "energy_per_atom":
            row["energy_offset_removed"] = None
    args.out.mkdir(parents=True, exist_ok=True)
    # A classical force field has parameters for ions only, so that it has no energy of two atoms alone.
    dimers = [] if isinstance(calculators, dict) else list(models_dimers.curves(calculators, elements_of(args.state)))
    tables = {
        "errors": (rows, ERRORS),
        "scan": (scan_of(predictions["test"]), SCAN),
        "parity": (parity_of(predictions["test"]), PARITY),
        "frame_errors": (frames_of(predictions["test"]), FRAME_ERRORS),
        "heldout": (frames_of(predictions["heldout"]), FRAME_ERRORS),
        "dimers": (dimers, DIMERS),
    }
    for name, (content, schema) in tables.items():
        full = [{column: (row | identity).get(column) for column in schema} for row in content]
        files.write_table(pl.DataFrame(full, schema=schema), args.out / f"{name}.parquet")


def main(argv: list[str] | None = None) -> int:
    """Read the command line and run the task."""
    parser = command_line(__doc__, "--id", "--model", "--out", "--threads", "--device", "--errors")
    parser.add_argument(
        "--state",
        type=Path,
        nargs="*",
        default=[],
        help="state folders, one a liquid: their elements, and for a classical model the force field",
    )
    parser.add_argument("--test", type=Path, nargs="?", help="labelled frames of the test set, if there are any")
    parser.add_argument("--heldout", type=Path, nargs="?", help="labelled frames of other chemistry, if there are any")
    parser.add_argument("--train", type=Path, help="labelled frames of the training set, for comparison")
    args = parser.parse_args(argv)
    reads = [args.model, args.test, args.train, *args.state]
    return task.run(
        "EVALUATE_MODEL", lambda: evaluate(args), task_id=args.id, reads=reads, writes=[args.out], errors=args.errors
    )
