"""The terms that an ion has in a force field of assets/forcefields."""

import itertools
from dataclasses import dataclass
from typing import Any

from ionmelt.errors import UserError
from ionmelt.liquid.forcefield import WAYS_OUT, Angle, Bond, Classes, ForceField, Indices, Term, Torsion
from ionmelt.topology import Ion


@dataclass
class IonTerms:
    """The terms of one ion, by the indices of its atoms.

    `excluded`: pairs one or two bonds apart; `pairs_14`: pairs three bonds apart and not also closer, as they are in a
    five-membered ring.
    """

    bonds: list[tuple[Indices, Bond]]
    angles: list[tuple[Indices, Angle]]
    torsions: list[tuple[Indices, Torsion]]
    impropers: list[tuple[Indices, Torsion]]
    excluded: list[tuple[int, int]]
    pairs_14: list[tuple[int, int]]


def ion_terms(ion: Ion, forcefield: ForceField) -> IonTerms:
    """Return the force-field terms of one ion.

    Raises UserError where the force field lacks a type or a term, naming them all.
    """
    name, classes = ion["name"], bonded_classes(ion, forcefield)
    neighbours = neighbours_of(ion)
    bonds = [(i, j) for i, j in ion["bonds"]]
    angles = [(i, j, k) for j, near in enumerate(neighbours) for i, k in itertools.combinations(near, 2)]
    torsions = torsions_of(bonds, neighbours)
    missing: list[str] = []
    terms = IonTerms(
        bonds=terms_by_atoms("bond", bonds, classes, forcefield.bonds, missing),
        angles=[
            (atoms, term)
            for atoms, term in terms_by_atoms("angle", angles, classes, forcefield.angles, missing)
            if not (term.cis_only and _trans(atoms, neighbours))
        ],
        torsions=terms_by_atoms("torsion", torsions, classes, forcefield.torsions, missing),
        impropers=impropers_of(neighbours, classes, forcefield),
        excluded=sorted({_pair(i, j) for i, j in bonds} | {_pair(i, k) for i, _, k in angles}),
        pairs_14=[],
    )
    if missing:
        raise UserError(f"ion {name}: {forcefield.name} lacks {', '.join(sorted(set(missing)))}; {WAYS_OUT}")
    terms.pairs_14 = sorted({_pair(t[0], t[3]) for t in torsions} - set(terms.excluded))
    return terms


def bonded_classes(ion: Ion, forcefield: ForceField) -> list[str]:
    """Return the class of each atom of an ion; raises `UserError` where the force field has no type for it."""
    name, types = ion["name"], ion["types"]
    if types is None:
        raise UserError(f"ion {name} ({ion['smiles']}): {forcefield.name} has no parameters for it; {WAYS_OUT}")
    unknown = sorted({kind for kind in types if kind not in forcefield.types})
    if unknown:
        raise UserError(f"ion {name}: {forcefield.name} lacks types {', '.join(unknown)}; {WAYS_OUT}")
    return [forcefield.types[kind].bonded_class for kind in types]


def neighbours_of(ion: Ion) -> list[list[int]]:
    """Return the atoms that each atom of an ion is bonded to, sorted."""
    neighbours: list[list[int]] = [[] for _ in ion["elements"]]
    for i, j in ion["bonds"]:
        neighbours[i].append(j)
        neighbours[j].append(i)
    return [sorted(near) for near in neighbours]


def torsions_of(bonds: list[tuple[int, int]], neighbours: list[list[int]]) -> list[Indices]:
    """Return the chains of four different atoms around each bond."""
    return [
        (i, j, k, m) for j, k in bonds for i in neighbours[j] for m in neighbours[k] if i != k and m != j and i != m
    ]


def terms_by_atoms(
    table: str, members: list[Any], classes: list[str], terms: dict[Classes, Term], missing: list[str]
) -> list[tuple[Indices, Term]]:
    """Return the term of each group of atoms; the names of those that the force field lacks go to `missing`."""
    result: list[tuple[Indices, Term]] = []
    for atoms in members:
        key = tuple(classes[i] for i in atoms)
        if key in terms:
            result.append((atoms, terms[key]))
        else:
            missing.append(f"{table} {'-'.join(min(key, key[::-1]))}")
    return result


def impropers_of(
    neighbours: list[list[int]], classes: list[str], forcefield: ForceField
) -> list[tuple[Indices, Torsion]]:
    """Return the impropers of the atoms with three neighbours; the third index is the central atom."""
    impropers: list[tuple[Indices, Torsion]] = []
    for centre, near in enumerate(neighbours):
        if len(near) != 3:
            continue
        term = forcefield.impropers.get((*sorted(classes[i] for i in near), classes[centre]))
        if term is not None:
            first, second, last = _improper_order(near, classes, term.classes)
            impropers.append(((first, second, centre, last), term))
    return impropers


def _pair(i: int, j: int) -> tuple[int, int]:
    return min(i, j), max(i, j)


def _trans(angle: Indices, neighbours: list[list[int]]) -> bool:
    """Say whether an angle joins opposite ligands of a six-fold centre: the order of `ionmelt.liquid.ions.geometry`."""
    ligands = neighbours[angle[1]]
    return len(ligands) == 6 and ligands.index(angle[0]) // 2 == ligands.index(angle[2]) // 2


def _improper_order(near: list[int], classes: list[str], wanted: Classes) -> list[int]:
    """Return three neighbours in the order of the improper's outer classes (its first, second and fourth)."""
    left = list(near)
    order = []
    for outer in (wanted[0], wanted[1], wanted[3]):
        order.append(next(i for i in left if classes[i] == outer))
        left.remove(order[-1])
    return order
