"""What recipes propose: structures, and the places among the requested frames that they may fill."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ionmelt.topology import Topology

TRIES = 20  # candidates for one frame before it is given up


@dataclass
class Candidate:
    """A structure that a recipe proposes: positions (N, 3) and box edges (3,) in A, ions whole.

    `topology` is of the ions in it, where they are not those of the liquid's box.
    """

    positions: np.ndarray
    edges: np.ndarray
    group: str
    info: dict[str, float] = field(default_factory=dict)
    topology: Topology | None = None


Slot = Iterable[Candidate]  # what may fill one place among the requested frames, best first
