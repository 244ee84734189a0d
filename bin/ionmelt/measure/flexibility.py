"""What an ion can do, read from its SMILES: torsions and rings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from ionmelt.liquid import ions as liquid_ions
from ionmelt.measure.arrays import Array

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


@dataclass(frozen=True)
class Match:
    """A torsion of four atoms, before those that symmetry makes equal are put together: these share a ``key``."""

    key: tuple[int, ...]
    name: str
    atoms: list[int]
    classes: tuple[tuple[str, float, float], ...]


def torsions(mol: Chem.Mol) -> list[Torsion]:
    """Return the torsions of an ion; those that symmetry makes equal are one, of several copies."""
    rank = list(Chem.CanonicalRankAtoms(mol, breakTies=False))
    alike: dict[tuple[int, ...], list[Match]] = {}
    for match in (*imides(mol, rank), *rotatable(mol, rank)):
        alike.setdefault(match.key, []).append(match)
    names = [copies[0].name for copies in alike.values()]
    out = []
    for i, copies in enumerate(alike.values()):
        name, again = names[i], names[:i].count(names[i])
        numbered = f"{name} #{again + 1}" if names.count(name) > 1 else name
        out.append(Torsion(numbered, np.array([copy.atoms for copy in copies]), copies[0].classes))
    return out


def imides(mol: Chem.Mol, rank: list[int]) -> Iterator[Match]:
    """Give the torsion between the two ends of each sulfonimide, around the line from S to S: cis or trans."""
    for match in mol.GetSubstructMatches(Chem.MolFromSmarts(IMIDE)):
        first, last = match[0], match[8]
        atoms = [first, match[1], match[5], last]
        name = named(mol, atoms).replace("S-S", "S...S")
        yield Match((-1, *sorted((rank[first], rank[last]))), name, atoms, CIS_TRANS)


def rotatable(mol: Chem.Mol, rank: list[int]) -> Iterator[Match]:
    """Give the torsion around each bond that turns; ``rank`` is the same for atoms that symmetry makes equal."""
    for b, c in mol.GetSubstructMatches(Chem.MolFromSmarts(ROTATABLE)):
        a, d = end_of(mol, rank, b, c), end_of(mol, rank, c, b)
        if a is None or d is None:
            continue
        atoms = [a, b, c, d] if (rank[b], rank[a]) <= (rank[c], rank[d]) else [d, c, b, a]
        classes = TETRAHEDRAL if all(is_tetrahedral(mol.GetAtomWithIdx(i)) for i in (b, c)) else IUPAC
        yield Match(tuple(rank[i] for i in atoms), named(mol, atoms), atoms, classes)


def end_of(mol: Chem.Mol, rank: list[int], atom: int, other: int) -> int | None:
    """Return the neighbour to measure from: the one of its kind, else the first; None where all are alike."""
    near = [x.GetIdx() for x in mol.GetAtomWithIdx(atom).GetNeighbors() if x.GetIdx() != other]
    kinds = [rank[x] for x in near]
    if len(near) == 3 and len(set(kinds)) == 1:
        return None  # a top such as CF3
    alone = [x for x in near if kinds.count(rank[x]) == 1]
    return min(alone or near)


def is_tetrahedral(atom: Chem.Atom) -> bool:
    """Tell whether the bonds of an atom leave as those of a tetrahedron, which sulphur's need not."""
    four = atom.GetHybridization() == Chem.HybridizationType.SP3 and atom.GetTotalDegree() == 4
    return four and atom.GetSymbol() != "S"


def named(mol: Chem.Mol, atoms: Sequence[int]) -> str:
    """Return the elements of atoms, in a row."""
    return "-".join(mol.GetAtomWithIdx(i).GetSymbol() for i in atoms)


def rings(mol: Chem.Mol) -> list[Ring]:
    """Return the rings of five or six atoms without aromatic bonds."""
    out = []
    for ring in mol.GetRingInfo().AtomRings():
        if len(ring) not in (5, 6) or any(mol.GetAtomWithIdx(i).GetIsAromatic() for i in ring):
            continue
        start = min(range(len(ring)), key=lambda k: (mol.GetAtomWithIdx(ring[k]).GetSymbol() == "C", ring[k]))
        turned = ring[start:] + ring[:start]
        out.append(Ring(f"ring {named(mol, turned)}", turned))
    return out
