"""The engines of MACE against its plain calculator, replicas in one call, and a run that is killed."""

import importlib.util
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
    return (*(["compiled"] if importlib.util.find_spec("ionmelt_kernels") else []), "fused", "direct")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    split = tiny.make_dataset(tmp_path_factory.mktemp("data"), ions=True)
    return tiny.trained_once(train, tiny.MACE, split, tmp_path_factory.mktemp("train"))


def test_the_probe_refuses_an_engine_whose_forces_are_wrong(
    model: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ionmelt.dynamics.engines import mace as engines_mace  # it loads torch

    right = engines_mace.MaceEngine.compute

    def wrong(self, frames, slots):
        return [forces.Result(r.energy, r.forces * 1.1 + 1e-3, r.stress) for r in right(self, frames, slots)]

    monkeypatch.setattr(engines_mace.MaceEngine, "compute", wrong)
    atoms = ase.io.read(state / "start.extxyz")
    engine, probe = choice.load_engine(model, state, 1, atoms)
    assert engine.name == "plain"
    assert all("forces differ" in str(one.reason) for one in probe if one.engine != "plain")
    with pytest.raises(UserError, match=r"md\.engine: 'fused' cannot be used: forces differ"):
        choice.load_engine(model, state, 1, atoms, "fused")


def test_charge_and_spin_reach_a_model_that_reads_them() -> None:
    """The engines call MACE's model with what its own calculator reads of the atoms; else such a model is an error, or neutral."""
    import numpy as np
    import torch
    from ase.build import bulk
    from e3nn import o3
    from mace import modules
    from mace.calculators import MACECalculator

    from ionmelt.charge import say_charge
    from ionmelt.dynamics.engines import mace as engines_mace

    torch.manual_seed(1)
    spec = {"type": "continuous", "per": "graph", "in_dim": 1, "emb_dim": 4}
    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    model = modules.ScaleShiftMACE(
        r_max=3.0, num_bessel=4, num_polynomial_cutoff=5, max_ell=2, interaction_cls=block, interaction_cls_first=block,
        num_interactions=2, num_elements=2, hidden_irreps=o3.Irreps("8x0e + 8x1o"), MLP_irreps=o3.Irreps("4x0e"),
        atomic_energies=np.zeros((1, 2)), avg_num_neighbors=8.0, atomic_numbers=[3, 9], correlation=2,
        gate=torch.nn.functional.silu, atomic_inter_scale=1.0, atomic_inter_shift=0.0,
        embedding_specs={"total_charge": spec, "total_spin": spec}, use_embedding_readout=True,
    ).double()  # fmt: skip
    calculator = MACECalculator(models=model, device="cpu", default_dtype="float64")
    energies = {}
    for charge, spin in ((0, 1), (1, 2)):
        atoms = bulk("LiF", "rocksalt", a=4.0, cubic=True)
        atoms.rattle(0.1, seed=3)
        say_charge(atoms, charge, spin)
        frame = (atoms.positions, atoms.cell.array)
        (exact,) = forces.PlainEngine(calculator, atoms).compute([frame], [0])
        energies[charge] = exact.energy
        for fused in (True, False):
            twice = engines_mace.MaceEngine(calculator, atoms, fused=fused).compute([frame, frame], [0, 1])
            for result in twice:
                assert result.energy == pytest.approx(exact.energy, abs=1e-4)
                np.testing.assert_allclose(result.forces, exact.forces, atol=1e-4)
    assert abs(energies[0] - energies[1]) > 1e-3
