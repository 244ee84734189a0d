"""Which liquid of the study a foreign frame is of, and the frame of the contract that it becomes."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
from ase import Atoms

from ionmelt.frame import make_frame
from ionmelt.labels.foreign.blocks import ForeignFrame
from ionmelt.labels.matching import Matched, Matcher, NoMatch
from ionmelt.labels.settings import ImportSettings
from ionmelt.liquid.ions import library, resolve
from ionmelt.topology import Ion, Topology, counted

OTHER = "other"  # liquid of compositions that the study has none of; plan_study.py refuses a liquid of that name


@dataclass
class Liquid:
    """A composition to look for: its ions in the order of its frames, and how many of each a box has."""

    name: str
    ions: dict[str, Ion]
    counts: dict[str, int]
    matcher: Matcher

    def proportions(self) -> dict[str, int]:
        """Return the counts without their common divisor."""
        return proportions(self.counts)


def proportions(counts: dict[str, int] | Counter[str]) -> dict[str, int]:
    """Return counts without their common divisor."""
    divisor = reduce(math.gcd, counts.values())
    return {name: count // divisor for name, count in counts.items()}


def liquids_of(settings: ImportSettings, assets: Path) -> list[Liquid]:
    """Return the liquids of the study, and last the composition ``other`` with every ion of the study and of the assets."""
    typed = library(assets)
    every: dict[str, Ion] = {}
    liquids = []
    for liquid in settings.liquids:
        ions = {ion.name: resolve(ion.model_dump(mode="json"), typed) for ion in liquid.ions}
        every |= ions
        counts = {ion.name: ion.count for ion in liquid.ions}
        liquids.append(Liquid(liquid.id, ions, counts, Matcher(ions)))
    for name, ion in typed.items():
        every.setdefault(name, resolve({"name": name, "count": 1, **ion}, typed))
    return [*liquids, Liquid(OTHER, every, {}, Matcher(every))]


def ions_of(foreign: ForeignFrame, liquids: Sequence[Liquid]) -> tuple[Liquid, Matched]:
    """Return the liquid that a frame is of, and its ions; raises `NoMatch`.

    Of several liquids with its composition the one that the frame names is taken, else one of the same size,
    else the first.
    """
    assert foreign.atoms is not None
    fits: list[tuple[bool, bool, Liquid, Matched]] = []
    for liquid in liquids[:-1]:
        try:
            matched = liquid.matcher.match(foreign.atoms)
        except NoMatch:
            continue
        counts = matched.counts()
        if proportions(counts) == liquid.proportions():
            fits.append((str(foreign.info.get("liquid")) == liquid.name, counts == liquid.counts, liquid, matched))
    if fits:
        best = max(fits, key=lambda entry: entry[:2])  # the first of equals
        return best[2], best[3]
    other = liquids[-1]
    return other, other.matcher.match(foreign.atoms)


def contract_frame(foreign: ForeignFrame, liquid: Liquid, matched: Matched, **info: str | float) -> Atoms:
    """Return a frame of the contract: atoms ion by ion, every ion whole."""
    assert foreign.atoms is not None
    names = list(dict.fromkeys(matched.names))
    counts = matched.counts()
    topology = Topology(liquid.name, [counted(liquid.ions[name], counts[name]) for name in names])
    positions = topology.whole(foreign.atoms.positions[matched.order], foreign.atoms.cell.array)
    numbers = foreign.atoms.numbers[matched.order]
    return make_frame(
        numbers, positions, foreign.atoms.cell.array, topology.molecule, topology.ion, liquid=liquid.name, **info
    )


def as_it_is(foreign: ForeignFrame, **info: str | float) -> tuple[Atoms, np.ndarray]:
    """Return a frame of any chemistry, in which every atom counts as an ion of its own, and the order of its atoms."""
    assert foreign.atoms is not None
    atoms, order = foreign.atoms, np.arange(len(foreign.atoms))
    symbols, liquid = atoms.get_chemical_symbols(), str(foreign.info.get("liquid", OTHER))
    return make_frame(atoms.numbers, atoms.positions, atoms.cell.array, order, symbols, liquid=liquid, **info), order
