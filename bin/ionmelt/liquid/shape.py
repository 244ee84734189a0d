"""Whether the terms of a molecule give it its shape: at rest alone, its bonds and angles are held against those of GFN2-xTB."""

import numpy as np

from ionmelt.errors import UserError
from ionmelt.liquid.explicit import ExplicitForceField, Terms, explicit_system
from ionmelt.liquid.ion_terms import neighbours_of
from ionmelt.liquid.relaxed import METHOD, relaxed
from ionmelt.topology import Ion, Topology, counted

BOND_OFF_A, ANGLE_OFF_DEG = 0.1, 15.0
MINIMISED_KJ_MOL_NM, STEPS = 1.0, 5000


def at_rest_A(ion: Ion, terms: Terms, start_A: np.ndarray) -> np.ndarray:
    """Return the positions (N, 3) of a molecule alone at the minimum of its terms next to a start."""
    import openmm

    alone = Topology(ion["name"], [counted(ion, 1)])
    system = explicit_system(alone, None, ExplicitForceField(name="alone", charge_scale=1.0, molecules=[terms]), 0.0)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(start_A / 10)
    openmm.LocalEnergyMinimizer.minimize(context, MINIMISED_KJ_MOL_NM, STEPS)
    return np.array(context.getState(getPositions=True).getPositions(asNumpy=True)._value) * 10


def check_shape(ion: Ion, terms: Terms) -> None:
    """Raise `UserError` where a bond is off by more than `BOND_OFF_A`, or an angle by more than `ANGLE_OFF_DEG`."""
    if len(ion["elements"]) == 1:
        return
    right = relaxed(ion["smiles"], ion["charge"]).positions_A
    ours = at_rest_A(ion, terms, right)
    bonds = np.array(ion["bonds"])
    angles = np.array([(i, j, k) for j, near in enumerate(neighbours_of(ion)) for i in near for k in near if i < k])
    checks = [("bond", bonds, lengths_A, BOND_OFF_A, "A"), ("angle", angles, angles_deg, ANGLE_OFF_DEG, "degrees")]
    for kind, members, measured, most, unit in checks:
        if not len(members):
            continue
        is_value, should = measured(ours, members), measured(right, members)
        worst = int(np.argmax(np.abs(is_value - should)))
        if abs(is_value[worst] - should[worst]) > most:
            name = "-".join(ion["elements"][i] for i in members[worst])
            raise UserError(
                f"{ion['name']} ({ion['smiles']}): its force field gives the {kind} {name} {is_value[worst]:.4g} {unit}, {METHOD} "
                f"{should[worst]:.4g}: give force_field: xtb, or the path of an OpenMM XML that has it"
            )


def lengths_A(positions_A: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the distances (B,) of pairs (B, 2)."""
    return np.linalg.norm(positions_A[pairs[:, 0]] - positions_A[pairs[:, 1]], axis=1)


def angles_deg(positions_A: np.ndarray, threes: np.ndarray) -> np.ndarray:
    """Return the angles (A,) at the middle atoms of threes (A, 3)."""
    i, j, k = threes.T
    one, two = positions_A[i] - positions_A[j], positions_A[k] - positions_A[j]
    across = np.linalg.norm(np.cross(one, two), axis=1)
    return np.degrees(np.arctan2(across, np.einsum("ax,ax->a", one, two)))
