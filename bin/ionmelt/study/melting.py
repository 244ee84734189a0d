"""Where salts and molecules melt and boil, from assets/references/melting.csv: a study of what is no liquid is told so."""

import csv
from dataclasses import dataclass
from pathlib import Path

from ionmelt.study.references import Composition, composition


@dataclass(frozen=True)
class Melting:
    """The range of the melting points (K) that are reported of a pure liquid, its boiling point at 1 atm, and where they are from."""

    low_K: float
    high_K: float
    boils_K: float | None  # None where it decomposes before, or is not known
    source: str

    @property
    def words(self) -> str:
        """The range in words, as short as it can be."""
        return f"{self.low_K:g} K" if self.low_K == self.high_K else f"{self.low_K:g}-{self.high_K:g} K"


def read_melting(assets: Path) -> dict[Composition, Melting]:
    """Return the melting and boiling points that are known, by composition."""
    with (assets / "references" / "melting.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        named(row["ions"]): Melting(
            float(row["low_K"]), float(row["high_K"]), float(row["boils_K"]) if row["boils_K"] else None, row["source"]
        )
        for row in rows
    }


def named(ions: str) -> Composition:
    """Return the composition of ``li:1 tfsi:1``."""
    words = [word.split(":") for word in ions.split()]
    return composition({name: int(number) for name, number in words})
