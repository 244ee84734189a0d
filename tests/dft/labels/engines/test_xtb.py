"""xTB labels: forces and stress are derivatives of the energy, and a guess does not move them."""

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, Hartree
from tblite.ase import TBLite

from ionmelt.frame import make_frame, shown, virial_stress
from ionmelt.labels.engines.settings import XtbLabels
from ionmelt.labels.engines.xtb import Engine

METHODS = ("GFN1-xTB", "GFN2-xTB")


def engine_of(**settings) -> Engine:
    return Engine(XtbLabels(engine="xtb", **settings), threads=1)


def lithium_tetrafluoroborate() -> Atoms:
    arms = np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.42 / np.sqrt(3)
    positions = np.vstack([[[1.0, 1.2, 1.1]], arms + np.array([3.2, 3.0, 2.8])])
    positions += np.random.default_rng(3).normal(scale=0.04, size=positions.shape)
    return Atoms("LiBF4", positions, cell=[7.0, 7.3, 6.8], pbc=True)


def energy(method: str, atoms: Atoms) -> float:
    label = engine_of(method=method, accuracy=1e-3).label(atoms)
    assert label.energy_ev is not None
    return label.energy_ev


@pytest.mark.parametrize("method", METHODS)
def test_forces_are_the_gradient_of_the_energy(method):
    atoms = lithium_tetrafluoroborate()
    label = engine_of(method=method).label(atoms)
    step = 2e-3
    for atom, axis in [(0, 0), (1, 2), (2, 1), (5, 0)]:
        slope = 0.0
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            slope += sign * energy(method, moved) / (2 * step)
        assert label.forces_ev_a[atom, axis] == pytest.approx(-slope, abs=2e-4)


@pytest.mark.parametrize("method", METHODS)
def test_stress_is_the_strain_derivative_of_the_energy(method):
    """Every component, in ASE's sign: stress = dE/d(strain) / volume."""
    atoms = lithium_tetrafluoroborate()
    label = engine_of(method=method).label(atoms)
    step = 1e-3
    for i, j in [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]:
        slope = 0.0
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            slope += sign * energy(method, strained) / (2 * step)
        assert label.stress_ev_a3[i, j] == pytest.approx(slope / atoms.get_volume(), abs=2e-5)


@pytest.mark.parametrize("method", METHODS)
def test_an_ion_alone_has_its_charge_and_no_images(method):
    """Against tblite's own ASE calculator; neither the box nor the place in it counts; the stress is what a strain of it costs."""
    ion = lithium_tetrafluoroborate()[1:]
    frame = make_frame(ion.numbers, ion.positions, [12.0, 12.5, 13.0], [0] * 5, ["bf4"] * 5, charge=-1)
    label = engine_of(method=method, accuracy=1e-3).label(shown(frame))
    theirs = Atoms(
        frame.numbers, frame.positions, calculator=TBLite(method=method, charge=-1, accuracy=1e-3, verbosity=0)
    )
    assert label.energy_ev == pytest.approx(theirs.get_potential_energy(), abs=1e-6)
    np.testing.assert_allclose(label.forces_ev_a, theirs.get_forces(), atol=1e-5)
    np.testing.assert_allclose(label.stress_ev_a3, virial_stress(frame, label.forces_ev_a), atol=1e-9)
    neutral = engine_of(method=method).label(Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True))
    # the electron that makes it an ion is bound by more than 10 eV, which a neutral frame does not have
    assert neutral.reason is None
    bound_ev = {"GFN1-xTB": 11.62, "GFN2-xTB": 11.34}[method]
    assert neutral.energy_ev - label.energy_ev == pytest.approx(bound_ev, abs=0.1)
    moved = make_frame(ion.numbers, ion.positions + 3.0, [20.0] * 3, [0] * 5, ["bf4"] * 5, charge=-1)
    assert energy(method, shown(moved)) == pytest.approx(label.energy_ev, abs=1e-6)
    step, slope = 1e-3, 0.0
    for sign in (1, -1):
        strain = np.eye(3)
        strain[0, 1] += sign * step / 2
        strain[1, 0] += sign * step / 2
        strained = shown(frame)
        strained.positions = frame.positions @ strain
        slope += sign * energy(method, strained) / (2 * step)
    assert label.stress_ev_a3[0, 1] == pytest.approx(slope / frame.get_volume(), abs=1e-6)
    assert abs(label.stress_ev_a3[0, 1]) > 1e-5  # the test can fail


@pytest.mark.parametrize("method", METHODS)
def test_a_warm_start_saves_cycles_and_changes_nothing(method):
    """Chained labels agree with cold ones within 1e-4 Ha/Bohr, far within: the accuracy is tight."""
    frames = [lithium_tetrafluoroborate() for _ in range(4)]
    for index, atoms in enumerate(frames):
        atoms.positions += np.random.default_rng(index).normal(scale=0.02, size=(6, 3))
    chained = engine_of(method=method)
    warm = [chained.label(atoms) for atoms in frames]
    cold = [engine_of(method=method).label(atoms) for atoms in frames]
    assert sum(label.scf_steps for label in warm) < sum(label.scf_steps for label in cold)
    for one, two in zip(warm, cold, strict=True):
        assert np.abs(one.forces_ev_a - two.forces_ev_a).max() < 1e-5 * Hartree / Bohr
        assert one.energy_ev == pytest.approx(two.energy_ev, abs=1e-6)
        assert np.abs(one.stress_ev_a3 - two.stress_ev_a3).max() < 1e-5


def test_the_guess_of_other_species_is_not_used():
    engine = engine_of()
    engine.label(lithium_tetrafluoroborate())
    other = lithium_tetrafluoroborate()[[1, 0, 2, 3, 4, 5]]
    fresh = engine_of().label(other)
    label = engine.label(other)
    assert label.energy_ev == fresh.energy_ev
    assert label.scf_steps == fresh.scf_steps


def test_a_cold_start_is_the_first_frames():
    engine = engine_of()
    first = engine.label(lithium_tetrafluoroborate())
    chained, cold = engine.label(lithium_tetrafluoroborate()), engine.label(lithium_tetrafluoroborate(), cold=True)
    assert (first.guess, chained.guess, cold.guess) == ("cold", "chained", "cold")
    assert (cold.energy_ev, cold.scf_steps) == (first.energy_ev, first.scf_steps)
    assert chained.scf_steps < cold.scf_steps
    assert engine_of(max_iterations=11).label(lithium_tetrafluoroborate()).guess == "retry"


def test_cycles_are_counted():
    assert 5 < engine_of().label(lithium_tetrafluoroborate()).scf_steps < 30


def test_no_convergence_is_a_reason_after_every_attempt():
    label = Engine(XtbLabels(engine="xtb").model_copy(update={"max_iterations": 2}), threads=1).label(
        lithium_tetrafluoroborate()
    )
    assert label.reason == "scf_not_converged"
    assert not label.converged
    assert label.energy_ev is None
    assert label.scf_steps == 2 + 8


def test_the_ladder_climbs_and_gives_the_same_answer():
    short = engine_of(max_iterations=11).label(lithium_tetrafluoroborate())
    full = engine_of().label(lithium_tetrafluoroborate())
    assert short.converged
    assert short.scf_steps > full.scf_steps
    assert np.abs(short.forces_ev_a - full.forces_ev_a).max() < 1e-5 * Hartree / Bohr


def test_atoms_on_top_of_each_other_are_a_reason():
    atoms = lithium_tetrafluoroborate()
    atoms.positions[1] = atoms.positions[2]
    assert engine_of().label(atoms).reason == "overlap"
