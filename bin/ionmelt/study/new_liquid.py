"""The liquid of a study to begin with, from what a command line says of its ions, molecules and concentration."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, gcd, isfinite
from typing import Any

from ionmelt.errors import UserError
from ionmelt.liquid.ions import LibraryIon, canonical, charge_of, resolve
from ionmelt.liquid.names import identified, unknown
from ionmelt.liquid.settings import MOST_OF_A_KIND, Composition
from ionmelt.mistakes import KEY, NAME_WORDS, brief, listed
from ionmelt.study.composition import CompositionError, Part, moles

PAIRS = 4  # of a trial: seconds a label
PAIRS_ATOMS = 40  # that they have at least: a box of four pairs of atoms holds no cut-off
ATOMS = 150  # of a trial whose concentration is given, or what one of the rarest ion needs
CONCENTRATIONS = ("molality", "molarity")
GUESS_KG_M3 = 1200  # what a study takes where it gives none
MOSTLY = 0.5  # of its mass: above it a solution has rather the density of its solvent
DENSITY_OF_MOLARITY = (
    f"# density_guess_kg_m3: {GUESS_KG_M3}   # the molarity is of this density: give that of the solution"
)
FORMS = "NAME, NAME:COUNT, NAME=SMILES or NAME=SMILES:COUNT, with commas between"


@dataclass(frozen=True)
class Given:
    """An ion or a molecule as it was given; `smiles` is None for those of the library, and `count` 0 where none was given."""

    name: str
    smiles: str | None
    charge: int
    count: int
    words: str

    @property
    def value(self) -> str:
        """Return its count, with its SMILES where the library does not have it, as the study file has them."""
        return f"{{smiles: {json.dumps(self.smiles)}, count: {self.count}}}" if self.smiles else str(self.count)

    def ingredient(self, library: Mapping[str, LibraryIon]) -> Part:
        """Return its charge, mass and atoms."""
        smiles = self.smiles or library[self.name]["smiles"]
        one = {"name": self.name, "smiles": smiles, "count": 1, "types": None, "hydrogen_types": None}
        ion = resolve(one, {})
        return Part(self.charge, sum(ion["masses_u"]), len(ion["elements"]))


def words_of(text: str, library: Mapping[str, LibraryIon]) -> list[str]:
    """Return the words between the commas of a text; a comma in a name of the library, as in Pyr1,4 and P6,6,6,14, divides nothing."""
    pieces = [piece.strip() for piece in text.split(",")]
    words = []
    while pieces:
        # the comma of a name stands before a number, or the name does not go on without it: N,N-dimethylpyrrolidinium
        joined = [",".join(pieces[:number]) for number in range(len(pieces), 1, -1)]
        if len(pieces) > 1 and identified(pieces[0], library) and not pieces[1][:1].isdigit():
            joined = []
        named = (word for word in joined if identified(re.sub(r":\d*$", "", word), library))
        words.append(next(named, pieces[0]))
        pieces = pieces[words[-1].count(",") + 1 :]
    return list(filter(None, words))


def read_given(text: str, option: str, library: Mapping[str, LibraryIon]) -> tuple[list[Given], list[str]]:
    """Return the ions (`option` --ions) or molecules (--molecules) that a text gives, and a line for each mistake."""
    right: list[Given] = []
    lines: list[str] = []
    for word in words_of(text, library):
        try:
            one = given_by(word, option == "--ions", library)
            if any(one.name == other.name for other in right):
                raise UserError(f"{word}: is {one.name}, which is given before: give it once")
            right.append(one)
        except UserError as error:
            lines.append(f"{option}: {'; '.join(error.errors)}")
    if not (right or lines):
        lines.append(f"{option}: {brief(text)}: give {FORMS}")
    return right, lines


def given_by(word: str, charged: bool, library: Mapping[str, LibraryIon]) -> Given:
    """Return the ion (`charged`) or molecule of a word such as ``emim:4`` or ``ea=CC[NH3+]:4``; raises `UserError`."""
    text, colon, number = word.rpartition(":")
    count = int(number) if colon and number.isascii() and number.isdigit() else 0
    written, equals, smiles = (text if count else word).partition("=")
    if equals and re.fullmatch(KEY, written) and smiles:
        try:
            charge, name, words = charge_of(smiles), written, full_name(written, smiles, library)
        except UserError as error:
            raise UserError(f"{written}: {'; '.join(error.errors).removeprefix('ions: ')}") from error
    else:
        key = identified(text if colon else word, library)
        if colon and key and not count:
            raise UserError(f"{word}: give NAME:COUNT with a whole number")
        if key is None and not equals and identified(word.partition(":")[0].strip("\"' "), library):  # ec:20 dmc:20
            raise UserError(f"{brief(word)}: give {FORMS}")
        if key is None:
            raise UserError(unknown_word(written if equals else word.partition(":")[0], bool(equals), charged, library))
        charge, name, words, smiles = library[key]["charge"], key, library[key]["full_name"], ""
    if bool(charge) != charged:
        kind = (
            f"has the charge {charge:+d}: give it under --ions" if charge else "is neutral: give it under --molecules"
        )
        raise UserError(f"{name}: {kind}")
    return Given(name, smiles or None, charge, count, words)


def full_name(written: str, smiles: str, library: Mapping[str, LibraryIon]) -> str:
    """Return the name in words of a SMILES: that of the library where it has the same, else the one that was given."""
    same = (entry["full_name"] for entry in library.values() if canonical(entry["smiles"]) == canonical(smiles))
    return next(same, written)


def unknown_word(written: str, has_smiles: bool, charged: bool, library: Mapping[str, LibraryIon]) -> str:
    """Return what to say of a word that is neither a name of the library nor a name with a SMILES."""
    if has_smiles:
        return f"{brief(written)}: give NAME=SMILES, the name of {NAME_WORDS}"
    example = "ea=CC[NH3+]" if charged else "dec=CCOC(=O)OCC"
    return f"{written}: {unknown(written, library, charged, f'NAME=SMILES, such as {example}')}"


def liquid_lines(
    ions: str,
    molecules: str,
    concentration: tuple[str, float] | None,
    library: Mapping[str, LibraryIon],
    atoms: int | None,
    densities: Mapping[str, float],
) -> tuple[list[str], list[str], str]:
    """Return the lines of a study that say what the liquid is made of, the names, and the liquid in words.

    `concentration` is molality or molarity, with its value; `atoms`: about how many, None for those of a trial. Where either is given,
    counts are parts. `densities`: what was measured of molecules of the library (kg/m3). Raises `UserError`, a line for each mistake.
    """
    salt, mistakes = read_given(ions, "--ions", library) if ions else ([], [])
    solvent, more = read_given(molecules, "--molecules", library) if molecules else ([], [])
    mistakes += more
    if concentration and not (isfinite(concentration[1]) and concentration[1] > 0):
        mistakes.append(f"--{concentration[0]}: {concentration[1]:g}: give a number above 0")
    if not mistakes and concentration and not (salt and solvent):
        mistakes = [f"--{concentration[0]}: is of ions in molecules: give --ions li,pf6 --molecules ec:1,dmc:1"]
    parts_only = concentration is not None or atoms is not None
    if not mistakes and not parts_only:
        mistakes = uncounted(salt, solvent)
    if not mistakes:
        salt, mistakes = counted(salt, 1 if parts_only else pairs_of(salt, library))
    if mistakes:
        raise UserError(*mistakes)
    if parts_only:
        salt, solvent = in_lowest_terms(salt, solvent, concentration is not None)
    if concentration:
        size = atoms or max(ATOMS, least_atoms(salt, solvent, *concentration, library))
        lines = by_concentration(salt, solvent, *concentration, size)
    else:
        if atoms:
            salt, solvent = of_size(salt, solvent, atoms, library)
        lines = by_number(salt, solvent)
    if concentration and concentration[0] == "molarity":
        lines.append(DENSITY_OF_MOLARITY)
    else:
        lines.append(density_line(salt, solvent, concentration, library, densities))
    parts = [*salt, *solvent]
    return lines, [one.name for one in parts], listed([one.words for one in parts])


def uncounted(salt: Sequence[Given], solvent: Sequence[Given]) -> list[str]:
    """Return a line for each molecule of which nothing says how many there are, and for ions beside molecules that have their numbers."""
    mistakes = [
        f"--molecules: {one.name}: how many? give {one.name}:10; or --molality or --molarity of the ions"
        if salt
        else f"--molecules: {one.name}: how many? give {one.name}:10, or --atoms"
        for one in solvent
        if not one.count
    ]
    pair, _ = counted(list(salt), 10)
    if not mistakes and solvent and pair != list(salt):
        names, numbers = ",".join(one.name for one in salt), ",".join(f"{one.name}:{one.count}" for one in pair)
        said = f"--ions: {names}: how many beside the molecules? give {numbers}; or --molality or --molarity"
        mistakes.append(said)
    return mistakes


def pairs_of(salt: Sequence[Given], library: Mapping[str, LibraryIon]) -> int:
    """Return how many formula units two ions without counts are in a trial: `PAIRS`, or more where they are small."""
    pair, _ = counted(list(salt), 1)
    unit = sum(one.count * one.ingredient(library).atoms for one in pair)
    return max(PAIRS, ceil(PAIRS_ATOMS / max(unit, 1)))


def in_lowest_terms(salt: Sequence[Given], solvent: Sequence[Given], apart: bool) -> tuple[list[Given], list[Given]]:
    """Return parts in lowest terms, those of the salt `apart` from those of the solvent, or all together; one that has no number is one part."""
    salt, solvent = ([replace(one, count=one.count or 1) for one in given] for given in (salt, solvent))
    all_of_them = gcd(*(one.count for one in (*salt, *solvent)))
    of_salt, of_solvent = (gcd(*(one.count for one in given)) if apart else all_of_them for given in (salt, solvent))
    return (
        [replace(one, count=one.count // of_salt) for one in salt],
        [replace(one, count=one.count // of_solvent) for one in solvent],
    )


def of_size(
    salt: Sequence[Given], solvent: Sequence[Given], atoms: int, library: Mapping[str, LibraryIon]
) -> tuple[list[Given], list[Given]]:
    """Return as many times the parts of a liquid as about so many atoms hold; raises `UserError` where that is more than a study takes."""
    unit = sum(one.count * one.ingredient(library).atoms for one in (*salt, *solvent))
    times = max(1, round(atoms / unit))
    most = max(one.count for one in (*salt, *solvent))
    if times * most > MOST_OF_A_KIND:
        raise UserError(f"--atoms: {atoms}: give {MOST_OF_A_KIND // most * unit} or less")
    salt, solvent = ([replace(one, count=times * one.count) for one in given] for given in (salt, solvent))
    return salt, solvent


def least_atoms(
    salt: Sequence[Given], solvent: Sequence[Given], kind: str, amount: float, library: Mapping[str, LibraryIon]
) -> int:
    """Return the atoms of a box that holds one of the rarest of a solution; 0 where the concentration cannot be, which the plan says."""
    parts = {one.name: one.ingredient(library) for one in (*salt, *solvent)}
    try:
        amounts = amounts_of(salt, solvent, kind, amount, parts)
    except CompositionError:
        return 0
    return ceil(sum(amounts[name] * parts[name].atoms for name in parts) / min(amounts.values()))


def amounts_of(
    salt: Sequence[Given], solvent: Sequence[Given], kind: str, amount: float, parts: Mapping[str, Part]
) -> dict[str, float]:
    """Return the moles of each part of a solution, up to a factor; raises `CompositionError` where the concentration cannot be."""
    salt_amounts, solvent_parts = (
        {one.name: one.count * amount for one in salt},
        {one.name: one.count for one in solvent},
    )
    fields: dict[str, Any] = {kind: salt_amounts, "solvent": solvent_parts, "atoms": ATOMS}
    return moles(Composition.model_construct(**fields), parts, GUESS_KG_M3)


def density_line(
    salt: Sequence[Given],
    solvent: Sequence[Given],
    concentration: tuple[str, float] | None,
    library: Mapping[str, LibraryIon],
    densities: Mapping[str, float],
) -> str:
    """Return the line of the density: that of the solvent, by mass, where it is most of the liquid and all of it was measured."""
    parts = {one.name: one.ingredient(library) for one in (*salt, *solvent)}
    numbers = {one.name: float(one.count) for one in (*salt, *solvent)}
    amounts = amounts_of(salt, solvent, *concentration, parts) if concentration else numbers
    grams = {name: amount * parts[name].mass_u for name, amount in amounts.items()}
    of_solvent = sum(grams[one.name] for one in solvent)
    guess, whose = GUESS_KG_M3, ""
    if densities.keys() >= {one.name for one in solvent} and of_solvent > MOSTLY * sum(grams.values()):
        guess = round(of_solvent / sum(grams[one.name] / densities[one.name] for one in solvent))
        whose = "as measured of the molecules alone; "
    return f"density_guess_kg_m3: {guess}     # {whose}only sizes the first box; the melting finds the real one"


def counted(salt: list[Given], units: int) -> tuple[list[Given], list[str]]:
    """Return ions with how many there are of each, and the mistakes; two without counts are of so many formula units."""
    if not salt or all(one.count for one in salt):
        return salt, []
    names = ",".join(one.name for one in salt)
    if len(salt) != 2 or any(one.count for one in salt):
        return salt, [f"--ions: {names}: give two ions, such as emim,bf4, or how many of each: li:1,pyr14:3,tfsi:4"]
    first, second = salt
    if first.charge * second.charge >= 0:
        return salt, [f"--ions: {names}: both have a charge of the same sign: give a cation and an anion"]
    common = gcd(first.charge, second.charge)
    counts = units * abs(second.charge) // common, units * abs(first.charge) // common
    return [replace(one, count=count) for one, count in zip(salt, counts, strict=True)], []


def by_number(salt: Sequence[Given], solvent: Sequence[Given]) -> list[str]:
    """Return the lines of a liquid that is given by the numbers in its box."""
    lines = [
        f"{kind}: {{{', '.join(f'{one.name}: {one.value}' for one in given)}}}"
        for kind, given in (("ions", salt), ("molecules", solvent))
        if given
    ]
    size = "20 pairs or more; 80 where diffusion is asked for" if salt and not solvent else "500 atoms or more; 2000 where diffusion is asked for"  # fmt: skip
    return [*lines[:-1], f"{lines[-1]}      # real: a box of {size}"]


def by_concentration(
    salt: Sequence[Given], solvent: Sequence[Given], kind: str, amount: float, atoms: int
) -> list[str]:
    """Return the lines of a liquid that is given by a molality or molarity of its salt, and the parts of its solvent."""
    ions = ", ".join(f"{one.name}: {one.count * amount:g}" for one in salt)
    parts = ", ".join(f"{one.name}: {one.count or 1}" for one in solvent)
    smiles = ", ".join(f"{one.name}: {json.dumps(one.smiles)}" for one in (*salt, *solvent) if one.smiles)
    return [
        "composition:",
        f"  {kind}: {{{ions}}}",
        f"  solvent: {{{parts}}}      # by moles; solvent_parts: mass where they are by mass",
        *([f"  smiles: {{{smiles}}}"] if smiles else []),
        f"  atoms: {atoms}      # real: 500 or more; 2000 where diffusion is asked for",
    ]
