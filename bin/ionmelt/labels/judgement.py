"""Whether a foreign frame can be used, and what would be right where it cannot."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from ionmelt.frame import MAX_FORCE_EV_A, NET_FORCE_EV_A, overlaps, values_problem
from ionmelt.labels.foreign.blocks import ForeignFrame, is_number

FARTHEST_A = 1e6  # beyond, a position has too few digits left for its place in the cell
FLAT = 1e-6  # volume of a cell, to that of a box with its edges, below which it is none

APART = 1.5  # of the sum of two covalent radii: in melts of salts the nearest ions are at 0.9 to 1.1 of it

# What would be right, for the reasons that ionmelt/frame.py gives.
REMEDIES = {
    "no_energy": "the frame has no energy",
    "no_forces": "the frame has no forces",
    "shape": "energy must be one number, forces 3 columns, stress 9 numbers",
    "non_finite": "energy, forces and stress must be finite numbers",
    "stress_asymmetric": "the stress is not symmetric",
    "overlap": "two atoms are closer than half the sum of their covalent radii",
}


# What says how much a number counts in a training, as MACE has it
WEIGHTS = {
    "config_weight": "energy_ev", "config_energy_weight": "energy_ev", "config_forces_weight": "forces_ev_a",
    "config_stress_weight": "stress_ev_a3", "config_virials_weight": "stress_ev_a3",
}  # fmt: skip

# --- Judging --------------------------------------------------------------------------------------------


def without_placeholders(foreign: ForeignFrame, liquid: bool) -> None:
    """Take out of a frame what only stands in for a label: what counts for nothing by its own words, and zeros in a liquid."""
    without_weightless(foreign)
    if liquid and foreign.energy_ev == 0.0:
        foreign.energy_ev, foreign.detail = (
            None,
            "its energy is exactly zero: a placeholder of a writer that knows none",
        )
    if liquid and foreign.forces_ev_a is not None and len(foreign.forces_ev_a) > 1 and not np.any(foreign.forces_ev_a):
        foreign.forces_ev_a = None
        foreign.detail = "its forces are all exactly zero: placeholders of a writer that knows none"


def without_weightless(foreign: ForeignFrame) -> None:
    """Take out of a frame the numbers to which it gives no weight, as MACE's config_energy_weight=0."""
    info = {name.lower(): value for name, value in foreign.info.items()}
    none = [name for name in WEIGHTS if is_number(info.get(name)) and not np.any(info[name])]
    for name in none:
        setattr(foreign, WEIGHTS[name], None)
        if WEIGHTS[name] != "stress_ev_a3":
            foreign.detail = f"the frame says {name}=0"


def without_drift(foreign: ForeignFrame, limit_ev_a: float) -> bool:
    """Take the mean off forces whose sum is beyond the contract's limit, but within the study's; tell whether it was."""
    forces = foreign.forces_ev_a
    if forces is None or forces.ndim != 2 or not np.isfinite(forces).all():
        return False
    drift = np.linalg.norm(forces.sum(axis=0)) / np.sqrt(len(forces))
    if not NET_FORCE_EV_A < drift <= limit_ev_a:
        return False
    foreign.forces_ev_a = forces - forces.mean(axis=0)
    return True


def lies_apart(frame: Atoms) -> bool:
    """Tell whether a frame of single atoms has no two that are near, as where its lengths are in Bohr: in molecules bonds show that.

    Energies and forces show nothing: in atomic units throughout, the work of the forces is the change of the energy, too.
    """
    if len(frame) < 2 or len(np.unique(frame.arrays["molecule"])) < len(frame):
        return False
    return not overlaps(frame, APART)


@dataclass(frozen=True)
class Refusal:
    """Why a frame cannot be used: a code, and in words what is wrong or what would be right."""

    reason: str
    detail: str


SAYS_CONVERGED = ("converged", "scf_converged", "is_converged", "electronic_converged")
SAYS_CHARGE = ("charge", "total_charge", "system_charge", "net_charge")


def said_against(info: Mapping[str, object], in_liquid: bool) -> Refusal | None:
    """Return why a frame cannot be used by its own words: its SCF did not converge, or the box of a liquid is charged."""
    words = {name.lower().replace("-", "_"): str(value).lower() for name, value in info.items()}
    for name in SAYS_CONVERGED:
        if words.get(name) in ("f", "false", "0", "no"):
            return Refusal("scf_not_converged", f"the frame says {name}={words[name]}")
    if in_liquid and (said := said_charge(info)):
        return Refusal("not_neutral", f"the frame says {said}, and the box of a liquid is neutral")
    return None


def said_charge(info: Mapping[str, object]) -> str | None:
    """Return the words, such as charge=1, in which a frame says that it is charged; None where it does not."""
    words = {name.lower().replace("-", "_"): str(value).lower() for name, value in info.items()}
    for name in SAYS_CHARGE:
        if re.fullmatch(r"[-+]?\d+\.?\d*", words.get(name, "")) and float(words[name]):
            return f"{name}={words[name]}"
    return None


def problem(foreign: ForeignFrame, net_force_limit_ev_a: float) -> Refusal | None:
    """Return why a frame cannot be used; None where it can."""
    if foreign.reason is not None:
        return Refusal(foreign.reason, foreign.detail or "")
    assert foreign.atoms is not None
    if foreign.energy_ev is None:
        return Refusal("no_energy", foreign.detail or REMEDIES["no_energy"])
    if foreign.forces_ev_a is None:
        return Refusal("no_forces", foreign.detail or REMEDIES["no_forces"])
    if wrong := problem_of_structure(foreign.atoms):
        return wrong
    if foreign.stress_ev_a3 is not None and not np.any(foreign.stress_ev_a3):
        said = "its stress is exactly zero: a placeholder of a writer that knows none"
        return Refusal("no_stress", f"{said}; take it out of the file, and energy and forces are used")
    if overlaps(foreign.atoms):
        return Refusal("overlap", REMEDIES["overlap"])
    code = values_problem(foreign.energy_ev, foreign.forces_ev_a, foreign.stress_ev_a3, len(foreign.atoms))
    return problem_of_values(code, foreign.forces_ev_a, net_force_limit_ev_a)


def problem_of_values(code: str | None, forces_ev_a: np.ndarray, net_force_limit_ev_a: float) -> Refusal | None:
    """Return why a label cannot be used that `values_problem` has this code, or None, for; the study may be stricter."""
    if code is None or code == "net_force":
        return net_force(forces_ev_a, net_force_limit_ev_a) or (Refusal(code, "") if code else None)
    if code == "force_too_large":
        largest = np.linalg.norm(forces_ev_a, axis=1).max()
        said = f"a force is {largest:.3g} eV/A, the limit is {MAX_FORCE_EV_A:g}: is forces_unit right?"
        return Refusal(code, said)
    return Refusal(code, REMEDIES[code])


def problem_of_structure(atoms: Atoms) -> Refusal | None:
    """Return why positions or cell of a frame cannot be used; None where they can."""
    if not len(atoms):
        return Refusal("unreadable", "it holds no atoms: is the file damaged?")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        return Refusal("non_finite", "positions and cell must be finite numbers")
    lengths = atoms.cell.lengths()
    if atoms.cell.rank < 3 or not atoms.pbc.all() or atoms.cell.volume < FLAT * lengths.prod():
        return Refusal("not_periodic", "a cell of three vectors is needed, which are not in one plane")
    if (farthest := max(np.abs(atoms.positions).max(), lengths.max())) > FARTHEST_A:
        return Refusal("unreadable", f"positions and cell reach {farthest:.3g} A: is the file damaged?")
    return None


def net_force(forces_ev_a: np.ndarray, limit_ev_a: float) -> Refusal | None:
    """Refuse forces (N, 3) whose sum is beyond the study's limit, which counts times the square root of N."""
    net, root = float(np.linalg.norm(forces_ev_a.sum(axis=0))), np.sqrt(len(forces_ev_a))
    if net <= limit_ev_a * root:
        return None
    return Refusal(
        "net_force",
        f"the forces sum to {net:.3g} eV/A; the limit for {len(forces_ev_a)} atoms is {limit_ev_a * root:.3g} (max_net_force_eV_A "
        f"{limit_ev_a:g} times their square root): with {np.ceil(100 * net / root) / 100:g} or more the mean is taken off every force",
    )
