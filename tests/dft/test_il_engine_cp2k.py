"""CP2K labels: derivatives of the energy, a guess that does not move them, and its own word on convergence."""

import shutil

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, GPa, Hartree, bar

import il_engine_cp2k
import label_frames
from il_engine_cp2k import Engine, basis_name, converged, force_table, scf_steps, stress_tensor, total_energy
from il_frames import make_frame, values_problem
from il_task import UserError

needs_cp2k = pytest.mark.skipif(
    not any(shutil.which(name) for name in il_engine_cp2k.BINARIES),
    reason="CP2K is not installed here; it is in the dft image",
)
SETTINGS = {
    "engine": "cp2k",
    "functional": "PBE",
    "dispersion": "D3(BJ)",
    "basis": "DZVP-MOLOPT-SR-GTH",
    "potential": "GTH-PBE",
    "cutoff_Ry": 300,
    "rel_cutoff_Ry": 40,
    "eps_scf": 1e-7,
}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def lithium_fluoride() -> Atoms:
    return Atoms("LiF", [[0.5, 0.6, 0.7], [1.5, 1.7, 1.8]], cell=[4.4, 4.6, 4.5], pbc=True)


def lithium_tetrafluoroborate() -> Atoms:
    arms = np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.42 / np.sqrt(3)
    positions = np.vstack([[[1.0, 1.2, 1.1]], arms + np.array([3.2, 3.0, 2.8])])
    positions += np.random.default_rng(3).normal(scale=0.04, size=positions.shape)
    return Atoms("LiBF4", np.round(positions, 6), cell=[7.0, 7.3, 6.8], pbc=True)


def check_derivatives(atoms: Atoms, settings: dict, components: list, strains: list, force: float) -> None:
    """Compare forces and stress with central differences of the energy, in one chain of warm starts.

    `force` is the tolerance (eV/A): gradients of a density on a grid are rough where the density is low.
    """
    engine = Engine(settings, threads=1)
    label = engine.label(atoms)
    assert label.converged
    step = 5e-3
    for atom, axis in components:
        slope = 0.0
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            slope += sign * engine.label(moved).energy_ev / (2 * step)
        assert label.forces_ev_a[atom, axis] == pytest.approx(-slope, abs=force)
    step = 2e-3
    for i, j in strains:
        slope = 0.0
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            slope += sign * engine.label(strained).energy_ev / (2 * step)
        assert label.stress_ev_a3[i, j] == pytest.approx(slope / atoms.get_volume(), abs=2e-5)


@needs_cp2k
def test_forces_and_stress_are_derivatives_of_the_energy():
    check_derivatives(lithium_fluoride(), SETTINGS, [(0, 0), (1, 1)], [(0, 0), (1, 2)], force=0.01)


@needs_cp2k
@pytest.mark.long
def test_forces_and_stress_of_lithium_tetrafluoroborate():
    settings = SETTINGS | {"cutoff_Ry": 800, "rel_cutoff_Ry": 60}
    atoms = lithium_tetrafluoroborate()
    check_derivatives(atoms, settings, [(0, 0), (1, 2), (3, 1)], [(0, 0), (0, 1)], force=0.003)
    label = Engine(settings, threads=1).label(atoms)
    assert values_problem(label.energy_ev, label.forces_ev_a, label.stress_ev_a3, 6) is None


@needs_cp2k
def test_a_warm_start_saves_steps_and_changes_nothing():
    """Within the 1e-4 Ha/Bohr that labels are held to."""
    near = lithium_fluoride()
    near.positions[1] += [0.02, -0.01, 0.01]
    chained = Engine(SETTINGS, threads=1)
    chained.label(near)
    warm = chained.label(lithium_fluoride())
    cold = Engine(SETTINGS, threads=1).label(lithium_fluoride())
    assert 0 < warm.scf_steps < cold.scf_steps
    assert np.abs(warm.forces_ev_a - cold.forces_ev_a).max() < 1e-4 * Hartree / Bohr
    assert warm.energy_ev == pytest.approx(cold.energy_ev, abs=1e-5)
    assert np.abs(warm.stress_ev_a3 - cold.stress_ev_a3).max() < 1e-4
    assert chained.version.startswith("CP2K 20")


@needs_cp2k
def test_no_convergence_is_a_reason_after_every_attempt(monkeypatch):
    monkeypatch.setattr(il_engine_cp2k, "INNER_STEPS", 2)
    monkeypatch.setattr(il_engine_cp2k, "OUTER_LOOPS", 1)
    label = Engine(SETTINGS, threads=1).label(lithium_fluoride())
    assert label.reason == "scf_not_converged"
    assert label.energy_ev is None
    assert label.scf_steps >= 4


@needs_cp2k
def test_a_basis_that_an_element_lacks_ends_the_chunk_with_a_line(tmp_path):
    atoms = lithium_fluoride()
    frame = make_frame(
        atoms.numbers, atoms.positions, atoms.cell.array, np.arange(2), ["li", "f"],
        liquid="lif", kind="eq", recipe="equilibrium", group="g",
    )  # fmt: skip
    settings = SETTINGS | {"basis": "NO-SUCH-BASIS"}
    with pytest.raises(UserError, match=r"labels\.basis: CP2K has no 'NO-SUCH-BASIS' for F; it has DZVP-MOLOPT"):
        label_frames.label_chunk(settings, [frame], str(tmp_path / "out"), threads=1)


@needs_cp2k
@pytest.mark.parametrize("name", ["functional", "dispersion"])
def test_a_mistake_is_named(name):
    with pytest.raises(UserError, match=rf"labels\.{name}: 'other' is not known"):
        Engine(SETTINGS | {name: "other"}, threads=1)


@needs_cp2k
def test_a_dispersion_that_nobody_fitted_is_refused():
    with pytest.raises(UserError, match="there is no D3 for r2SCAN"):
        Engine(SETTINGS | {"functional": "r2SCAN", "dispersion": "D3"}, threads=1)


def test_without_cp2k_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"labels\.engine: cp2k is not installed"):
        Engine(SETTINGS, threads=1)


# --- CP2K's words: 2023.1 and 2025.1 -------------------------------------------------------------------------

FORCES_2023 = """\
 ATOMIC FORCES in [a.u.]

 # Atom   Kind   Element          X                  Y                  Z
      1      1      Li          0.007771236877     0.010511390578     0.008085266764
      2      2      B           0.033263630859     0.014526662179    -0.013243069773
 SUM OF ATOMIC FORCES          -0.004201290029     0.000377055571     0.000980572420     0.004330650192
"""
FORCES_2025 = """\
 FORCES| Atomic forces [hartree/bohr]
 FORCES| Atom x                   y                   z                   |f|
 FORCES|    1  7.771236877E-03  1.051139057E-02  8.085266764E-03  1.537E-02
 FORCES|    2  3.326363085E-02  1.452666217E-02 -1.324306977E-02  3.863E-02
 FORCES| Sum  -4.201290029E-03  3.770555719E-04  9.805724200E-04  4.331E-03
"""
STRESS = """\
 STRESS| Analytical stress tensor [{unit}]
 STRESS|                        x                   y                   z
 STRESS|      x       -1.00091280538E+00   6.41531709022E-01   4.28550709533E-01
 STRESS|      y        6.41531709022E-01  -3.98923462933E-01  -3.45705802408E-01
 STRESS|      z        4.28550709533E-01  -3.45705802408E-01  -3.14772373914E-01
 STRESS| 1/3 Trace                                            -5.71536214077E-01

 STRESS| Eigenvectors and eigenvalues of the analytical stress tensor [{unit}]
 STRESS|      x           0.771746672168      0.523547102592      0.360978538649
"""
GOOD = """\
     1 OT DIIS     0.80E-01    1.8     0.14242990      -105.5848393777 -1.06E+02
     2 OT CG       0.80E-01    1.8     0.00002990      -107.4893830171 -1.06E+00
  *** SCF run converged in     2 steps ***
  outer SCF loop converged in   1 iterations or    2 steps
 ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]:             -107.489383287441
  **** **** ******  **  PROGRAM ENDED AT                 2026-01-01 00:00:00.000
"""


@pytest.mark.parametrize("text", [FORCES_2023, FORCES_2025])
def test_forces_are_read(text):
    expected = [[0.007771236877, 0.010511390578, 0.008085266764], [0.033263630859, 0.014526662179, -0.013243069773]]
    assert np.allclose(force_table(text, 2), expected, atol=1e-11)
    with pytest.raises(ValueError, match="2 atoms, not 3"):
        force_table(text, 3)


@pytest.mark.parametrize(("unit", "value"), [("GPa", GPa), ("bar", bar)])
def test_stress_is_read_and_its_sign_turned(unit, value):
    stress = stress_tensor(STRESS.format(unit=unit))
    assert stress[0, 0] == pytest.approx(1.00091280538 * value)
    assert stress[1, 2] == pytest.approx(0.345705802408 * value)
    assert np.array_equal(stress, stress.T)


def test_convergence_is_what_cp2k_says():
    assert converged(GOOD)
    assert scf_steps(GOOD) == 2
    assert total_energy(GOOD) == -107.489383287441
    assert not converged(GOOD.replace("SCF run converged", "SCF run NOT converged"))
    assert not converged(GOOD.replace("outer SCF loop converged in", "outer SCF loop FAILED to converge after"))
    assert not converged(GOOD.split("  **** ****")[0])
    with pytest.raises(ValueError, match="holds 0 total energies"):
        total_energy("")


def test_a_basis_may_be_named_without_the_charge_of_its_potential(tmp_path):
    (tmp_path / "GTH_POTENTIALS").write_text("Li GTH-PBE-q1\n 1\nLi GTH-PBE-q3 GTH-PBE\n 3\n")
    (tmp_path / "BASIS_MOLOPT").write_text("Li  SMALL SMALL-q3\n 1\n")
    (tmp_path / "BASIS_MOLOPT_UZH").write_text("Li LARGE-q1\n 1\nLi LARGE-q3\n 1\n")
    assert basis_name(tmp_path, "Li", "SMALL", "GTH-PBE") == "SMALL"
    assert basis_name(tmp_path, "Li", "LARGE", "GTH-PBE") == "LARGE-q3"
    assert basis_name(tmp_path, "Li", "LARGE-q1", "GTH-PBE-q1") == "LARGE-q1"
    with pytest.raises(UserError, match=r"labels\.potential: CP2K has no 'GTH-BLYP' for Li"):
        basis_name(tmp_path, "Li", "SMALL", "GTH-BLYP")
    with pytest.raises(UserError, match=r"labels\.basis: CP2K has no 'HUGE' for Li; it has SMALL"):
        basis_name(tmp_path, "Li", "HUGE", "GTH-PBE")


def test_a_stress_with_a_row_missing_is_not_filled_from_the_eigenvectors() -> None:
    lines = STRESS.format(unit="GPa").splitlines(keepends=True)
    for missing in range(2, 5):
        with pytest.raises(ValueError, match="not complete"):
            stress_tensor("".join(lines[:missing] + lines[missing + 1 :]))
