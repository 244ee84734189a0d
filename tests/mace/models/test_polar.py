"""MACE-POLAR, whose charges see each other beyond the cut-off: its files open, its energy reads the charge, no fast engine takes it."""

import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import tiny_training as tiny
import torch
from ase import Atoms
from ase.build import bulk
from tiny_imports import do_import
from tiny_training import strain_derivative

from ionmelt.charge import say_charge
from ionmelt.dynamics import run as run_module
from ionmelt.dynamics.engines.choice import load_engine
from ionmelt.dynamics.settings import RunSettings
from ionmelt.errors import UserError
from ionmelt.models import weights
from ionmelt.models.calculators import load_calculator

# torch, e3nn and mace warn of each other when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


def build() -> torch.nn.Module:
    """Return a small model of Li and F that MACE's own class makes, with random weights."""
    from mace import modules
    from mace.modules.extensions import PolarMACE
    from mace.modules.models import o3
    from mace.tools.torch_tools import default_dtype

    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    torch.manual_seed(1)
    with default_dtype("float64"):
        return PolarMACE(
            r_max=3.0, num_bessel=3, num_polynomial_cutoff=5, max_ell=2, num_interactions=2, correlation=2, radial_MLP=[4],
            avg_num_neighbors=6.0, interaction_cls=block, interaction_cls_first=block, num_elements=2,
            hidden_irreps=o3.Irreps("4x0e + 4x1o"), MLP_irreps=o3.Irreps("4x0e"), atomic_energies=np.array([[-1.0, -2.0]]),
            atomic_numbers=[3, 9], gate=torch.nn.functional.silu, atomic_multipoles_max_l=1, field_feature_max_l=1,
            field_feature_widths=[1.0, 1.5], num_recursion_steps=1, fixedpoint_update_config={}, field_readout_config={},
            embedding_specs=None,
        ).double()  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file."""
    path = tmp_path_factory.mktemp("polar") / "polar.model"
    torch.save(build(), path)
    return path


@pytest.fixture(scope="module")
def imported(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder."""
    settings = {"framework": "mace", "dtype": "float64"}
    code, errors, model = do_import(tmp_path_factory.mktemp("import"), path, confined=True, **settings)
    assert (code, errors) == (0, [])
    return model


def crystal(charge_e: int = 0) -> Atoms:
    atoms = bulk("LiF", "rocksalt", a=4.0, cubic=True)
    atoms.rattle(0.1, seed=1)
    say_charge(atoms, charge_e)
    return atoms


def test_the_file_opens_and_is_the_same_model(path: Path, imported: Path) -> None:
    from mace.calculators import MACECalculator

    theirs, ours = crystal(1), crystal(1)
    theirs.calc = MACECalculator(str(path), device="cpu", default_dtype="float64")  # opens it as MACE does
    ours.calc = load_calculator(imported, double=True)
    assert ours.get_potential_energy() == theirs.get_potential_energy()
    np.testing.assert_array_equal(ours.get_forces(), theirs.get_forces())


def test_the_stress_is_that_of_all_of_the_energy(imported: Path) -> None:
    """In every component; MACE's own lacks that of the charges."""
    atoms = crystal()
    atoms.calc = load_calculator(imported, double=True)
    stress = atoms.get_stress(voigt=False)
    for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)):
        derivative = strain_derivative(atoms, i, j, 1e-4) / atoms.get_volume()
        assert stress[i, j] == pytest.approx(derivative, rel=1e-4, abs=1e-7)
    atoms.calc = load_calculator(imported, double=True, hydrostatic=True)
    assert atoms.get_stress()[:3] == pytest.approx(np.full(3, np.trace(stress) / 3), rel=1e-4)
    assert not atoms.get_stress()[3:].any()


def test_forces_and_stress_are_derivatives_and_the_charge_is_read(imported: Path) -> None:
    card = json.loads((imported / "model.json").read_text())
    assert card["kind"] == "PolarMACE"
    assert max(card["trial"]["force_off"], card["trial"]["stress_off"]) < 1e-3
    assert card["trial"]["conservative"]
    assert (card["uses_charge"], card["uses_spin"]) == (True, True)


def pair(distance_A: float) -> Atoms:
    atoms = Atoms("LiF", [[0, 0, 0], [distance_A, 0, 0]])
    say_charge(atoms)
    return atoms


def test_ions_see_each_other_beyond_the_cutoff(imported: Path) -> None:
    """Their cut-off is 3 A, that of all messages 6 A."""
    calculator = load_calculator(imported, double=True)
    near, far = (calculator.get_potential_energy(pair(distance)) for distance in (15.0, 30.0))
    assert abs(near - far) > 1e-6


def test_atoms_in_vacuum_need_no_waves(path: Path, imported: Path) -> None:
    """As MACE computes them; far apart its list would be of millions."""
    from mace.calculators import MACECalculator

    theirs = MACECalculator(str(path), device="cpu", default_dtype="float64").get_potential_energy(pair(2.0))
    assert load_calculator(imported, double=True).get_potential_energy(pair(2.0)) == pytest.approx(theirs, abs=1e-9)


def test_no_fast_engine_takes_it_and_its_dynamics_are_its_calculators(imported: Path, tmp_path: Path) -> None:
    state = tiny.make_state(tmp_path / "state")
    run = run_module.Run(RunSettings.model_validate(tiny.RUN), state, tmp_path / "run")
    run_module.run_md([run], imported, 1)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["engine"] == "plain"
    assert record["survived_ps"] > 0
    atoms = ase.io.read(state / "start.extxyz")
    with pytest.raises(UserError, match=r"md\.engine: 'fused' cannot be used: ValueError: charges that see each other"):
        load_engine(imported, state, 1, atoms, "fused")


class Calls(torch.nn.Module):
    """What has the name of a module of the library, and is none."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        import graph_longrange.gto_utils

        return graph_longrange.gto_utils.get_Cl_sigma, (0, 1.0, "none")


def test_functions_of_the_library_are_not_called(tmp_path: Path) -> None:
    model = build()
    model.extra = Calls()
    torch.save(model, tmp_path / "m.model")
    with pytest.raises(UserError, match=r"m\.model .*graph_longrange\.gto_utils\.get_Cl_sigma"):
        weights.read_mace(tmp_path / "m.model")
