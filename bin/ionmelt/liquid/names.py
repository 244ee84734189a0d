"""Names of ions and molecules, as people write them: the library's own, other names of the same, and typing errors."""

import re
import unicodedata
from collections.abc import Mapping

from ionmelt.liquid.ions import LibraryIon
from ionmelt.mistakes import closest

DASHES = str.maketrans("‐‒–—−", "-----")  # as typesetters and the report write a hyphen and a minus
WORDS = r"[\s\-](?:an|cat)?ions?$"  # of "sodium ion" or "chloride anion"
# The charge at the end of a name: its sign alone, or also its number before the sign or after: BF4-, Mg2+, Mg+2, Mg^{2+}, magnesium(2+), Mg(II).
SIGN, CHARGE = (
    rf"[\^({{]*{sign}[)}}\]$]*$" for sign in (r"[+-]+", r"(?:\d[+-]|[+-]\d|[+-]+|(?<=\()(?:I{1,3}|IV)(?=\)))")
)
DIVIDERS = (
    r"[+:/;.·&^]"  # between the ions of a salt, beside what `plain` leaves out, such as in Li+[TFSA]- and EMIM:TFSI
)


def spelled_out(name: str) -> str:
    """Return a name in the letters of a keyboard: raised and lowered digits and signs on the line, one kind of dash."""
    return unicodedata.normalize("NFKC", name).translate(DASHES).strip()


def plain(name: str) -> str:
    """Return a name without case, brackets, blanks, commas and hyphens, ``sulph`` as ``sulf``: ``[C2mim]`` and ``c2-mim`` are one."""
    name = spelled_out(name).lower()
    bare = re.sub(r"[\s_\-,()\[\]{}$]", "", name).replace("sulph", "sulf")
    return bare or name


def readings(name: str) -> list[str]:
    """Return what a name may mean, the likeliest first: as it is, without its charge's sign, without the whole charge.

    The word ion is left out of it.
    """
    name = re.sub(WORDS, "", spelled_out(name), flags=re.IGNORECASE)
    return [plain(text) for text in (name, re.sub(SIGN, "", name), re.sub(CHARGE, "", name))]


def names_of(library: Mapping[str, LibraryIon]) -> dict[str, str]:
    """Return every name of the ions and molecules of the library, in plain letters, with the library's own."""
    names_by_text = {}
    for name, entry in library.items():
        for text in (entry["full_name"], *entry["aliases"]):
            names_by_text[plain(text)] = name
    return names_by_text | {plain(name): name for name in library}


def identified(name: str, library: Mapping[str, LibraryIon]) -> str | None:
    """Return the library's own name of an ion or molecule; None where the library has none such."""
    if name in library:
        return name
    names = names_of(library)
    return next((names[reading] for reading in readings(name) if reading in names), None)


def salt(name: str, names: Mapping[str, str], library: Mapping[str, LibraryIon]) -> tuple[str, str] | None:
    """Return the cation and the anion of which a name is made, such as those of ``LiPF6``, ``EMIM-BF4``, ``Li+[TFSA]-`` and ``MgCl2``."""
    text = re.sub(DIVIDERS, "", plain(name))
    for at in range(1, len(text)):
        cation = names.get(text[:at])
        charge = library[cation]["charge"] if cation else 0
        for number in ("", str(charge)) if charge > 0 else ():
            anion = names.get(text[at:].removesuffix(number))
            if cation and anion and library[anion]["charge"] < 0:
                return cation, anion
    return None


def unknown(name: str, library: Mapping[str, LibraryIon], charged: bool, otherwise: str = "") -> str:
    """Return what to say of a name that is not in the library: the likeliest that was meant, all that there are, and another way."""
    names = names_of(library)
    if pair := salt(name, names, library):
        return f"{name!r} is a salt: give its ions, {pair[0]} and {pair[1]}, each by itself"
    like = closest(plain(name), names, cutoff=0.7)
    meant = f"did you mean {names[like[0]]}? " if like else ""
    all_names = ", ".join(
        sorted(known_name for known_name, entry in library.items() if bool(entry["charge"]) == charged)
    )
    return f"unknown {'ion' if charged else 'molecule'} {name!r}; {meant}known: {all_names}" + (
        f"; or give {otherwise}" if otherwise else ""
    )
