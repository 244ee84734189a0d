"""Open a model that a user brings, say what it is and compute a small box: the script of a confined process (ionmelt/models/confined.py).

It reads a request on standard input and answers on standard output, both JSON; import_model.py and the training of MACE ask. Libraries
are imported first, then the process is confined, and only then is the file opened.
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import chemical_symbols

from ionmelt.errors import UserError, reading
from ionmelt.models import calculators
from ionmelt.models import card as models_card
from ionmelt.models import confined as models_confined
from ionmelt.models import weights as models_weights
from ionmelt.models.framework import Loading
from ionmelt.models.frameworks import ase as frameworks_ase

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


def mace_facts(weights: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what the card says of MACE weights."""
    model = models_weights.read_mace(weights, settings["weights"])
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
        "kind": getattr(model, "original_name", type(model).__name__),
        "parameters": sum(p.numel() for p in model.parameters()),
        "heads": heads,
        "head": head,
    }


def deepmd_facts(weights: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what the card says of frozen DeePMD weights."""
    from deepmd.infer import DeepPot

    with reading(f"weights: {settings['weights']} is no DeePMD model"):
        model = DeepPot(str(weights.resolve()))
    script = getattr(model.deep_eval, "model_def_script", None) or {}
    return {
        "elements": list(model.get_type_map()),
        "cutoff_A": float(model.get_rcut()),
        "e0s_ev": None,
        "kind": (script.get("descriptor") or {}).get("type"),
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


def freeze(weights: Path, settings: dict[str, Any], target: int) -> dict[str, Any]:
    """Freeze a DeePMD checkpoint into an open file, as dp --pt freeze does; return the head that it has."""
    import io

    import torch
    from deepmd.pt.infer.inference import Tester

    held = torch.load(weights, map_location="cpu", weights_only=True)
    try:
        parameters = held.get("model", held)["_extra_state"]["model_params"]
    except (AttributeError, KeyError, TypeError):
        raise UserError(
            f"weights: {settings['weights']} is no DeePMD model of PyTorch: give one that dp --pt freeze or compress wrote "
            "(.pth), or a checkpoint of dp --pt train (.pt)"
        ) from None
    head, branches = settings.get("head"), parameters.get("model_dict")
    if branches:
        head = check_head(settings, list(branches))
    elif head is not None:
        raise UserError(f"head: {head!r}: {settings['weights']} has no branches: leave this out")
    with reading(f"weights: {settings['weights']} cannot be frozen"):
        tester = Tester(str(weights), head=head)
        if tester.modifier is not None:
            raise UserError(
                f"weights: {settings['weights']} has a data modifier, which is not supported: freeze it without"
            )
        script = torch.jit.script(tester.model.eval())
    buffer = io.BytesIO()
    torch.jit.save(script, buffer)
    with open(target, "wb", closefd=False) as file:
        file.write(buffer.getvalue())
    return {"head": head}


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked (`ask`): ``freeze`` a DeePMD checkpoint, ``open`` a MACE model, ``try`` any."""
    settings, card = request["settings"], request["card"]
    framework, model = card["framework"], Path(request["model"])
    weights = model / models_card.loaded_file(card) if card["files"] else None
    if framework == "mace":
        assert weights is not None
        models_weights.checked(weights, "MACE", settings["weights"])  # before what takes long
        import mace.calculators  # noqa: F401  (what opens the file later)
        import torch

        torch.set_num_threads(request["threads"])
    elif framework == "deepmd":
        assert weights is not None
        attributes = models_weights.check_deepmd(weights, settings["weights"]).attributes
        import deepmd.calculator
        import deepmd.infer
        import deepmd.pt.cxx_op
        import deepmd.pt.infer.inference  # noqa: F401  (what opens the file later)
    else:
        frameworks_ase.named_class(settings["calculator"])
    why_not = models_confined.confine(writes=framework == "ase")
    confined = {"confined": why_not is None, "why_not": why_not}
    if framework == "deepmd":
        assert weights is not None
        if request["do"] == "freeze":
            return freeze(weights, settings, request["files"][0])
        models_weights.check_attributes(attributes, settings["weights"])
        found = deepmd_facts(weights, settings)
    elif framework == "mace":
        assert weights is not None
        if request["do"] == "open":
            models_weights.read_mace(weights, settings["weights"])
            return {"opened": confined}
        found = mace_facts(weights, settings)
    else:
        found = {"elements": None, "cutoff_A": None, "e0s_ev": None, "kind": settings["calculator"]}
    needed = settings["liquid_elements"]
    if found["elements"] is not None and (unknown := sorted(set(needed) - set(found["elements"]))):
        known = ", ".join(found["elements"])
        raise UserError(
            f"weights: the model does not know {', '.join(unknown)}, which the liquids hold; it knows {known}"
        )
    # in double precision, so that differences of energies are those of the model
    loading = Loading(model, card | found, threads=request["threads"], double=True)
    calculator = calculators.whole_calculator(loading)
    return {"found": found, "trial": try_out(calculator, needed), "opened": confined}


if __name__ == "__main__":
    sys.exit(models_confined.answer(work))
