"""The boxes of a study's liquids: what is known of them before they are built."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ase.units import kg

from ionmelt.errors import UserError
from ionmelt.liquid.ions import LibraryIon, alike
from ionmelt.liquid.names import identified
from ionmelt.liquid.settings import BoxIon, Liquid
from ionmelt.liquid.symbols import salt, symbol
from ionmelt.study.composition import farthest, moles, said
from ionmelt.study.members import Members, by_concentration, by_count, parts_of
from ionmelt.study.reading import Problems
from ionmelt.topology import Ion as ResolvedIon
from ionmelt.topology import how_many

EQUILIBRATION_TIMESTEP_FS, XTB_TIMESTEP_FS = 2.0, 1.0  # what auto means; with xtb no bond is held fixed: no longer step


@dataclass
class Box:
    """What is known of a liquid's box before it is built: its ions are all its molecules, the neutral ones among them."""

    ions: tuple[BoxIon, ...]
    molecules: tuple[ResolvedIon, ...]  # the same with their atoms and bonds
    atoms: int
    mass_u: float
    charge: int
    untyped: list[str]
    edge_A: float | None
    elements: frozenset[str]
    taken: dict[
        tuple[str, ...], str
    ]  # fields whose names are not the library's own, with what they were taken as, in words
    concentrations: str  # what it has of the concentrations that the study asks for, in words
    farthest: tuple[str, float] | None  # which of them it is farthest off, and by how much of its mole fraction
    library_names: dict[str, str]  # what the library calls each, under which measured values are known
    formula: str  # of a salt of two ions, or of a molecule alone; else empty
    of_metals: bool  # every cation is a single atom
    sources: dict[str, str] = field(
        default_factory=dict
    )  # of the force field of each ion and molecule, by its name; none for xtb

    @property
    def size(self) -> str:
        """How much liquid the box holds, in the words of its kind: ion pairs where there is nothing else, or molecules and ions."""
        if {abs(ion.charge) for ion in self.ions} == {1} and not self.charge:
            return f"{sum(ion.count for ion in self.ions) // 2} ion pairs"
        neutral = sum(ion.count for ion in self.ions if not ion.charge)
        return how_many(sum(ion.count for ion in self.ions) - neutral, neutral)

    @property
    def counts(self) -> dict[str, int]:
        """The number of each ion, by its name."""
        return {ion.name: ion.count for ion in self.ions}

    @property
    def library_counts(self) -> dict[str, int]:
        """The number of each ion, by the library's name, which two names of the study may share."""
        numbers: Counter[str] = Counter()
        for name, count in self.counts.items():
            numbers[self.library_names[name]] += count
        return dict(numbers)

    def text(self, liquid: Liquid) -> str:
        """Return what the box of a liquid is, on a line."""
        parts = ", ".join(f"{ion.count} {ion.name}" for ion in self.ions)
        edge = f", {self.edge_A:.1f} A at {liquid.density_guess_kg_m3:g} kg/m3" if self.edge_A else ""
        asked = f"; {self.concentrations}" if self.concentrations else ""
        return f"{liquid.id}: {parts}: {self.atoms} atoms{edge}{asked}"


def describe_box(
    liquid: Liquid, loc: tuple[Any, ...], library: Mapping[str, LibraryIon], problems: Problems
) -> Box | None:
    """Return what a liquid's composition says about its box, or None where an ion is wrong; `library`: the ions of assets."""
    members = Members(library, loc, problems)
    counts = counts_of(liquid, members)
    pairs = resolved(counts, members, library)
    if members.mistakes or not counts:
        return None
    ions, molecules = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    mass = sum(sum(ion["masses_u"]) * ion["count"] for ion in molecules)
    edge = edge_A(mass, liquid.density_guess_kg_m3)
    names = {member.name: member.library_name(library) for member in members.right.values()}
    asked = liquid.composition
    return Box(
        ions=tuple(ions),
        molecules=tuple(molecules),
        atoms=sum(len(ion["elements"]) * ion["count"] for ion in molecules),
        mass_u=mass,
        charge=sum(ion.charge * ion.count for ion in ions),
        untyped=[ion["name"] for ion in molecules if ion["types"] is None],
        edge_A=edge,
        elements=frozenset().union(*(ion["elements"] for ion in molecules)),
        library_names=names,
        formula=formula(ions, names, library),
        of_metals=all(len(ion["elements"]) == 1 for ion in molecules if ion["charge"] > 0),
        taken=taken_as(members),
        concentrations=said(asked, counts, parts_of(members), edge**3) if asked and edge else "",
        farthest=farthest(counts, moles(asked, parts_of(members), liquid.density_guess_kg_m3))
        if asked and edge
        else None,
    )


def taken_as(members: Members) -> dict[tuple[str, ...], str]:
    """Return the fields whose names are not the library's own, or mean something else there, with that in words."""
    taken = {}
    for member in members.right.values():
        other = identified(member.name, members.library)
        if member.written != member.name:
            taken[member.loc] = member.words
        elif other and not alike(member.smiles, members.library[other]["smiles"]):
            taken[member.loc] = (
                f"its smiles is not that of {other}, {members.library[other]['full_name']}, which it is another name of"
            )
    return taken


def formula(ions: Sequence[BoxIon], names: Mapping[str, str], library: Mapping[str, LibraryIon]) -> str:
    """Return the formula of a salt of two ions, or of a molecule alone, by the library's names of them; else nothing."""
    parts = [ion.model_copy(update={"name": names[ion.name]}) for ion in ions]
    return symbol(parts[0].name, library) if len(parts) == 1 else salt(parts, library) or ""


def counts_of(liquid: Liquid, members: Members) -> dict[str, int]:
    """Return the number of each ion and molecule as it is written, by numbers or by concentrations; a liquid of nothing is refused."""
    counts = by_concentration(liquid, members) if liquid.composition else by_count(liquid, members)
    nothing = not (liquid.ions or liquid.molecules or liquid.composition)
    wrong = any(members.problems.within((*members.loc, kind)) for kind in ("ions", "molecules", "composition"))
    if nothing and not wrong:
        members.refuse(("ions",), "missing: give ions, molecules or both with numbers; or a composition")
    return counts


def resolved(
    counts: Mapping[str, int], members: Members, library: Mapping[str, LibraryIon]
) -> list[tuple[BoxIon, ResolvedIon]]:
    """Return each ion as the plan holds it and with its atoms; those that are wrong are refused."""
    pairs = []
    for written, number in counts.items() if not members.mistakes else ():
        member = members.right[written]
        try:
            pairs.append(member.resolved(number, library))
        except UserError as error:
            members.refuse(member.loc, "; ".join(error.errors).removeprefix("ions: "))
    return pairs


def edge_A(mass_u: float, density_kg_m3: float | None) -> float | None:
    """Return the edge of a cubic box of some density; None where the density is wrong."""
    return (mass_u * 1e30 / kg / density_kg_m3) ** (1 / 3) if density_kg_m3 else None


def size_field(liquid: Liquid) -> tuple[str, ...]:
    """Return the field of a liquid that says how large its box is."""
    if liquid.composition:
        return ("composition", "atoms")
    return ("ions",) if liquid.ions or not liquid.molecules else ("molecules",)


def neutral_fix(box: Box) -> str:
    """Return counts that would make a box neutral, in words."""
    positive = [ion for ion in box.ions if ion.charge > 0]
    negative = [ion for ion in box.ions if ion.charge < 0]
    few = negative if box.charge > 0 else positive
    if not few:
        return "add an ion of the opposite charge"
    ion = few[0]
    more, left = divmod(abs(box.charge), abs(ion.charge))
    if left:
        return "change the counts until they sum to 0"
    return f"{ion.count + more} of {ion.name} would make it neutral"


def equilibration_step_fs(timestep_fs: Any, force_field: Any) -> float:
    """Return the time step of a liquid's equilibration: the given one, or what auto means."""
    if timestep_fs != "auto":
        return float(timestep_fs)
    return XTB_TIMESTEP_FS if force_field == "xtb" else EQUILIBRATION_TIMESTEP_FS


def repeated(values: list[Any]) -> list[Any]:
    """Return the values that occur more than once."""
    return [value for value, times in Counter(values).items() if times > 1]
