"""The view of a run: what is drawn of a big box."""

import numpy as np
import pytest

from ionmelt.measure import view
from ionmelt.topology import Topology


def test_a_big_box_is_drawn_in_part_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    methane = {"name": "ch4", "count": 40, "charge": 0, "elements": ["C", "H", "H", "H", "H"], "masses_u": [12.0] + [1.0] * 4,
               "bonds": [[0, 1], [0, 2], [0, 3], [0, 4]]}  # fmt: skip
    topology = Topology("x", [methane])
    places = np.repeat(np.random.default_rng(1).uniform(0, 20, (40, 1, 3)), 5, axis=1).reshape(200, 3)
    edges = np.full(3, 20.0)
    for most, count, words in (
        (200, 200, None),
        (100, 40, "hydrogen atoms are not drawn"),
        (30, 30, "nearest to the centre"),
    ):
        monkeypatch.setattr(view, "MOST_ATOMS", most)
        chosen, left_out = view.some_atoms(topology, places, edges)
        assert len(chosen) == count and (left_out is None if words is None else words in left_out)
    away = np.linalg.norm(places - 10, axis=1)[::5]
    assert set(topology.molecule[chosen]) == set(np.argsort(away)[:30])
