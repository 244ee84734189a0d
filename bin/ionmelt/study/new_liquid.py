"""The liquid of a study to begin with, from what a command line says of its ions, molecules and concentration."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd

from ionmelt.errors import UserError
from ionmelt.liquid.ions import LibraryIon, canonical, charge_of, parse
from ionmelt.liquid.names import identified, unknown
from ionmelt.mistakes import KEY, NAME_WORDS, brief, listed

PAIRS = 4  # of a trial: seconds a label
ATOMS = 150  # of a trial whose concentration is given
CONCENTRATIONS = ("molality", "molarity")
DENSITY = "density_guess_kg_m3: 1200     # only sizes the first box; the melting finds the real one"
DENSITY_OF_MOLARITY = "# density_guess_kg_m3: 1200   # the molarity is of this density: give that of the solution"
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


def read_given(text: str, option: str, library: Mapping[str, LibraryIon]) -> tuple[list[Given], list[str]]:
    """Return the ions (`option` --ions) or molecules (--molecules) that a text gives, and a line for each mistake."""
    right: list[Given] = []
    lines: list[str] = []
    for word in filter(None, map(str.strip, text.split(","))):
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
) -> tuple[list[str], list[str], str]:
    """Return the lines of a study that say what the liquid is made of, the names, and the liquid in words.

    `concentration` is molality or molarity, with its value; `atoms`: about how many, None for those of a trial. Raises `UserError`, a
    line for each mistake.
    """
    salt, mistakes = read_given(ions, "--ions", library) if ions else ([], [])
    solvent, more = read_given(molecules, "--molecules", library) if molecules else ([], [])
    mistakes += more
    if not mistakes and concentration and not (salt and solvent):
        mistakes = [f"--{concentration[0]}: is of ions in molecules: give --ions li,pf6 --molecules ec:1,dmc:1"]
    if not mistakes and atoms and not concentration and (solvent or len(salt) != 2 or any(one.count for one in salt)):
        mistakes = [
            "--atoms: is of two ions without counts, or with --molality or --molarity: leave it out, or the counts"
        ]
    if not mistakes:
        units = units_of(salt, concentration is not None, atoms, library)
        salt, mistakes = counted(salt, units)
    if not mistakes and not concentration:
        mistakes = [
            f"--molecules: {one.name}: how many? give {one.name}:10; or --molality or --molarity of the ions"
            for one in solvent
            if not one.count
        ]
    if mistakes:
        raise UserError(*mistakes)
    parts = [*salt, *solvent]
    lines = (
        by_concentration(salt, solvent, *concentration, atoms or ATOMS) if concentration else by_number(salt, solvent)
    )
    return lines, [one.name for one in parts], listed([one.words for one in parts])


def units_of(salt: Sequence[Given], dissolved: bool, atoms: int | None, library: Mapping[str, LibraryIon]) -> int:
    """Return how many formula units two ions without counts are: one where they are dissolved, as many as `atoms` hold, or `PAIRS`."""
    if dissolved or not atoms:
        return 1 if dissolved else PAIRS
    first, second = (parse(one.smiles or library[one.name]["smiles"]).GetNumAtoms() for one in salt)
    common = gcd(salt[0].charge, salt[1].charge)
    unit = (first * abs(salt[1].charge) + second * abs(salt[0].charge)) / common
    return max(1, round(atoms / unit))


def counted(salt: list[Given], units: float) -> tuple[list[Given], list[str]]:
    """Return ions with how many there are of each, and the mistakes; two without counts are of so many formula units (`units_of`)."""
    if not salt or all(one.count for one in salt):
        return salt, []
    names = ",".join(one.name for one in salt)
    if len(salt) != 2 or any(one.count for one in salt):
        return salt, [f"--ions: {names}: give two ions, such as emim,bf4, or how many of each: li:1,pyr14:3,tfsi:4"]
    first, second = salt
    if first.charge * second.charge >= 0:
        return salt, [f"--ions: {names}: both have a charge of the same sign: give a cation and an anion"]
    common = gcd(first.charge, second.charge)
    counts = int(units * abs(second.charge) / common), int(units * abs(first.charge) / common)
    return [replace(one, count=count) for one, count in zip(salt, counts, strict=True)], []


def by_number(salt: Sequence[Given], solvent: Sequence[Given]) -> list[str]:
    """Return the lines of a liquid that is given by the numbers in its box."""
    lines = [
        f"{kind}: {{{', '.join(f'{one.name}: {one.value}' for one in given)}}}"
        for kind, given in (("ions", salt), ("molecules", solvent))
        if given
    ]
    size = "20 pairs or more; 80 where diffusion is asked for" if salt and not solvent else "500 atoms or more; 2000 where diffusion is asked for"  # fmt: skip
    return [*lines[:-1], f"{lines[-1]}      # real: a box of {size}", DENSITY]


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
        DENSITY_OF_MOLARITY if kind == "molarity" else DENSITY,
    ]
