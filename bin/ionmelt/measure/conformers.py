"""Conformers of ions as populations: torsions, ring puckers and overall shape, with errors.

What an ion can do is read from its SMILES: every rotatable bond (with the neighbours that symmetry does not
repeat), the C-S...S-C pseudo-torsion of bis(sulfonyl)imides (cis below 90 degrees, trans above), and every ring
of five or six atoms without aromatic bonds. Ions that can do none of it have no rows.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import mdtraj
import numpy as np
from rdkit import Chem

from ionmelt.liquid import ions as liquid_ions
from ionmelt.measure import structure as ils
from ionmelt.measure.structure import Array, Row
from ionmelt.topology import Topology

# Classes of |angle| in degrees, from one limit to the next. Between two tetrahedral atoms: gauche and anti; else the
# four of IUPAC.
TETRAHEDRAL = (("gauche", 0.0, 120.0), ("anti", 120.0, 180.0))
IUPAC = (
    ("synperiplanar", 0.0, 30.0), ("synclinal", 30.0, 90.0), ("anticlinal", 90.0, 150.0),
    ("antiperiplanar", 150.0, 180.0),
)  # fmt: skip
CIS_TRANS = (("cis", 0.0, 90.0), ("trans", 90.0, 180.0))
IMIDE = "[C,F:1][S:2](=O)(=O)[N-]S(=O)(=O)[C,F]"
ROTATABLE = "[!D1;!$(*#*)]-;!@[!D1;!$(*#*)]"
PLANAR_A = 0.1  # puckering amplitude below which a ring counts as planar
SPHERE = 0.1  # relative shape anisotropy below which an ion counts as a sphere
ANGLE_BIN_DEG = 5.0


@dataclass(frozen=True)
class Torsion:
    """A torsion of an ion: ``atoms`` (copies, 4) of each symmetric copy, counted within the ion."""

    name: str
    atoms: Array
    classes: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class Ring:
    """A ring of an ion: its atoms in order, a hetero atom first where there is one."""

    name: str
    atoms: tuple[int, ...]


def molecule(smiles: str, elements: list[str]) -> Chem.Mol | None:
    """Return rdkit's molecule of an ion, heavy atoms only, or None where the SMILES is not that of the ion."""
    if not smiles:
        return None
    whole = liquid_ions.parse(smiles)
    if [atom.GetSymbol() for atom in whole.GetAtoms()] != list(elements):
        return None
    return Chem.RemoveHs(whole)


def torsions(mol: Chem.Mol) -> list[Torsion]:
    """Return the torsions of an ion; those that symmetry makes equal are one, of several copies."""
    rank = list(Chem.CanonicalRankAtoms(mol, breakTies=False))

    def beyond(atom: int, other: int) -> int | None:
        """Return the neighbour to measure from: the one of its kind, else the first; None where all are alike."""
        near = [x.GetIdx() for x in mol.GetAtomWithIdx(atom).GetNeighbors() if x.GetIdx() != other]
        kinds = [rank[x] for x in near]
        if len(near) == 3 and len(set(kinds)) == 1:
            return None  # a top such as CF3
        alone = [x for x in near if kinds.count(rank[x]) == 1]
        return min(alone or near)

    found: dict[tuple[int, ...], tuple[str, list[list[int]], tuple[tuple[str, float, float], ...]]] = {}
    for match in mol.GetSubstructMatches(Chem.MolFromSmarts(IMIDE)):
        first, last = match[0], match[8]
        atoms = [first, match[1], match[5], last]
        name = "-".join(mol.GetAtomWithIdx(i).GetSymbol() for i in atoms).replace("S-S", "S...S")
        key = (-1, *sorted((rank[first], rank[last])))
        found.setdefault(key, (name, [], CIS_TRANS))[1].append(atoms)
    for b, c in mol.GetSubstructMatches(Chem.MolFromSmarts(ROTATABLE)):
        a, d = beyond(b, c), beyond(c, b)
        if a is None or d is None:
            continue
        atoms = [a, b, c, d] if (rank[b], rank[a]) <= (rank[c], rank[d]) else [d, c, b, a]
        name = "-".join(mol.GetAtomWithIdx(i).GetSymbol() for i in atoms)
        tetrahedral = all(
            mol.GetAtomWithIdx(i).GetHybridization() == Chem.HybridizationType.SP3
            and mol.GetAtomWithIdx(i).GetTotalDegree() == 4
            and mol.GetAtomWithIdx(i).GetSymbol() != "S"
            for i in (b, c)
        )
        key = tuple(rank[i] for i in atoms)
        found.setdefault(key, (name, [], TETRAHEDRAL if tetrahedral else IUPAC))[1].append(atoms)
    names = [name for name, _, _ in found.values()]
    out = []
    for i, (name, atoms, classes) in enumerate(found.values()):
        again = names[:i].count(name)
        out.append(Torsion(f"{name} #{again + 1}" if names.count(name) > 1 else name, np.array(atoms), classes))
    return out


def rings(mol: Chem.Mol) -> list[Ring]:
    """Return the rings of five or six atoms without aromatic bonds."""
    out = []
    for ring in mol.GetRingInfo().AtomRings():
        if len(ring) not in (5, 6) or any(mol.GetAtomWithIdx(i).GetIsAromatic() for i in ring):
            continue
        start = min(range(len(ring)), key=lambda k: (mol.GetAtomWithIdx(ring[k]).GetSymbol() == "C", ring[k]))
        turned = ring[start:] + ring[:start]
        out.append(Ring("ring " + "-".join(mol.GetAtomWithIdx(i).GetSymbol() for i in turned), turned))
    return out


def dihedrals(positions: Array, atoms: Array) -> Array:
    """Return dihedral angles (frames, k) in degrees, (-180, 180], of atoms (k, 4) of whole ions (frames, N, 3)."""
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


@dataclass
class Species:
    """What is gathered of one kind of ion: angles (chunks of (frames, ions, copies)), puckers, eigenvalues."""

    name: str
    atoms: Array  # (ions, n), of the box
    masses: Array
    torsions: list[Torsion]
    rings: list[Ring]
    angles: list[list[Array]] = field(default_factory=list)
    puckers: list[list[tuple[Array, Array, Array]]] = field(default_factory=list)
    eigenvalues: list[Array] = field(default_factory=list)

    def add(self, positions: Array) -> None:
        """Add whole positions (frames, N, 3)."""
        ions, size = self.atoms.shape
        first = self.atoms[:, 0]
        self.angles.append([
            dihedrals(positions, (first[:, None, None] + t.atoms).reshape(-1, 4)).reshape(len(positions), ions, -1)
            for t in self.torsions
        ])  # fmt: skip
        x = positions[:, self.atoms.ravel()].reshape(len(positions), ions, size, 3)
        self.puckers.append([puckering(x[:, :, list(r.atoms)]) for r in self.rings])
        self.eigenvalues.append(gyration(x, self.masses))


class Conformers:
    """Conformers of every kind of ion of a box that has any, gathered from a trajectory."""

    def __init__(self, topology: Topology) -> None:
        self.species: list[Species] = []
        for ion in topology.ions:
            mol = molecule(ion.get("smiles") or "", ion["elements"])
            if mol is None:
                continue
            twists, loops = torsions(mol), rings(mol)
            starts = topology.starts[topology.molecule_ion == ion["name"]]
            if (twists or loops) and len(starts):
                atoms = starts[:, None] + np.arange(len(ion["elements"]))
                self.species.append(Species(ion["name"], atoms, np.array(ion["masses_u"]), twists, loops))

    def add(self, positions: Array) -> None:
        """Add whole positions (frames, N, 3)."""
        for species in self.species:
            species.add(positions)

    def rows(self, interval_ps: float) -> tuple[list[Row], list[Row]]:
        """Return the rows of `structure` (distributions of angles) and of `conformers`."""
        structure: list[Row] = []
        numbers: list[Row] = []
        for species in self.species:
            if not species.eigenvalues:
                continue
            spaced: dict[str, Any] = {"frames": sum(map(len, species.eigenvalues)), "interval_ps": interval_ps}
            for row in _rows(species, structure):
                numbers.append(row | {"species": species.name} | spaced)
        return structure, numbers


def _rows(species: Species, structure: list[Row]) -> Iterator[Row]:
    for i, torsion in enumerate(species.torsions):
        angle = np.abs(np.concatenate([part[i] for part in species.angles]))
        for state, low, high in torsion.classes:
            inside = (angle >= low) & (angle < high if high < 180 else angle <= 180.1)
            yield {"feature": torsion.name, "quantity": "population", "state": state} | _share(inside)
        structure += _distribution("torsion", f"{species.name} {torsion.name}", angle, 180.0)
    for i, ring in enumerate(species.rings):
        amplitude, phase, polar = (np.concatenate([part[i][k] for part in species.puckers]) for k in range(3))
        for state, where in pucker_states(len(ring.atoms), amplitude, phase, polar).items():
            yield {"feature": ring.name, "quantity": "population", "state": state} | _share(where[:, :, None])
        yield {"feature": ring.name, "quantity": "puckering_amplitude"} | ils.mean_row(amplitude, "A")
        structure += _distribution("pucker_phase", f"{species.name} {ring.name}", phase[:, :, None], 360.0)
    eigenvalues = np.concatenate(species.eigenvalues)
    for quantity, values in shape(eigenvalues).items():
        yield {"feature": "shape", "quantity": quantity} | ils.mean_row(values, SHAPE_UNITS[quantity])
    for state, where in shape_states(eigenvalues).items():
        yield {"feature": "shape", "quantity": "population", "state": state} | _share(where[:, :, None])


def _share(where: Array) -> Row:
    """Return the row of a population from where (frames, ions, copies) it holds."""
    return ils.mean_row(where.mean(axis=2), fraction=True)


def _distribution(quantity: str, pair: str, angle: Array, top: float) -> list[Row]:
    """Return the curve of a distribution of angles (frames, ions, copies) over [0, top], per degree."""
    bins = round(top / ANGLE_BIN_DEG)
    index = np.clip((angle / ANGLE_BIN_DEG).astype(int), 0, bins - 1).reshape(len(angle), -1)
    counts = np.array([np.bincount(row, minlength=bins) for row in index]) / (index.shape[1] * ANGLE_BIN_DEG)
    middle = (np.arange(bins) + 0.5) * ANGLE_BIN_DEG
    return ils.curve(quantity, pair, "angle_deg", middle, counts.mean(axis=0), ils.block_error(counts), "1/deg")
