"""Force fields of assets/forcefields: their parameters, and the terms that an ion has in them."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ionmelt.errors import UserError, reading
from ionmelt.files import digest, read_yaml, sha256
from ionmelt.topology import Ion

WAYS_OUT = "give the liquid's force_field the path of an OpenMM XML that has them, or force_field: xtb"

Indices = tuple[int, ...]
Classes = tuple[str, ...]


@dataclass(frozen=True)
class AtomType:
    """What an atom is to others: bonded terms know it by its class."""

    bonded_class: str
    charge_e: float
    sigma_A: float
    epsilon_kJ_mol: float


@dataclass(frozen=True)
class Bond:
    """k/2 (r - length)^2."""

    classes: Classes
    length_A: float
    k_kJ_mol_A2: float


@dataclass(frozen=True)
class Angle:
    """k/2 (theta - angle)^2; `cis_only` leaves the trans pairs of a six-fold centre out."""

    classes: Classes
    angle_deg: float
    k_kJ_mol_rad2: float
    cis_only: bool = False


@dataclass(frozen=True)
class Torsion:
    """V1/2 (1 + cos phi) + V2/2 (1 - cos 2 phi) + V3/2 (1 + cos 3 phi) + V4/2 (1 - cos 4 phi); impropers too."""

    classes: Classes
    V_kJ_mol: tuple[float, float, float, float]


@dataclass(frozen=True)
class ForceField:
    """Atom types by name and bonded terms by the classes of their atoms.

    Bonds, angles and torsions are keyed by their classes in both directions; impropers by the sorted outer classes and the central one.
    `coulomb_14` and `lennard_jones_14` scale the interactions of atoms three bonds apart.
    """

    name: str
    coulomb_14: float
    lennard_jones_14: float
    types: dict[str, AtomType] = field(default_factory=dict)
    bonds: dict[Classes, Bond] = field(default_factory=dict)
    angles: dict[Classes, Angle] = field(default_factory=dict)
    torsions: dict[Classes, Torsion] = field(default_factory=dict)
    impropers: dict[Classes, Torsion] = field(default_factory=dict)


def load_forcefield(path: str | Path) -> ForceField:
    """Return a force field of assets/forcefields; raises `UserError` where the file is none."""
    data = read_yaml(Path(path), "name", "scale_14", "sections")
    with reading(path, "a force field"):
        scale = data["scale_14"]
        forcefield = ForceField(data["name"], scale["coulomb"], scale["lennard_jones"])
        for section in data["sections"]:
            for name, entry in section.get("types", {}).items():
                parameters = {("bonded_class" if key == "class" else key): value for key, value in entry.items()}
                forcefield.types[name] = AtomType(**parameters)
            for bond in terms_of(section, "bonds", Bond):
                forcefield.bonds.update(both_ways(bond))
            for angle in terms_of(section, "angles", Angle):
                forcefield.angles.update(both_ways(angle))
            for torsion in terms_of(section, "torsions", Torsion):
                forcefield.torsions.update(both_ways(torsion))
            for improper in terms_of(section, "impropers", Torsion):
                a, b, centre, c = improper.classes
                forcefield.impropers[(*sorted((a, b, c)), centre)] = improper
    return forcefield


def force_field_digest(path: Path, ions: Sequence[Ion]) -> str:
    """Return what tells the force field of some ions from others: the sha256 of an OpenMM XML, or of the ions' parameters.

    Names and counts of the ions do not matter to a force field of assets/forcefields, and what it has for others does not.
    Raises `UserError` for a force field that lacks something.
    """
    if path.suffix != ".yaml":
        return sha256(path)
    forcefield = load_forcefield(path)
    parameters = [
        [ion["elements"], [asdict(forcefield.types[kind]) for kind in ion["types"] or ()], asdict(terms)]
        for ion in ions
        for terms in [ion_terms(ion, forcefield)]
    ]
    scale = [forcefield.coulomb_14, forcefield.lennard_jones_14]
    return digest({"scale_14": scale, "ions": sorted(parameters, key=json.dumps)})


Term = TypeVar("Term", Bond, Angle, Torsion)


def terms_of(section: Any, table: str, kind: type[Term]) -> list[Term]:
    """Return the terms of one table of a section of the file."""
    return [kind(**{**entry, "classes": tuple(entry["classes"])}) for entry in section.get(table, [])]


def both_ways(term: Term) -> dict[Classes, Term]:
    """Return a term by its classes in both directions."""
    return {term.classes: term, term.classes[::-1]: term}


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
    name, types = ion["name"], ion["types"]
    if types is None:
        raise UserError(f"ion {name} ({ion['smiles']}): {forcefield.name} has no parameters for it; {WAYS_OUT}")
    unknown = sorted({kind for kind in types if kind not in forcefield.types})
    if unknown:
        raise UserError(f"ion {name}: {forcefield.name} lacks types {', '.join(unknown)}; {WAYS_OUT}")
    classes = [forcefield.types[kind].bonded_class for kind in types]
    neighbours = neighbours_of(ion)
    bonds = [(i, j) for i, j in ion["bonds"]]
    angles = [(i, j, k) for j, near in enumerate(neighbours) for i, k in itertools.combinations(near, 2)]
    torsions = torsions_of(bonds, neighbours)
    missing: list[str] = []
    terms = IonTerms(
        bonds=found_terms("bond", bonds, classes, forcefield.bonds, missing),
        angles=[
            (atoms, term)
            for atoms, term in found_terms("angle", angles, classes, forcefield.angles, missing)
            if not (term.cis_only and _trans(atoms, neighbours))
        ],
        torsions=found_terms("torsion", torsions, classes, forcefield.torsions, missing),
        impropers=impropers_of(neighbours, classes, forcefield),
        excluded=sorted({_pair(i, j) for i, j in bonds} | {_pair(i, k) for i, _, k in angles}),
        pairs_14=[],
    )
    if missing:
        raise UserError(f"ion {name}: {forcefield.name} lacks {', '.join(sorted(set(missing)))}; {WAYS_OUT}")
    terms.pairs_14 = sorted({_pair(t[0], t[3]) for t in torsions} - set(terms.excluded))
    return terms


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


def found_terms(
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
