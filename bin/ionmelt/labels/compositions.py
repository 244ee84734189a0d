"""Which liquid of the study a foreign frame is of, and the frame of the contract that it becomes."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ionmelt.frame import (
    make_frame,
)
from ionmelt.labels.foreign.blocks import Found
from ionmelt.labels.matching import Matched, Matcher, NoMatch
from ionmelt.liquid.ions import library, resolve
from ionmelt.topology import Ion, Topology

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


def liquids_of(settings: dict[str, Any], assets: Path) -> list[Liquid]:
    """Return the liquids of the study, and last the composition ``other`` with every ion known."""
    known = library(assets)
    every: dict[str, Ion] = {}
    liquids = []
    for liquid in settings["liquids"]:
        ions = {ion["name"]: resolve(ion, known) for ion in liquid["ions"]}
        every |= ions
        counts = {ion["name"]: ion["count"] for ion in liquid["ions"]}
        liquids.append(Liquid(liquid["id"], ions, counts, Matcher(ions)))
    for name, ion in known.items():
        every.setdefault(name, resolve({"name": name, "count": 1, **ion}, known))
    return [*liquids, Liquid(OTHER, every, {}, Matcher(every))]


def ions_of(found: Found, liquids: Sequence[Liquid]) -> tuple[Liquid, Matched]:
    """Return the liquid that a frame is of, and its ions; raises `NoMatch`.

    Of several liquids with its composition the one that the frame names is taken, else one of the same size,
    else the first.
    """
    assert found.atoms is not None
    fits: list[tuple[bool, bool, Liquid, Matched]] = []
    for liquid in liquids[:-1]:
        try:
            matched = liquid.matcher.match(found.atoms)
        except NoMatch:
            continue
        counts = matched.counts()
        if proportions(counts) == liquid.proportions():
            fits.append((found.info.get("liquid") == liquid.name, counts == liquid.counts, liquid, matched))
    if fits:
        best = max(fits, key=lambda entry: entry[:2])  # the first of equals
        return best[2], best[3]
    other = liquids[-1]
    return other, other.matcher.match(found.atoms)


def contract_frame(found: Found, liquid: Liquid, matched: Matched, **info: Any) -> Atoms:
    """Return a frame of the contract: atoms ion by ion, every ion whole."""
    assert found.atoms is not None
    names = list(dict.fromkeys(matched.names))
    counts = matched.counts()
    topology = Topology(liquid.name, [{**liquid.ions[name], "count": counts[name]} for name in names])
    positions = topology.whole(found.atoms.positions[matched.order], found.atoms.cell.array)
    numbers = found.atoms.numbers[matched.order]
    return make_frame(
        numbers, positions, found.atoms.cell.array, topology.molecule, topology.ion, liquid=liquid.name, **info
    )


def as_it_is(found: Found, **info: Any) -> tuple[Atoms, np.ndarray]:
    """Return a frame of any chemistry, in which every atom counts as an ion of its own, and the order of its atoms."""
    assert found.atoms is not None
    atoms, order = found.atoms, np.arange(len(found.atoms))
    symbols, liquid = atoms.get_chemical_symbols(), str(found.info.get("liquid", OTHER))
    return make_frame(atoms.numbers, atoms.positions, atoms.cell.array, order, symbols, liquid=liquid, **info), order
