"""Compare a model with the labels of frames that it was not trained on.

Forces are judged whole and by the motion of the ions they drive: translation and rotation of whole ions (what moves
the liquid) and vibration (what dominates the sum, and hides the rest). The split is a projection: exact for
charged ions, and no further label is needed. The frozen-ion volume scan
tells how the forces between ions hold when a box is too dense or too thin; it is not the density's.
Frames of other chemistry (--heldout) tell what a tuned model has kept of what it knew; atoms alone and in pairs, what lies
at short distances; ions that are moved apart, how far it sees.

Writes, under --out: errors.parquet, scan.parquet, parity.parquet, frame_errors.parquet (the test set frame by frame),
heldout.parquet, dimers.parquet and long_range.parquet. Intervals are jackknives over groups, since frames of one trajectory are not independent;
with fewer than three groups there are none. An error is that of the frames which the model answered; how many it did not stands beside it.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ase import Atoms
from ase.calculators.calculator import Calculator

from ionmelt import errors as errors_module
from ionmelt import files, task
from ionmelt.arguments import command_line
from ionmelt.frame_file import read_frames
from ionmelt.liquid.record import EquilibrationRecord
from ionmelt.models import dimers as models_dimers
from ionmelt.models import long_range
from ionmelt.models.accuracy import errors_of
from ionmelt.models.calculators import load_calculator
from ionmelt.models.card import Card, read_card
from ionmelt.models.parity import parity_of
from ionmelt.models.prediction import Prediction, predict, remove_offset
from ionmelt.models.pressures import pressures_of
from ionmelt.models.scan import scan_of
from ionmelt.tables.columns import Schema
from ionmelt.tables.evaluation import DIMERS, ERRORS, FRAME_ERRORS, LONG_RANGE, PARITY, PRESSURES, SCAN

MAX_TRAIN_FRAMES = 50

Row = dict[str, Any]  # of a table: values by column


@dataclass(frozen=True)
class FrameError:
    """A row of frame_errors.parquet: squared force errors (eV/A)^2, summed over n components; null with a reason: no answer."""

    frame_id: str
    group: str
    force_square: float | None
    n: int
    reason: str | None


@dataclass(frozen=True)
class Split:
    """Frames that a model is compared on, and whether its energies have another zero than their labels."""

    name: str  # test, near, train or heldout
    frames: list[Atoms]
    shifted: bool

    @property
    def of_ions(self) -> bool:
        """Whether the frames are divided into ions: those of other chemistry are not."""
        return self.name != "heldout"


def calculators_of(model: Path, states: list[Path], threads: int) -> dict[str, Calculator] | Calculator:
    """Return the model's calculator; one for each liquid where the model is a force field of the liquid."""
    if read_card(model).framework != "classical":
        return load_calculator(model, threads=threads)
    if not states:
        raise errors_module.UserError(
            f"--state: missing; model {model.name} is classical and needs the folder of each liquid"
        )
    liquids = {files.read_json(state / "topology.json")["liquid"]: state for state in sorted(states)}
    return {liquid: load_calculator(model, state, threads=threads) for liquid, state in liquids.items()}


def splits_of(args: argparse.Namespace, card: Card, of_liquids: bool) -> Iterator[Split]:
    """Give the frames to compare on; `of_liquids`: the model knows the liquids alone. The labels' own engine has none."""
    untrained = card.dataset is None  # on these labels
    labels_alone = card.role == "labels"
    if args.test is not None and not labels_alone:
        frames = read_frames(args.test, labelled=True)
        yield Split("test", [frame for frame in frames if frame.info.get("split") != "near"], untrained)
        # Frames of the trajectories that models were trained on: what a random split would test on.
        if not untrained and (near := [frame for frame in frames if frame.info.get("split") == "near"]):
            yield Split("near", near, untrained)
    if args.train is not None:
        train = read_frames(args.train, labelled=True)
        yield Split("train", train[:: -(-len(train) // MAX_TRAIN_FRAMES)], untrained)
    if args.heldout is not None and not of_liquids and not labels_alone:
        yield Split("heldout", read_frames(args.heldout, labelled=True), True)


def frames_of(predictions: list[Prediction]) -> list[FrameError]:
    """Return the force errors of each frame."""
    rows = []
    for p in predictions:
        square = None if p.model is None else float(np.sum((p.model.forces - p.reference.forces) ** 2))
        info = p.frame.info
        rows.append(FrameError(info["frame_id"], info["group"], square, p.reference.forces.size, p.reason))
    return rows


def elements_of(states: list[Path]) -> list[str]:
    """Return the elements of the liquids."""
    ions = [ion for state in states for ion in files.read_json(state / "topology.json")["ions"]]
    return sorted({element for ion in ions for element in ion["elements"]})


def barostats(states: list[Path]) -> dict[str, float]:
    """Return the pressure (bar) of each liquid whose state folder says what it was equilibrated at."""
    given = [EquilibrationRecord.read(path) for state in states if (path := state / "equilibration.json").exists()]
    return {record.liquid: record.pressure_bar for record in given}


def one_of_each(states: list[Path]) -> list[Path]:
    """Return a state of each liquid."""
    return list({str(files.read_json(state / "topology.json")["liquid"]): state for state in sorted(states)}.values())


def error_rows(split: Split, predictions: list[Prediction]) -> Iterator[Row]:
    """Give the errors of a split, with the columns that say how they were made."""
    for row in errors_of(predictions, ions=split.of_ions):
        removed = split.shifted if row.quantity == "energy_per_atom" else None
        yield asdict(row) | {"split": split.name, "energy_offset_removed": removed}


def evaluate(args: argparse.Namespace) -> None:
    """Do the work of the task: predict, compare, write."""
    task.check_device(args.device)
    card = read_card(args.model)
    with errors_module.of_model():
        calculators = calculators_of(args.model, args.state, args.threads)
    errors: list[Row] = []
    predictions: dict[str, list[Prediction]] = {"test": [], "heldout": []}
    for split in splits_of(args, card, isinstance(calculators, dict)):
        predictions[split.name] = list(predict(split.frames, calculators))
        if split.shifted:
            remove_offset(predictions[split.name])
        errors += error_rows(split, predictions[split.name])
    # A classical force field has parameters for whole ions, so it has no energy of single atoms.
    dimers = [] if isinstance(calculators, dict) else list(models_dimers.curves(calculators, elements_of(args.state)))
    ranges = list(long_range.curves(calculators, one_of_each(args.state)))
    tables: dict[str, tuple[Sequence[Row], Schema]] = {
        "errors": (errors, ERRORS),
        "scan": (list(map(asdict, scan_of(predictions["test"]))), SCAN),
        "pressures": (list(map(asdict, pressures_of(predictions["test"], barostats(args.state)))), PRESSURES),
        "parity": (list(map(asdict, parity_of(predictions["test"]))), PARITY),
        "frame_errors": (list(map(asdict, frames_of(predictions["test"]))), FRAME_ERRORS),
        "heldout": (list(map(asdict, frames_of(predictions["heldout"]))), FRAME_ERRORS),
        "dimers": (list(map(asdict, dimers)), DIMERS),
        "long_range": (list(map(asdict, ranges)), LONG_RANGE),
    }
    identity = {"model_key": card.id, "model": card.model, "dataset": card.dataset, "seed": card.seed}
    args.out.mkdir(parents=True, exist_ok=True)
    for name, (rows, schema) in tables.items():
        full = [{column: (row | identity).get(column) for column in schema} for row in rows]
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
