#!/usr/bin/env python3
"""Make a model folder of weights, or of a calculator class, that a user brings: checked, described, used as it is.

The order matters, since weights may hold code: first the sha256, then what the file would run (il_weights.py), and only
then is it opened. Then come the elements, the cut-off, the heads and a trial on a small box: energy, forces and stress
must be there and finite. Whether forces and stress are derivatives of the energy is measured and written into the card.

Writes the model folder --out: the weights and model.json (the model card).
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import chemical_symbols

import il_models
import il_task
import il_theory
import il_weights
from il_task import UserError

NAMES = {"mace": "model.pt", "deepmd": "model.pth"}
# The trial: atoms this far apart (A), moved at random by this much, and the half-width of its central differences.
SPACING_A = 2.4
RATTLE_A = 0.15
STEP_A = 1e-3
STRAIN = 1e-3
# Forces or stress that are farther from the derivative of the energy than this share of it are called not conservative.
CONSERVATIVE = 0.05


def check_hash(weights: Path, expected: str) -> None:
    """Refuse a file with another sha256 than the study says, before anything opens it."""
    if wrong := il_models.wrong_content(weights, expected):
        raise UserError(f"sha256: {weights.name}: {wrong}, the study says {expected}; it was not opened")


def take_mace(weights: Path, settings: dict[str, Any], out: Path) -> dict[str, Any]:
    """Check and copy MACE weights; return what the card says of them."""
    model = il_weights.read_mace(weights)
    shutil.copyfile(weights, out / NAMES["mace"])
    heads = [str(head) for head in getattr(model, "heads", None) or ["Default"]]
    head = check_head(settings, heads)
    elements = [chemical_symbols[int(number)] for number in model.atomic_numbers]
    energies = getattr(model, "atomic_energies_fn", None)
    e0s = None
    if energies is not None:
        table = np.atleast_2d(energies.atomic_energies.detach().double().numpy())
        e0s = dict(zip(elements, map(float, table[heads.index(head) if len(table) > 1 else 0]), strict=True))
    return {
        "elements": elements,
        "cutoff_A": float(model.r_max),
        "e0s_ev": e0s,
        "kind": type(model).__name__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "heads": heads,
        "head": head,
        "settings": {"dtype": settings["dtype"]},
    }


def check_head(settings: dict[str, Any], heads: list[str]) -> str:
    """Return the head to use; raises `UserError` where weights have several and none of them, or another, is named."""
    asked = settings.get("head")
    known = ", ".join(heads)
    if asked is None and len(heads) > 1:
        raise UserError(
            f"head: missing: {settings['weights']} has several, one for each level of theory: give one of {known}"
        )
    if asked is not None and asked not in heads:
        raise UserError(f"head: {asked!r} is none of the heads of {settings['weights']}: give one of {known}")
    return asked or heads[0]


def take_deepmd(weights: Path, settings: dict[str, Any], out: Path, threads: int) -> dict[str, Any]:
    """Check and copy DeePMD weights, frozen where they are a checkpoint; return what the card says of them."""
    from il_training import environment, run_tool

    kind, head = il_weights.check_deepmd(weights), settings.get("head")
    if kind == "pth":
        if head is not None:
            raise UserError(f"head: {head!r}: {settings['weights']} is frozen and has one head: leave this out")
        shutil.copyfile(weights, out / NAMES["deepmd"])
    else:
        import torch

        held = torch.load(weights, map_location="cpu", weights_only=True)
        branches = held.get("model", held)["_extra_state"]["model_params"].get("model_dict")
        if branches:
            head = check_head(settings, list(branches))
        elif head is not None:
            raise UserError(f"head: {head!r}: {settings['weights']} has no branches: leave this out")
        scratch = Path("freezing").resolve()
        scratch.mkdir(exist_ok=True)
        shutil.copyfile(weights, scratch / "model.pt")
        command = ["freeze", "-c", "model.pt", "-o", "model.pth", *(["--head", head] if head else [])]
        code = (
            f"import json\nfrom deepmd.main import main\nmain(['--pt', *json.loads({json.dumps(json.dumps(command))})])"
        )
        run_tool("dp --pt freeze", [sys.executable, "-c", code], environment(threads), scratch, lambda _line: False)
        shutil.copyfile(scratch / "model.pth", out / NAMES["deepmd"])
    from deepmd.infer import DeepPot

    with il_task.reading(f"weights: {weights.name} is no DeePMD model"):
        model = DeepPot(str((out / NAMES["deepmd"]).resolve()))
    script = getattr(model.deep_eval, "model_def_script", None) or {}
    return {
        "elements": list(model.get_type_map()),
        "cutoff_A": float(model.get_rcut()),
        "e0s_ev": None,
        "kind": (script.get("descriptor") or {}).get("type"),
        "head": head,
        "settings": {},
    }


def take_ase(weights: Path | None, settings: dict[str, Any], out: Path) -> dict[str, Any]:
    """Check and copy what a calculator of the user's own needs; return what the card says of it."""
    if weights is not None:
        shutil.copyfile(weights, out / settings["weights"])
    names = ("calculator", "arguments", "weights_argument")
    return {
        "elements": None,
        "cutoff_A": None,
        "e0s_ev": None,
        "kind": settings["calculator"],
        "settings": {name: settings[name] for name in names},
    }


def trial_box(elements: list[str]) -> Atoms:
    """Return a small periodic box of all elements, two atoms of each at least, spread on a lattice and rattled."""
    edge = next(n for n in range(2, 100) if n**3 >= 2 * len(elements))
    sites = np.array([[x, y, z] for x in range(edge) for y in range(edge) for z in range(edge)], float)
    rng = np.random.default_rng(1)
    symbols = [elements[i % len(elements)] for i in range(len(sites))]
    positions = (sites + 0.5) * SPACING_A + rng.normal(scale=RATTLE_A, size=sites.shape)
    return Atoms(symbols, positions, cell=[edge * SPACING_A] * 3, pbc=True)


def energy_of(calculator: Calculator, atoms: Atoms) -> float:
    """Return the energy (eV) of atoms."""
    atoms.calc = calculator
    return float(atoms.get_potential_energy())


def strained(atoms: Atoms, strain: float) -> Atoms:
    """Return a copy of the atoms, stretched alike in every direction."""
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array * (1 + strain), scale_atoms=True)
    return copy


def off(value: float, derivative: float) -> float:
    """Return how far a number is from the derivative that it should be, as a share of the larger of the two."""
    return abs(value - derivative) / max(abs(value), abs(derivative), 1e-6)


def try_out(calculator: Calculator, elements: list[str]) -> dict[str, Any]:
    """Compute a small box; return how far force and stress are from the derivatives of the energy (shares of them).

    Raises `UserError` for a model without forces or stress (the runs at constant pressure need it), or whose numbers
    are not finite.
    """
    atoms = trial_box(elements)
    with il_task.reading(f"the model fails on a small box of {', '.join(elements)}"):
        energy = energy_of(calculator, atoms)
        forces = np.array(atoms.get_forces(), float)
    with il_task.reading("the model has no stress: runs at constant pressure, and with them every density, need it"):
        stress = np.array(atoms.get_stress(voigt=False), float)
    if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(stress).all()):
        raise UserError(f"the model gives numbers that are not finite on a small box of {', '.join(elements)}")
    direction = np.random.default_rng(2).normal(size=forces.shape)
    direction /= np.linalg.norm(direction)
    ends = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions += sign * STEP_A * direction
        ends.append(energy_of(calculator, moved))
    force = -(ends[0] - ends[1]) / (2 * STEP_A)
    ends = [energy_of(calculator, strained(atoms, sign * STRAIN)) for sign in (1, -1)]
    pull = (ends[0] - ends[1]) / (2 * STRAIN) / (3 * atoms.get_volume())
    errors = {
        "force_off": off(float(np.sum(forces * direction)), force),
        "stress_off": off(float(np.trace(stress)) / 3, pull),
    }
    found = {name: float(f"{value:.2g}") for name, value in errors.items()}
    return found | {"conservative": bool(max(errors.values()) <= CONSERVATIVE)}


def import_model(settings: dict[str, Any], given: list[Path], out: Path, threads: int) -> None:
    """Do the work of the task: check, copy, try out, and write the card."""
    start = time.perf_counter()
    weights = given[0] if given else None
    if weights is not None:
        check_hash(weights, settings["sha256"])
    out.mkdir(parents=True, exist_ok=True)
    framework = settings["framework"]
    if framework == "ase":
        found = take_ase(weights, settings, out)
    elif weights is None:
        raise UserError("weights: missing: give their path")
    elif framework == "mace":
        found = take_mace(weights, settings, out)
    else:
        found = take_deepmd(weights, settings, out, threads)
    needed = settings["liquid_elements"]
    if found["elements"] is not None and (unknown := sorted(set(needed) - set(found["elements"]))):
        known = ", ".join(found["elements"])
        raise UserError(
            f"weights: the model does not know {', '.join(unknown)}, which the liquids hold; it knows {known}"
        )
    identity = ("id", "model", "framework", "dataset", "seed")
    dispersion = settings.get("dispersion")
    names = sorted(path.name for path in out.iterdir() if path.name != "model.json")
    card = {name: settings[name] for name in identity} | {
        "versions": il_task.versions(),
        "files": {name: il_models.sha256_of(out / name) for name in names},
        "source": {"file": settings["weights"], "sha256": settings["sha256"]} if weights is not None else None,
        "theory": il_theory.level_with(settings["theory"], dispersion["functional"] if dispersion else None),
        "theory_id": None,
        "dataset_hash": None,
        "split_hash": None,
        "licence": settings["licence"],
        **found,
        "cost": {"wall_s": 0.0},
    }
    card["settings"] |= {"mode": "zero-shot", "dispersion": dispersion}
    (out / "model.json").write_text(json.dumps(card, indent=2) + "\n")
    # in double precision, so that differences of energies are those of the model
    precise = "float64" if framework == "mace" else None
    card["trial"] = try_out(il_models.load_calculator(out, threads=threads, dtype=precise), needed)
    card["cost"]["wall_s"] = round(time.perf_counter() - start, 1)
    (out / "model.json").write_text(json.dumps(card, indent=2) + "\n")


def main(argv: list[str] | None = None) -> int:
    """Read the command line and run the task."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--id", required=True, help="key of the model")
    parser.add_argument("--settings", type=Path, required=True, metavar="imports/KEY.json", help="settings of the plan")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], metavar="FILE", help="the user's file, if any")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    parser.add_argument("--errors", type=Path, metavar="FILE", help="file to write mistakes to, one line each")
    args = parser.parse_args(argv)

    def work() -> None:
        settings = il_task.read_json(args.settings)
        try:
            with il_task.of_model():
                import_model(settings, args.weights, args.out, args.threads)
        except UserError as error:
            shutil.rmtree(args.out, ignore_errors=True)
            lines = [f"models: {settings['model']}: {line}" for line in error.errors]
            if args.errors is not None:
                args.errors.write_text("".join(f"{line}\n" for line in lines))
            raise UserError(*lines) from error

    return il_task.run("IMPORT_MODEL", work, task_id=args.id, reads=[args.settings, *args.weights], writes=[args.out])


if __name__ == "__main__":
    sys.exit(main())
