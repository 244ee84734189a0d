"""The ions and molecules of a liquid as its study gives them, by numbers or by concentrations."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ionmelt.errors import UserError
from ionmelt.liquid.ions import LibraryIon, alike, canonical, charge_of, resolve
from ionmelt.liquid.names import identified, unknown
from ionmelt.liquid.settings import BoxIon, IonSmiles, Liquid
from ionmelt.mistakes import KEY, NAME_WORDS, brief
from ionmelt.study.composition import CompositionError, Part, box_counts, moles, names_in
from ionmelt.study.reading import Problems
from ionmelt.topology import Ion as ResolvedIon

# How a study gives an ion or molecule that the library does not have, by the field that names it.
WAYS_TO_GIVE_SMILES = {
    "ions": "{smiles: ..., count: ...}",
    "molecules": "{smiles: ..., count: ...}",
    "composition": "its SMILES under composition.smiles",
}
PLACES_OF_IONS = {
    "molecules": "put it under ions",
    "composition": "a solvent is neutral: put it with the other ions",
}


@dataclass(frozen=True)
class Member:
    """An ion or a molecule as a study gives it: `loc` says where in the liquid, `name` is what tables call it."""

    loc: tuple[str, ...]
    written: str
    name: str
    smiles: str
    charge: int
    entry: LibraryIon | None  # of the library

    @property
    def words(self) -> str:
        """What it was taken as."""
        return f"taken as {self.name}" + (f", {self.entry['full_name']}" if self.entry else "")

    def resolved(self, count: int, library: Mapping[str, LibraryIon]) -> tuple[BoxIon, ResolvedIon]:
        """Return so many of it as the plan holds them, and with their atoms; raises `UserError` where its SMILES is wrong."""
        types = self.entry["types"] if self.entry else None
        hydrogen_types = self.entry["hydrogen_types"] if self.entry else None
        fields = {
            "name": self.name, "smiles": self.smiles, "count": count, "types": types, "hydrogen_types": hydrogen_types,
        }  # fmt: skip
        return BoxIon.model_validate(fields | {"charge": self.charge}), resolve(fields, library)

    def library_name(self, library: Mapping[str, LibraryIon]) -> str:
        """Return what the library calls it, where that has it, too; else its own name."""
        if self.name in library:
            return self.name
        same = (name for name, entry in library.items() if canonical(entry["smiles"]) == canonical(self.smiles))
        return next(same, self.name)


@dataclass
class Members:
    """The ions and molecules of a liquid that are right, by what the study calls them; what is wrong is noted."""

    library: Mapping[str, LibraryIon]
    loc: tuple[Any, ...]  # of the liquid
    problems: Problems
    right: dict[str, Member] = field(default_factory=dict)
    mistakes: int = 0

    def refuse(self, loc: tuple[Any, ...], text: str) -> None:
        """Note a mistake."""
        self.mistakes += 1
        self.problems.add((*self.loc, *loc), text)

    def add(self, loc: tuple[str, ...], written: str, smiles: str | None, charged: bool | None) -> None:
        """Add an ion (`charged`), a molecule (not), or either (None), by its name, or by a name of the study's and a SMILES."""
        name = written if smiles is not None else identified(written, self.library)
        if name is None:
            self.refuse(loc, unknown(written, self.library, charged is not False, WAYS_TO_GIVE_SMILES[loc[0]]))
            return
        if smiles is not None and not re.fullmatch(KEY, name):
            self.refuse(loc, f"{brief(name)}: give {NAME_WORDS}")
            return
        entry = self.library[name] if smiles is None else None
        structure = entry["smiles"] if entry else smiles or ""
        try:
            charge = charge_of(structure)
        except UserError as error:
            self.refuse(loc, "; ".join(error.errors).removeprefix("ions: "))
            return
        if smiles is not None and name in self.library and not alike(smiles, self.library[name]["smiles"]):
            said = (
                f"is the name of {self.library[name]['full_name']}, which smiles {smiles!r} is not: give another name"
            )
            self.refuse(loc, said)
            return
        if charged is not None and bool(charge) != charged:
            kind = (
                f"is an ion of charge {charge:+d}: {PLACES_OF_IONS[loc[0]]}"
                if charge
                else "is neutral: put it under molecules"
            )
            self.refuse(loc, f"{name} {kind}")
        elif same := [member for member in self.right.values() if member.name == name]:
            self.refuse(loc, f"is {name}, which {same[0].written} is, too: give it once")
        else:
            self.right[written] = Member(loc, written, name, structure, charge, entry)


def by_count(liquid: Liquid, members: Members) -> dict[str, int]:
    """Return the numbers of the ions and molecules of a liquid that gives them, by its names."""
    counts = {}
    for kind, charged, given in (("ions", True, liquid.ions), ("molecules", False, liquid.molecules)):
        for written, value in (given or {}).items():
            members.add((kind, written), written, value.smiles if isinstance(value, IonSmiles) else None, charged)
            counts[written] = value.count if isinstance(value, IonSmiles) else value
    return counts


def by_concentration(liquid: Liquid, members: Members) -> dict[str, int]:
    """Return the numbers of the ions and molecules in the box that comes nearest to the concentrations of a liquid."""
    composition = liquid.composition
    assert composition is not None
    if liquid.ions or liquid.molecules:
        members.refuse(("composition",), "ions or molecules are given by numbers, too: give one or the other")
        return {}
    try:
        for kind, name in names_in(composition):
            # what the mole fractions hold may be either; the solvent is neutral, what is dissolved may be neutral, too
            members.add(
                ("composition", kind, name), name, composition.smiles.get(name), False if kind == "solvent" else None
            )
        if members.mistakes or liquid.density_guess_kg_m3 is None:
            return {}
        if idle := [name for name in composition.smiles if name not in members.right]:
            members.refuse(
                ("composition", "smiles", idle[0]), "is nothing of the composition: say how much, or leave it out"
            )
            return {}
        parts = parts_of(members)
        return box_counts(moles(composition, parts, liquid.density_guess_kg_m3), parts, composition.atoms)
    except CompositionError as error:
        members.mistakes += 1
        if not members.problems.within((*members.loc, "composition")):  # what is wrong there may be what is missing
            members.refuse(("composition", error.field) if error.field else ("composition",), str(error))
        return {}


def parts_of(members: Members) -> dict[str, Part]:
    """Return charge, mass and atoms of each ion and molecule, by the names of the study."""
    parts = {}
    for written, member in members.right.items():
        _, ion = member.resolved(1, members.library)
        parts[written] = Part(member.charge, sum(ion["masses_u"]), len(ion["elements"]))
    return parts
