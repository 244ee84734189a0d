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
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ase import Atoms, units
from ase.calculators.calculator import Calculator

from ionmelt import errors as errors_module
from ionmelt import files, task
from ionmelt.frame import ENERGY_KEY, FORCES_KEY, STRESS_KEY, density_kg_m3, read_frames, shown, virial_stress
from ionmelt.models import dimers as models_dimers
from ionmelt.models.calculators import load_calculator
from ionmelt.models.card import read_card
from ionmelt.tables.evaluation import DIMERS, ERRORS, FRAME_ERRORS, PARITY, SCAN

BAR = 1e5 * units.Pascal
SCAN_RECIPE = "test_scan"
# Below this a moment of inertia is rounding (a hydrogen molecule has 0.3 u A^2).
NO_INERTIA_U_A2 = 1e-6
MAX_TRAIN_FRAMES = 50
MAX_PARITY_POINTS = 2000
RESAMPLES = 1000
SEED = 1
MOTIONS = ("translation", "rotation", "vibration")
FORCE_QUANTITIES = ("force", *(f"force_{motion}" for motion in MOTIONS))
UNITS = {
    "energy_per_atom": "eV",
    **dict.fromkeys(FORCE_QUANTITIES, "eV/A"),
    "stress": "eV/A^3",
    "molecular_pressure": "bar",
}


@dataclass
class Label:
    """Energy (eV), forces (N, 3) (eV/A) and stress (3, 3) (eV/A^3, ASE sign) of a frame, whoever computed them.

    Labels from elsewhere may have no stress (None).
    """

    energy: float
    forces: np.ndarray
    stress: np.ndarray | None


@dataclass
class Prediction:
    """What a model says of a frame, beside its label; or the reason why it says nothing."""

    frame: Atoms
    reference: Label
    model: Label | None
    reason: str | None = None


def sum_by(values: np.ndarray, molecule: np.ndarray) -> np.ndarray:
    """Return the sums (M, ...) over the atoms of each molecule, of values (N, ...)."""
    total = np.zeros((int(molecule.max()) + 1, *values.shape[1:]))
    np.add.at(total, molecule, values)
    return total


def arms(positions: np.ndarray, masses: np.ndarray, molecule: np.ndarray) -> np.ndarray:
    """Return each atom's position (N, 3) from the centre of mass of its molecule; molecules must be whole."""
    centres = sum_by(positions * masses[:, None], molecule) / sum_by(masses, molecule)[:, None]
    return positions - centres[molecule]


def by_motion(
    forces: np.ndarray, positions: np.ndarray, masses: np.ndarray, molecule: np.ndarray
) -> dict[str, np.ndarray]:
    """Divide forces (N, 3) into parts that translate, rotate and deform each rigid molecule; the parts add up.

    The net force F of a molecule acts on atom i as m_i F / M, its torque t about the centre of mass as
    m_i (I^-1 t) x (r_i - R) with the inertia tensor I; the rest is vibration (as in Magdau et al., npj Comput.
    Mater. 9, 146, 2023). Single atoms only translate; linear molecules do not turn about their axis.

    Parameters
    ----------
    forces, positions : (N, 3) eV/A and A, molecules whole.
    masses : (N,) u.
    molecule : (N,) int.
    """
    share = masses / sum_by(masses, molecule)[molecule]
    translation = share[:, None] * sum_by(forces, molecule)[molecule]
    arm = arms(positions, masses, molecule)
    square = np.einsum("ij,ij->i", arm, arm)[:, None, None] * np.eye(3) - arm[:, :, None] * arm[:, None, :]
    inertia = sum_by(masses[:, None, None] * square, molecule)
    torque = sum_by(np.cross(arm, forces), molecule)
    # Single atoms and linear molecules have axes without inertia: nothing turns about them.
    moments, axes = np.linalg.eigh(inertia)
    inverse = np.divide(1.0, moments, out=np.zeros_like(moments), where=moments > NO_INERTIA_U_A2)
    turn = np.einsum("mik,mk,mjk,mj->mi", axes, inverse, axes, torque)
    rotation = masses[:, None] * np.cross(turn[molecule], arm)
    return {"translation": translation, "rotation": rotation, "vibration": forces - translation - rotation}


def molecular_pressure(
    label: Label, positions: np.ndarray, masses: np.ndarray, molecule: np.ndarray, volume: float
) -> float | None:
    """Return the potential part of the pressure (bar) that acts between molecules; None for a label without stress.

    P = (W - sum_i (r_i - R) . f_i) / 3V, where W = -V tr(stress) is the atomic virial and R the centre of
    mass of the atom's molecule. It is -dE/dV where molecules move with the volume but keep their shape.
    """
    if label.stress is None:
        return None
    inner = float(np.sum(arms(positions, masses, molecule) * label.forces))
    return (-volume * float(np.trace(label.stress)) - inner) / (3 * volume) / BAR


def predict(frames: list[Atoms], calculators: dict[str, Calculator] | Calculator) -> Iterator[Prediction]:
    """Yield the prediction of each frame; what goes wrong in one frame is its reason and stops nothing."""
    for frame in frames:
        reference = Label(float(frame.info[ENERGY_KEY]), frame.arrays[FORCES_KEY], frame.info.get(STRESS_KEY))
        atoms = shown(frame)
        try:
            atoms.calc = calculators[frame.info["liquid"]] if isinstance(calculators, dict) else calculators
            energy, forces = float(atoms.get_potential_energy()), np.array(atoms.get_forces(), dtype=float)
            stress = atoms.get_stress(voigt=False) if atoms.pbc.all() else virial_stress(atoms, forces)
            stress = np.array(stress, dtype=float)
            model = Label(energy, forces, stress)
        except Exception as error:  # a model can fail in any way that its libraries know
            if errors_module.is_resource(error):
                raise
            first = (str(error).splitlines() or [""])[0]
            yield Prediction(frame, reference, None, f"{type(error).__name__}: {first}"[:200])
            continue
        if all(np.isfinite(value).all() for value in (energy, forces, stress)):
            yield Prediction(frame, reference, model)
        else:
            yield Prediction(frame, reference, None, "not a finite number")


def remove_offset(predictions: Iterable[Prediction]) -> None:
    """Shift the model's energies so that their mean error is zero for each composition, in place.

    For models whose energies have another zero than the labels: a force field's, another level of theory's.
    """
    by_formula: dict[str, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        by_formula[prediction.frame.get_chemical_formula()].append(prediction)
    for members in by_formula.values():
        done = [(p.model, p.reference) for p in members if p.model is not None]
        offset = float(np.mean([model.energy - reference.energy for model, reference in done])) if done else 0.0
        for model, _ in done:
            model.energy -= offset


def squared_sums(prediction: Prediction, ions: bool) -> Iterator[dict[str, Any]]:
    """Yield sums over the errors of one frame: by quantity, and for forces by element and, where it has ions, by ion."""
    frame, reference, model = prediction.frame, prediction.reference, prediction.model
    if model is None:
        return
    info = {key: frame.info[key] for key in ("group", "recipe", "kind", "liquid")}

    def row(quantity: str, error: np.ndarray, element: str | None = None, ion: str | None = None) -> dict[str, Any]:
        sums = {"square": float(np.sum(error**2)), "absolute": float(np.sum(np.abs(error))), "n": error.size}
        return {"quantity": quantity, "element": element, "ion": ion, **info, **sums}

    yield row("energy_per_atom", np.array([(model.energy - reference.energy) / len(frame)]))
    if model.stress is not None and reference.stress is not None:
        yield row("stress", model.stress - reference.stress)
    error = model.forces - reference.forces
    parts = {"force": error}
    if ions:
        geometry = (frame.positions, frame.get_masses(), frame.arrays["molecule"])
        pressures = [molecular_pressure(label, *geometry, frame.get_volume()) for label in (model, reference)]
        if pressures[0] is not None and pressures[1] is not None:
            yield row("molecular_pressure", np.array([pressures[0] - pressures[1]]))
        parts |= {f"force_{motion}": part for motion, part in by_motion(error, *geometry).items()}
    symbols, names = np.array(frame.get_chemical_symbols()), frame.arrays["ion"]
    pairs = sorted({(str(s), str(i)) for s, i in zip(symbols, names, strict=True)})
    for quantity, values in parts.items():
        for element, ion in pairs:
            yield row(quantity, values[(symbols == element) & (names == ion)], element, ion)


def interval(square: np.ndarray, n: np.ndarray) -> tuple[float | None, float | None]:
    """Return the 95 % interval of an RMSE from its sums over each group (G,): bootstrap over the groups."""
    if len(n) < 2:
        return None, None
    drawn = np.random.default_rng(SEED).integers(len(n), size=(RESAMPLES, len(n)))
    rmse = np.sqrt(square[drawn].sum(axis=1) / n[drawn].sum(axis=1))
    low, high = np.quantile(rmse, [0.025, 0.975])
    return float(low), float(high)


def errors_of(predictions: list[Prediction], ions: bool = True) -> list[dict[str, Any]]:
    """Return the rows of errors.parquet (without the model's own columns) of one split.

    ``ions``: whether the frames are divided into ions, as those of a liquid are.
    """
    sums = pl.DataFrame(
        [row for prediction in predictions for row in squared_sums(prediction, ions)], infer_schema_length=None
    )
    rows = []
    answers, asks = (
        {
            needs: counted(
                p
                for p in predictions
                if (p.model is not None or every) and (p.reference.stress is not None or not needs)
            )
            for needs in (False, True)
        }
        for every in (False, True)
    )  # by whether the label needs a stress
    if predictions and not len(sums):  # no frame was answered: a row says so, which compares with nothing
        none = {"scope": "all", "name": "all", "n": 0, "frames": 0, "frames_missing": len(predictions)}
        rows = [{"quantity": name, "unit": UNITS[name]} | none for name in ("energy_per_atom", "force")]
    for quantity, unit in UNITS.items() if len(sums) else ():
        needs_stress = quantity in ("stress", "molecular_pressure")
        answered, asked = answers[needs_stress], asks[needs_stress]
        of_forces = ["element", "ion"] if ions else ["element"]
        scopes = ["all", *(of_forces if quantity in FORCE_QUANTITIES else []), "recipe", "kind"]
        if sums["liquid"].n_unique() > 1:
            scopes.append("liquid")
        for scope in scopes:
            name = pl.lit("all") if scope == "all" else pl.col(scope)
            mine = sums.filter(pl.col("quantity") == quantity).with_columns(name.alias("name"))
            groups = mine.group_by("name", "group").agg(pl.col("square", "absolute", "n").sum()).sort("name", "group")
            for (label,), cell in groups.group_by("name", maintain_order=True):
                n = int(cell["n"].sum())
                low, high = interval(cell["square"].to_numpy(), cell["n"].to_numpy())
                rmse, mae = float(np.sqrt(float(cell["square"].sum()) / n)), float(cell["absolute"].sum()) / n
                rows.append(
                    {
                        "quantity": quantity,
                        "scope": scope,
                        "name": label,
                        "n": n,
                        "rmse": rmse,
                        "mae": mae,
                        "unit": unit,
                        "frames": answered[scope, label],
                        "frames_missing": asked[scope, label] - answered[scope, label],
                    }
                    | {"rmse_ci95_low": low, "rmse_ci95_high": high}
                )
    failed: dict[tuple[str, str], int] = defaultdict(int)
    for prediction in predictions:
        if prediction.reason is not None:
            failed[prediction.frame.info["recipe"], prediction.reason] += 1
    rows += [
        {"quantity": "failed", "scope": "recipe", "name": recipe, "n": count, "unit": "frames", "reason": reason}
        for (recipe, reason), count in sorted(failed.items())
    ]
    return rows


def counted(predictions: Iterable[Prediction]) -> Counter[tuple[str, str]]:
    """Return the number of frames behind each (scope, name) of errors.parquet."""
    found: Counter[tuple[str, str]] = Counter()
    for frame in (p.frame for p in predictions):
        names = {scope: {frame.info[scope]} for scope in ("recipe", "kind", "liquid")} | {"all": {"all"}}
        names |= {"element": set(frame.get_chemical_symbols()), "ion": {str(ion) for ion in frame.arrays["ion"]}}
        found.update((scope, name) for scope, some in names.items() for name in some)
    return found


def scan_of(predictions: list[Prediction]) -> list[dict[str, Any]]:
    """Return the rows of scan.parquet: energy and molecular pressure along the frozen-ion volume scan.

    Energies are relative to scale 1 of the same scan; without that frame they are null.
    """
    scans: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        if prediction.frame.info["recipe"] == SCAN_RECIPE:
            scans[prediction.frame.info["liquid"], prediction.frame.info["group"]].append(prediction)
    rows = []
    for (liquid, group), members in sorted(scans.items()):
        members.sort(key=lambda p: p.frame.info["scan_scale"])
        base = next((p for p in members if abs(p.frame.info["scan_scale"] - 1) < 1e-6), None)
        for prediction in members:
            frame = prediction.frame
            geometry = (frame.positions, frame.get_masses(), frame.arrays["molecule"], frame.get_volume())
            row = {"liquid": liquid, "group": group, "scale": frame.info["scan_scale"]}
            row["density_kg_m3"] = density_kg_m3(frame)
            for name, here, zero in (
                ("ref", prediction.reference, base.reference if base else None),
                ("model", prediction.model, base.model if base else None),
            ):
                relative = (here.energy - zero.energy) / len(frame) if here and zero else None
                row[f"energy_{name}_ev_per_atom"] = relative
                row[f"pressure_{name}_bar"] = molecular_pressure(here, *geometry) if here is not None else None
            rows.append(row)
    return rows


def parity_of(predictions: list[Prediction]) -> list[dict[str, Any]]:
    """Return the rows of parity.parquet: reference and prediction, a choice by hash where they are many.

    Energies per atom are relative to the mean label of the composition.
    """
    labels: dict[str, list[float]] = defaultdict(list)
    for p in predictions:
        labels[p.frame.get_chemical_formula()].append(p.reference.energy)
    rows: dict[str, list[dict[str, Any]]] = {"energy_per_atom": [], "force": []}
    for p in predictions:
        if p.model is None:
            continue
        frame_id, group = p.frame.info["frame_id"], p.frame.info["group"]
        mean = float(np.mean(labels[p.frame.get_chemical_formula()]))
        pairs = {
            "energy_per_atom": [((p.reference.energy - mean) / len(p.frame), (p.model.energy - mean) / len(p.frame))],
            "force": list(zip(p.reference.forces.ravel().tolist(), p.model.forces.ravel().tolist(), strict=True)),
        }
        for quantity, values in pairs.items():
            common = {"quantity": quantity, "recipe": p.frame.info["recipe"], "group": group, "unit": UNITS[quantity]}
            points = [f"{frame_id}:{i}" for i in range(len(values))]
            rows[quantity] += [
                common | {"point": point, "reference": a, "predicted": b}
                for point, (a, b) in zip(points, values, strict=True)
            ]
    return [row for some in rows.values() for row in thinned(some)]


def thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return at most `MAX_PARITY_POINTS` of the rows; every model keeps the same points, whatever it could not predict."""
    order = sorted(range(len(rows)), key=lambda i: hashlib.sha256(rows[i]["point"].encode()).digest())
    return [rows[i] for i in sorted(order[:MAX_PARITY_POINTS])]


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
    # A force field of whole ions knows no atoms alone.
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--id", required=True, help="key of the model")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
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
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    parser.add_argument(
        "--device", choices=("auto", "cuda"), default="auto", help="cuda: refuse the CPU (default: auto)"
    )
    parser.add_argument("--errors", type=Path, nargs="*", default=[], help="file for why the model cannot be evaluated")
    args = parser.parse_args(argv)
    reads = [args.model, args.test, args.train, *args.state]
    return task.run(
        "EVALUATE_MODEL", lambda: evaluate(args), task_id=args.id, reads=reads, writes=[args.out], errors=args.errors
    )
