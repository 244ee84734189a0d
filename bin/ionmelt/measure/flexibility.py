"""What an ion can do, read from its SMILES: torsions and rings."""

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

    kinds: dict[tuple[int, ...], tuple[str, list[list[int]], tuple[tuple[str, float, float], ...]]] = {}
    for match in mol.GetSubstructMatches(Chem.MolFromSmarts(IMIDE)):
        first, last = match[0], match[8]
        atoms = [first, match[1], match[5], last]
        name = "-".join(mol.GetAtomWithIdx(i).GetSymbol() for i in atoms).replace("S-S", "S...S")
        key = (-1, *sorted((rank[first], rank[last])))
        kinds.setdefault(key, (name, [], CIS_TRANS))[1].append(atoms)
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
        kinds.setdefault(key, (name, [], TETRAHEDRAL if tetrahedral else IUPAC))[1].append(atoms)
    names = [name for name, _, _ in kinds.values()]
    out = []
    for i, (name, atoms, classes) in enumerate(kinds.values()):
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
