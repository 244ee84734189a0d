"""Whether a foreign frame can be used, and what would be right where it cannot."""

import numpy as np

from ionmelt.frame import (
    MAX_FORCE_EV_A,
    NET_FORCE_EV_A,
    overlaps,
    values_problem,
)
from ionmelt.labels.foreign.blocks import ForeignFrame

# What would be right, for the reasons that ionmelt/frame.py gives.
REMEDIES = {
    "no_energy": "the frame has no energy",
    "no_forces": "the frame has no forces",
    "shape": "energy must be one number, forces 3 columns, stress 9 numbers",
    "non_finite": "energy, forces and stress must be finite numbers",
    "stress_asymmetric": "the stress is not symmetric",
    "overlap": "two atoms are closer than half the sum of their covalent radii",
}


# --- Judging --------------------------------------------------------------------------------------------


def without_placeholders(foreign: ForeignFrame, liquid: bool) -> None:
    """Take out of a frame what only stands in for a label: the forces of a liquid that are all exactly zero."""
    if liquid and foreign.forces_ev_a is not None and len(foreign.forces_ev_a) > 1 and not np.any(foreign.forces_ev_a):
        foreign.forces_ev_a = None
        foreign.detail = "its forces are all exactly zero: placeholders of a writer that knows none"


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


def problem(foreign: ForeignFrame, net_force_limit_ev_a: float) -> tuple[str, str] | None:
    """Return why a frame cannot be used and what would be right, as (code, text); None where it can."""
    if foreign.reason is not None:
        return foreign.reason, foreign.detail or ""
    assert foreign.atoms is not None
    for code, value in (
        ("no_energy", foreign.energy_ev),
        ("no_forces", foreign.forces_ev_a),
    ):
        if value is None:
            return code, foreign.detail or REMEDIES[code]
    if not (np.isfinite(foreign.atoms.positions).all() and np.isfinite(foreign.atoms.cell.array).all()):
        return "non_finite", "positions and cell must be finite numbers"
    if foreign.atoms.cell.rank < 3 or not foreign.atoms.pbc.all():
        return "not_periodic", "a cell of three vectors is needed"
    assert foreign.energy_ev is not None
    assert foreign.forces_ev_a is not None
    if foreign.stress_ev_a3 is not None and not np.any(foreign.stress_ev_a3):
        return "no_stress", (
            "its stress is exactly zero: a placeholder of a writer that knows none; take it out of the file, and energy and forces are used"
        )
    forces, n_atoms = foreign.forces_ev_a, len(foreign.atoms)
    wrong = "overlap" if overlaps(foreign.atoms) else None
    wrong = wrong or values_problem(foreign.energy_ev, forces, foreign.stress_ev_a3, n_atoms)
    if wrong in (None, "net_force") and forces.shape == (n_atoms, 3):
        net, root = float(np.linalg.norm(forces.sum(axis=0))), np.sqrt(n_atoms)
        if net <= net_force_limit_ev_a * root:
            return None if wrong is None else (wrong, "")
        return "net_force", (
            f"the forces sum to {net:.3g} eV/A; the limit for {n_atoms} atoms is {net_force_limit_ev_a * root:.3g} (max_net_force_eV_A "
            f"{net_force_limit_ev_a:g} times their square root): with {np.ceil(100 * net / root) / 100:g} or more the mean is taken off every force"
        )
    if wrong == "force_too_large":
        largest = np.linalg.norm(forces, axis=1).max()
        return wrong, f"a force is {largest:.3g} eV/A, the limit is {MAX_FORCE_EV_A:g}: is forces_unit right?"
    return (wrong, REMEDIES[wrong]) if wrong else None
