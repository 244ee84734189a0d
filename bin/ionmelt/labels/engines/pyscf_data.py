"""Basis sets and pseudopotentials as PySCF brings them: the same files as CP2K's."""

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from pyscf.pbc import gto

from ionmelt.errors import UserError

DATA = Path(gto.__file__).parent
BASIS_FILES = [DATA / "basis" / name for name in ("BASIS_MOLOPT", "BASIS_MOLOPT_UCL", "BASIS_MOLOPT_UZH")]
POTENTIAL_FILES = [DATA / "pseudo" / name for name in ("GTH_POTENTIALS", "POTENTIAL_UZH")]


@functools.cache
def entry(element: str, basis: str, potential: str) -> tuple[str, str]:
    """Return the texts of an element's basis set and potential in CP2K's format.

    Both may be named without -qN: a potential then has the electrons of the element's GTH-PBE, a basis those of its
    potential. Raises UserError where there is no such one.
    """
    potentials, bases = entries(POTENTIAL_FILES, element), entries(BASIS_FILES, element)
    usual = electrons(potentials, "GTH-PBE")
    full_name = next((name for name in (potential, potential + usual) if name in potentials), None)
    if full_name is None:
        some = ", ".join(sorted({re.sub(r"-q\d+$", "", name) for name in potentials})) or "none"
        raise UserError(f"labels.potential: PySCF has no {potential!r} for {element}; it has {some}")
    charge = electrons(potentials, full_name)
    for name in (basis, basis + charge):
        if name in bases:
            return bases[name], potentials[full_name]
    some = ", ".join(sorted(name for name in bases if not re.search(r"-q\d+$", name))) or "none"
    raise UserError(f"labels.basis: PySCF has no {basis!r} for {element}; it has {some}, and names with {charge}")


def electrons(texts: Mapping[str, str], name: str) -> str:
    """Return the -qN of an entry, from any of its names, or nothing."""
    heads = [name, *texts.get(name, "").partition("\n")[0].split()]
    return next((match[0] for head in heads if (match := re.search(r"-q\d+$", head))), "")


def entries(files: list[Path], element: str) -> dict[str, str]:
    """Return the entries of an element in files of CP2K's format by each of their names, the first of a name."""
    texts: dict[str, str] = {}
    for path in files:
        lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
        heads = [index for index, line in enumerate(lines) if re.match(r" *[A-Z][a-z]? +[A-Z]", line)]
        for start, end in zip(heads, [*heads[1:], len(lines)], strict=True):
            element_here, *names = lines[start].split()
            if element_here == element:
                for name in names:
                    texts.setdefault(name, "\n".join(lines[start:end]))
    return texts
