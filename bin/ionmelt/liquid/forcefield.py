"""Force fields of assets/forcefields: their parameters."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ionmelt.errors import reading
from ionmelt.files import read_yaml

WAYS_OUT = "give force_field: openff, the path of an OpenMM XML that has them, or force_field: xtb"

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
    `coulomb_14` and `lennard_jones_14` scale the interactions of atoms three bonds apart, `charge_scale` the charges of ions.
    """

    name: str
    coulomb_14: float
    lennard_jones_14: float
    charge_scale: float = 1.0  # of the ions; neutral molecules keep their charges
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
        forcefield = ForceField(data["name"], scale["coulomb"], scale["lennard_jones"], data.get("charge_scale", 1.0))
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


def rb_coefficients(
    v_kj_mol: tuple[float, float, float, float],
) -> tuple[float, float, float, float, float, float]:
    """Return the six Ryckaert-Bellemans coefficients of an OPLS torsion V1..V4 (trans at 180 degrees)."""
    v1, v2, v3, v4 = v_kj_mol
    return (v2 + (v1 + v3) / 2, (3 * v3 - v1) / 2, 4 * v4 - v2, -2 * v3, -4 * v4, 0.0)


Term = TypeVar("Term", Bond, Angle, Torsion)


def terms_of(section: Any, table: str, kind: type[Term]) -> list[Term]:
    """Return the terms of one table of a section of the file."""
    return [kind(**{**entry, "classes": tuple(entry["classes"])}) for entry in section.get(table, [])]


def both_ways(term: Term) -> dict[Classes, Term]:
    """Return a term by its classes in both directions."""
    return {term.classes: term, term.classes[::-1]: term}
