"""The recipes that frames are made by: one row for each, in the order in which they are followed.

A recipe is a section of settings (ionmelt/frames/settings.py), a row here, and a function that yields one slot for each frame
wanted. It is given the states of a liquid, its section of the settings and a seed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ionmelt.frame import SCAN_RECIPE
from ionmelt.frames.candidate import Slot
from ionmelt.frames.recipes.clusters import clusters, single_ions
from ionmelt.frames.recipes.oscillation import oscillation
from ionmelt.frames.recipes.packing import packing
from ionmelt.frames.recipes.trajectory import equilibrium, rattle, test_scan, volume_scan
from ionmelt.frames.settings import NEED_FORCE_FIELD
from ionmelt.frames.state import State


@dataclass(frozen=True)
class Recipe:
    """A way to make frames.

    Attributes: `name`, in every table and in the settings; `kind` of its frames, ``eq`` or ``neq``; `slots`, the function that makes
    them; `each_state`: the frames asked for are of each state; `held_out`: all its frames are taken, and only to test.
    """

    name: str
    kind: str
    slots: Callable[[Sequence[State], Any, int], Iterator[Slot]]
    each_state: bool = False
    held_out: bool = False

    @property
    def needs_force_field(self) -> bool:
        """Whether it runs dynamics, which a liquid with xtb has no force field for."""
        return self.name in NEED_FORCE_FIELD


RECIPES = (
    Recipe("equilibrium", "eq", equilibrium, each_state=True),
    Recipe("volume_scan", "neq", volume_scan),
    Recipe("oscillation", "neq", oscillation),
    Recipe("packing", "neq", packing),
    Recipe("rattle", "neq", rattle),
    Recipe("clusters", "neq", clusters),
    Recipe("ions", "neq", single_ions),
    Recipe(SCAN_RECIPE, "neq", test_scan, held_out=True),
)
