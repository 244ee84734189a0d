"""Which engine is taken: how far its forces may be from the plain calculator's, which may not agree better with itself."""

from collections.abc import Sequence

import numpy as np
import pytest
from ase import Atoms

from ionmelt.dynamics.engines import DynamicsEngine, choice
from ionmelt.dynamics.engines.forces import Frame, Result

ATOMS = Atoms("NaCl", positions=[[0, 0, 0], [2.5, 0, 0]], cell=[5.0, 6.0, 7.0], pbc=True)
FAST = DynamicsEngine("fast", "any", "nowhere")


class Engine:
    """Forces of 1 eV/A, off by a constant, and by what depends on where the atoms are though nothing should."""

    device = "cpu"

    def __init__(self, name: str, off: float = 0.0, rough: float = 0.0) -> None:
        self.name, self.off, self.rough = name, off, rough

    def compute(self, frames: Sequence[Frame], slots: Sequence[int]) -> list[Result]:
        made = []
        for positions, _ in frames:
            forces = np.ones((2, 3)) + self.off
            forces[1, 2] += self.rough * (
                float(np.abs(positions).max()) > 2.6
            )  # a step that an atom crosses where all are moved
            made.append(Result(0.0, forces, np.zeros(6)))
        return made

    def forget(self, slot: int) -> None:
        pass


@pytest.mark.parametrize(
    ("rough", "off", "taken", "limit"),
    [
        (0.0, 4e-4, True, 5e-4),
        (0.0, 6e-4, False, 5e-4),
        (3e-4, 6e-4, True, 9e-4),  # a compressed DeePMD model
        (3e-4, 1e-3, False, 9e-4),
        (1e-3, 2e-3, True, 3e-3),
        (1.0, 6e-3, False, 5e-3),  # a model that is broken is no licence
    ],
)
def test_a_fast_engine_need_not_agree_better_than_the_plain_one_with_itself(
    rough: float, off: float, taken: bool, limit: float
) -> None:
    engine, probes = choice.choose([FAST], lambda row: Engine(row.name, off), Engine("plain", 0.0, rough), ATOMS)
    assert engine.name == ("fast" if taken else "plain")
    if not taken:
        assert probes[0].reason == f"forces differ by more than {limit:g} eV/A"
        assert probes[-1].engine == "plain" and probes[-1].max_force_difference_ev_a == pytest.approx(rough)


def test_an_engine_whose_forces_are_no_numbers_is_out_whatever_the_plain_one_does() -> None:
    engine, _ = choice.choose([FAST], lambda row: Engine(row.name, float("nan")), Engine("plain", 0.0, 1.0), ATOMS)
    assert engine.name == "plain"


def test_a_plain_engine_without_numbers_lets_no_other_pass() -> None:
    engine, _ = choice.choose([FAST], lambda row: Engine(row.name), Engine("plain", float("nan")), ATOMS)
    assert engine.name == "plain"
