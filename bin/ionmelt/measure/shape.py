"""Geometry of ions: dihedral angles, ring puckers, gyration."""

import math

import numpy as np

from ionmelt.measure.arrays import Array

PLANAR_A = 0.1  # puckering amplitude below which a ring counts as planar
SPHERE = 0.1  # relative shape anisotropy below which an ion counts as a sphere


def dihedrals(positions: Array, atoms: Array) -> Array:
    """Return dihedral angles (frames, k) in degrees, (-180, 180], of atoms (k, 4) of whole ions (frames, N, 3)."""
    import mdtraj

    frames = mdtraj.Trajectory(np.asarray(positions, dtype=np.float32) / 10, None)
    return np.degrees(mdtraj.compute_dihedrals(frames, np.asarray(atoms), periodic=False))


def puckering(ring: Array) -> tuple[Array, Array, Array]:
    """Return (amplitude, phase in degrees, polar angle in degrees), each (...,), of rings (..., n, 3).

    Cremer and Pople, J. Am. Chem. Soc. 97 (1975) 1354, for n = 5 or 6. Amplitude: Q, the root of the sum of
    squared displacements from the mean plane; phase: phi_2 in [0, 360). Polar angle: theta of a six-ring (0 and 180
    are chairs), 90 for a five-ring.
    """
    n = ring.shape[-2]
    x = np.asarray(ring, dtype=float)
    x = x - x.mean(axis=-2, keepdims=True)
    turn = 2 * np.pi * np.arange(n) / n
    first, second = (np.einsum("...ni,n->...i", x, w) for w in (np.sin(turn), np.cos(turn)))
    normal = np.cross(first, second)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    z = np.einsum("...ni,...i->...n", x, normal)
    scale = math.sqrt(2 / n)
    real, imaginary = scale * (z @ np.cos(2 * turn)), -scale * (z @ np.sin(2 * turn))
    q2 = np.hypot(real, imaginary)
    q3 = z @ np.cos(np.pi * np.arange(n)) / math.sqrt(n) if n == 6 else np.zeros_like(q2)
    return np.hypot(q2, q3), np.degrees(np.arctan2(imaginary, real)) % 360, np.degrees(np.arctan2(q2, q3))


def pucker_states(atoms: int, amplitude: Array, phase: Array, polar: Array) -> dict[str, Array]:
    """Return {state: where} of puckers. Five-rings: planar, envelope (phase nearest to a multiple of 36 degrees),
    twist (nearest to an odd multiple of 18). Six-rings: planar, chair (polar angle within 45 degrees of a pole), boat
    (boats and twist-boats).
    """  # fmt: skip
    planar = amplitude < PLANAR_A
    if atoms == 5:
        near = np.abs((phase + 18) % 36 - 18) < 9
        return {"planar": planar, "envelope": ~planar & near, "twist": ~planar & ~near}
    chair = np.minimum(polar, 180 - polar) < 45
    return {"planar": planar, "chair": ~planar & chair, "boat": ~planar & ~chair}


def gyration(positions: Array, masses: Array) -> Array:
    """Return the eigenvalues (..., 3) of the mass-weighted gyration tensor of ions (..., n, 3), falling, in A^2."""
    weights = np.asarray(masses, dtype=float) / np.sum(masses)
    x = np.asarray(positions, dtype=float)
    x = x - np.einsum("...ni,n->...i", x, weights)[..., None, :]
    return np.linalg.eigvalsh(np.einsum("...ni,...nj,n->...ij", x, x, weights))[..., ::-1]


def shape(eigenvalues: Array) -> dict[str, Array]:
    """Return radius of gyration (A), asphericity and acylindricity (A^2) and relative shape anisotropy.

    Theodorou and Suter, Macromolecules 18 (1985) 1206: b = l1 - (l2 + l3) / 2, c = l2 - l3, kappa^2 = (b^2 + 3 c^2
    / 4) / s^4, from 0 (a ball) to 1 (a line); a flat disc has 1/4.
    """
    l1, l2, l3 = np.moveaxis(eigenvalues, -1, 0)
    b, c, s2 = l1 - (l2 + l3) / 2, l2 - l3, l1 + l2 + l3
    return {
        "radius_of_gyration": np.sqrt(s2),
        "asphericity": b,
        "acylindricity": c,
        "relative_shape_anisotropy": (b**2 + 0.75 * c**2) / s2**2,
    }


def shape_states(eigenvalues: Array) -> dict[str, Array]:
    """Return {state: where}: sphere (anisotropy below SPHERE), else rod (l1 - l2 >= l2 - l3) or disc."""
    l1, l2, l3 = np.moveaxis(eigenvalues, -1, 0)
    sphere = shape(eigenvalues)["relative_shape_anisotropy"] < SPHERE
    rod = l1 - l2 >= l2 - l3
    return {"sphere": sphere, "rod": ~sphere & rod, "disc": ~sphere & ~rod}


SHAPE_UNITS = {
    "radius_of_gyration": "A",
    "asphericity": "A^2",
    "acylindricity": "A^2",
    "relative_shape_anisotropy": "1",
}
