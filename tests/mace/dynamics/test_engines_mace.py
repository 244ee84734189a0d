"""The engines of MACE against its plain calculator, replicas in one call, and a run that is killed."""

from pathlib import Path

import ase.io
import pytest
import tiny_training as tiny
from engine_tests import *  # noqa: F403  (its tests and fixtures)

from ionmelt.dynamics.engines import choice, forces
from ionmelt.errors import UserError
from ionmelt.models import train

# torch and mace warn of each other when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def names() -> tuple[str, ...]:
    """The engines, fastest first."""
    return ("fused", "direct")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    split = tiny.make_dataset(tmp_path_factory.mktemp("data"), ions=True)
    return tiny.trained_once(train, tiny.MACE, split, tmp_path_factory.mktemp("train"))


def test_the_probe_refuses_an_engine_whose_forces_are_wrong(
    model: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ionmelt.dynamics.engines import mace as engines_mace  # it loads torch

    class Wrong(engines_mace.MaceEngine):
        def compute(self, frames, slots):
            found = super().compute(frames, slots)
            return [forces.Result(r.energy, r.forces * 1.1 + 1e-3, r.stress) for r in found]

    monkeypatch.setattr(engines_mace, "MaceEngine", Wrong)
    atoms = ase.io.read(state / "start.extxyz")
    engine, probe = choice.load_engine(model, state, 1, atoms)
    assert engine.name == "plain"
    assert "forces differ" in probe[0].reason
    with pytest.raises(UserError, match=r"md\.engine: 'fused' cannot be used: forces differ"):
        choice.load_engine(model, state, 1, atoms, "fused")
