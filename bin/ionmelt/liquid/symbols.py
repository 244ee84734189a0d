"""Chemical names of ions and liquids: BF4⁻ and LiBF4, where a study says bf4 and libf4."""

from collections.abc import Mapping, Sequence
from math import gcd

from ionmelt.chemical_names import ChemicalNames
from ionmelt.liquid.ions import LibraryIon
from ionmelt.liquid.settings import BoxIon

RAISED = str.maketrans("123456789", "¹²³⁴⁵⁶⁷⁸⁹")


def symbol(name: str, library: Mapping[str, LibraryIon]) -> str:
    """Return an ion of the library as it is written without its charge; one of the user's keeps its name."""
    return library[name].get("symbol", name.upper()) if name in library else name


def with_charge(text: str, charge: int) -> str:
    """Return a name with its charge, such as Mg²⁺; a neutral one as it is."""
    if not charge:
        return text
    return text + (str(abs(charge)).translate(RAISED) if abs(charge) > 1 else "") + ("⁺" if charge > 0 else "⁻")


def salt(ions: Sequence[BoxIon], library: Mapping[str, LibraryIon]) -> str | None:
    """Return the formula of a salt of one cation and one anion, such as MgCl2 or Mg(BF4)2; None of any other liquid."""
    if len(ions) != 2 or ions[0].charge * ions[1].charge >= 0:
        return None
    cation, anion = sorted(ions, key=lambda ion: -ion.charge)
    common = gcd(cation.count, anion.count)
    return "".join(repeated(symbol(ion.name, library), ion.count // common) for ion in (cation, anion))


def repeated(text: str, number: int) -> str:
    """Return a part of a formula, so many times."""
    if number == 1:
        return text
    return f"({text}){number}" if any(letter.isdigit() for letter in text) or len(text) > 2 else f"{text}{number}"


def names_of(liquids: Mapping[str, Sequence[BoxIon]], library: Mapping[str, LibraryIon]) -> ChemicalNames:
    """Return how the liquids, given by their ions, are written; a liquid whose name is not its formula keeps the user's name."""
    ions = {ion.name: with_charge(symbol(ion.name, library), ion.charge) for box in liquids.values() for ion in box}
    formulas = {name: salt(box, library) for name, box in liquids.items()}
    return ChemicalNames(
        ions=ions, liquids={name: text for name, text in formulas.items() if text and is_formula(name, text)}
    )


def is_formula(name: str, formula: str) -> bool:
    """Tell whether the name of a liquid is its formula, in small letters, perhaps with its ions set apart."""
    return name.replace("_", "").replace("-", "") == formula.lower()
