"""The table of recipes: of each, how many frames were asked for, made, refused and kept."""

from dataclasses import asdict, dataclass

import polars as pl

from ionmelt.tables.frames import SAMPLING


@dataclass
class RecipeCount:
    """A row of the table.

    Of equilibrium alone: `equilibrium_of`, the model whose dynamics the frames are from (None: the force field of the liquid);
    `equilibrated`, whether all states are (None: not known for each); the least `spacing_frames` between two frames of a trajectory; and
    the largest statistical inefficiency of a state's volume (frames).
    """

    liquid: str
    recipe: str
    kind: str
    requested: int
    kept: int = 0
    offered: int = 0
    refused_duplicate: int = 0
    refused_contact: int = 0
    refused_bond: int = 0
    equilibrium_of: str | None = None
    equilibrated: bool | None = None
    spacing_frames: float | None = None
    inefficiency_frames: float | None = None

    def refuse(self, reason: str) -> None:
        """Count a structure that was refused as a ``duplicate``, for a ``contact`` or for a ``bond``."""
        if reason == "duplicate":
            self.refused_duplicate += 1
        elif reason == "contact":
            self.refused_contact += 1
        else:
            self.refused_bond += 1


def table_of(rows: list[RecipeCount]) -> pl.DataFrame:
    """Return the table of some rows."""
    return pl.DataFrame([asdict(row) for row in rows], schema=SAMPLING)
