"""Open a model that a user brings, say what it is and compute a small box: the script of a confined process (ionmelt/models/confined.py).

It reads a request on standard input and answers on standard output, both JSON; import_model.py and the training of MACE ask. Libraries
are imported first, then the process is confined, and only then is the file opened.
"""

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from ionmelt.errors import UserError, reading
from ionmelt.models import calculators, frameworks
from ionmelt.models import card as models_card
from ionmelt.models import confined as models_confined
from ionmelt.models.framework import Loading

# The trial: atoms this far apart (A), moved at random by this much, and the half-width of its central differences.
SPACING_A = 2.4
RATTLE_A = 0.15
STEP_A = 1e-3
STRAIN = 1e-3
# Forces or stress that are farther from the derivative of the energy than this share of it are called not conservative.
CONSERVATIVE = 0.05


def ask(
    do: str, card: dict[str, Any], settings: dict[str, Any], model: Path, threads: int, *files: Path
) -> dict[str, Any]:
    """Return what the confined process answers about a model folder with a card: to ``freeze``, ``open`` or ``try`` it.

    It sees no GPU. `files` are what it may write; for the errors see `confined.ask`.
    """
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    request = {"do": do, "card": card, "settings": settings, "model": str(model.absolute()), "threads": threads}
    what = f"weights: {settings['weights']}" if settings["weights"] else f"calculator: {settings['calculator']}"
    environment = dict(os.environ) | limits | {"CUDA_VISIBLE_DEVICES": ""}
    return models_confined.ask(Path(__file__), request, environment, what, *files)


def opening_of(framework: str) -> ModuleType:
    """Return how files of a framework are opened: the module NAME_opening beside its row.

    It has ``look(weights, settings, threads)``, which refuses what a file may not hold and imports the libraries that open it,
    ``facts(weights, settings, names)`` with what `look` returned, ``take(weights, settings, target, threads)``, which copies
    weights into a model folder, ``WRITES``, whether a calculator may write files, and ``OF_CALCULATOR``, the settings that the
    card keeps. It is imported by its name, so that the digest of an import has the file of its own framework alone.
    """
    return importlib.import_module(f"{frameworks.__name__}.{framework}_opening")


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
    with reading(f"the model fails on a small box of {', '.join(elements)}"):
        energy = energy_of(calculator, atoms)
        forces = np.array(atoms.get_forces(), float)
    with reading("the model has no stress: runs at constant pressure, and with them every density, need it"):
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


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked (`ask`): ``freeze`` a DeePMD checkpoint, ``open`` a MACE model, ``try`` any."""
    settings, card, threads = request["settings"], request["card"], request["threads"]
    model = Path(request["model"])
    weights = model / models_card.loaded_file(card) if card["files"] else None
    opening = opening_of(card["framework"])
    names = opening.look(weights, settings, threads)
    why_not = models_confined.confine(writes=opening.WRITES)
    confined = {"confined": why_not is None, "why_not": why_not}
    if request["do"] == "freeze":
        return dict(opening.freeze(weights, settings, request["files"][0]))
    if request["do"] == "open":
        opening.read(weights, settings)
        return {"opened": confined}
    found = opening.facts(weights, settings, names)
    needed = settings["liquid_elements"]
    if found["elements"] is not None and (unknown := sorted(set(needed) - set(found["elements"]))):
        known = ", ".join(found["elements"])
        raise UserError(
            f"weights: the model does not know {', '.join(unknown)}, which the liquids hold; it knows {known}"
        )
    # in double precision, so that differences of energies are those of the model
    loading = Loading(model, card | found, threads=threads, double=True)
    calculator = calculators.whole_calculator(loading)
    return {"found": found, "trial": try_out(calculator, needed), "opened": confined}


if __name__ == "__main__":
    sys.exit(models_confined.answer(work))
