"""PySCF labels: derivatives of the energy, a guess that does not move them, and CP2K's numbers from another code."""

import json
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, GPa, Hartree
from pyscf.pbc.gto import Cell
from pyscf.pbc.gto.pseudo import pp_int
from tiny_salts import boron_trifluoride, lithium_fluoride, lithium_tetrafluoroborate, tetrafluoroborate

from ionmelt.errors import UserError
from ionmelt.frame import make_frame, shown, values_problem, virial_stress
from ionmelt.labels.engines import cp2k as labels_cp2k
from ionmelt.labels.engines import pyscf as labels_pyscf
from ionmelt.labels.engines.pyscf import Engine, orthonormal, overlap
from ionmelt.labels.engines.pyscf_data import entry
from ionmelt.labels.engines.pyscf_dispersion import DISPERSIONS
from ionmelt.labels.engines.pyscf_fourth_term import fourth_term
from ionmelt.labels.engines.settings import Cp2kLabels, PyscfLabels

TOP = Path(__file__).resolve().parents[4]
needs_cp2k = pytest.mark.skipif(
    not any(shutil.which(name) for name in labels_cp2k.BINARIES),
    reason="CP2K is not installed here; it is in the dft image",
)
SETTINGS = {
    "functional": "PBE",
    "dispersion": "D3(BJ)",
    "basis": "DZVP-MOLOPT-SR-GTH",
    "potential": "GTH-PBE",
    "cutoff_Ry": 300.0,
    "eps_scf": 1e-7,
    "device": "cpu",
}


def section(settings: dict) -> PyscfLabels:
    return PyscfLabels.model_validate(settings | {"engine": "pyscf"})


def engine_of(**changes) -> Engine:
    return Engine(section(SETTINGS | changes), threads=1)


def cp2k_engine(settings: dict) -> labels_cp2k.Engine:
    """Return CP2K at a level of theory that PySCF has, too."""
    same = {name: value for name, value in settings.items() if name != "device"}
    return labels_cp2k.Engine(Cp2kLabels.model_validate(same | {"engine": "cp2k"}), threads=1)


def strained(atoms: Atoms, i: int, j: int, size: float) -> Atoms:
    strain = np.eye(3)
    strain[i, j] += size / 2
    strain[j, i] += size / 2
    out = atoms.copy()
    out.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    return out


def energy_ev(engine: Engine, atoms: Atoms, mesh: np.ndarray) -> float:
    """Return the converged energy on a mesh of so many points: the strained box has the same."""
    field = engine.mean_field(engine.cell(atoms, mesh))
    field.kernel()
    assert field.converged
    return field.e_tot * Hartree + engine.dispersion(atoms).energy_ev


@pytest.fixture(scope="module")
def label():
    return engine_of().label(lithium_fluoride())


@pytest.mark.all
def test_forces_and_stress_are_derivatives_of_the_energy(label):
    """The stress from fixed orbitals is the stress of the relaxed energy; forces within what the grid leaves."""
    assert label.converged
    engine, atoms = engine_of(), lithium_fluoride()
    mesh = engine.cell(atoms).mesh
    slope = 0.0
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[0, 1] += sign * 5e-3  # along y, lithium: see fourth_term
        slope += sign * energy_ev(engine, moved, mesh) / 1e-2
    assert label.forces_ev_a[0, 1] == pytest.approx(-slope, abs=5e-3)
    for i, j in [(1, 1), (0, 2)]:
        slope = sum(sign * energy_ev(engine, strained(atoms, i, j, sign * 2e-3), mesh) for sign in (1, -1)) / 4e-3
        assert label.stress_ev_a3[i, j] == pytest.approx(slope / atoms.get_volume(), abs=1e-6)


@pytest.mark.all
def test_a_warm_start_saves_steps_and_changes_nothing(label, monkeypatch):
    monkeypatch.setattr(Engine, "stress", lambda self, atoms, orbitals: np.zeros((3, 3)))
    near = lithium_fluoride()
    near.positions[1] += [0.02, -0.01, 0.01]
    engine = engine_of()
    assert engine.label(near).guess == "cold"
    warm, cold = engine.label(lithium_fluoride()), engine.label(lithium_fluoride(), cold=True)
    assert (warm.guess, cold.guess) == ("chained", "cold")
    assert 0 < warm.scf_steps < cold.scf_steps == label.scf_steps
    assert np.abs(warm.forces_ev_a - label.forces_ev_a).max() < 1e-5 * Hartree / Bohr
    assert warm.energy_ev == pytest.approx(label.energy_ev, abs=1e-6)


def test_no_convergence_is_a_reason_after_every_attempt(monkeypatch):
    monkeypatch.setattr(labels_pyscf, "CYCLES", 2)
    monkeypatch.setattr(labels_pyscf, "STURDY_CYCLES", 3)
    label = engine_of().label(lithium_fluoride())
    assert (label.reason, label.energy_ev, label.converged) == ("scf_not_converged", None, False)
    assert label.scf_steps == 3 + 4


@pytest.mark.all
def test_the_ladder_climbs_and_gives_the_same_answer(label, monkeypatch):
    monkeypatch.setattr(labels_pyscf, "CYCLES", 2)
    monkeypatch.setattr(Engine, "stress", lambda self, atoms, orbitals: np.zeros((3, 3)))
    retried = engine_of().label(lithium_fluoride())
    assert retried.guess == "retry"
    assert retried.scf_steps > label.scf_steps
    assert np.abs(retried.forces_ev_a - label.forces_ev_a).max() < 1e-5 * Hartree / Bohr


@pytest.mark.parametrize(("error", "reason"), [(MemoryError, "out_of_memory"), (None, "non_finite")])
def test_what_goes_wrong_is_a_reason(monkeypatch, error, reason):
    def kernel(self, dm0=None):
        if error:
            raise error
        self.cycles, self.e_tot, self.converged = 1, np.nan, True

    monkeypatch.setattr(labels_pyscf.dft.rks.RKS, "kernel", kernel)
    label = engine_of().label(lithium_fluoride())
    assert (label.reason, label.energy_ev) == (reason, None)


def test_the_fourth_term_is_added_where_there_is_one():
    """Against differences of the local part's own energy, for a density that is not converged."""
    engine, atoms = engine_of(), lithium_fluoride()
    cell = engine.cell(atoms)
    orbitals = orthonormal(np.random.default_rng(1).normal(size=(cell.nao, 5)), overlap(cell))
    density = engine.density(orbitals)
    missing = fourth_term(cell, density)
    gradient = pp_int.vpploc_part2_nuc_grad(cell, density) + missing
    for atom, axis in np.ndindex(2, 3):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * 1e-3 * Bohr
            energies.append(np.einsum("ij,ij", pp_int.get_pp_loc_part2(engine.cell(moved)), density))
        assert gradient[atom, axis] == pytest.approx((energies[0] - energies[1]) / 2e-3, abs=2e-5)
    no_lithium = Atoms("HF", atoms.positions, cell=atoms.cell, pbc=True)
    assert np.abs(fourth_term(engine.cell(no_lithium), None)).max() == 0.0


def test_the_guess_is_orthonormal_and_near():
    cell = engine_of().cell(lithium_fluoride())
    metric = overlap(cell)
    start = np.linalg.eigh(metric)[1][:, -4:]
    start = orthonormal(start, metric)
    assert np.allclose(start.T @ metric @ start, np.eye(4), atol=1e-10)
    assert np.allclose(orthonormal(start, metric), start, atol=1e-10)
    assert np.allclose(orthonormal(2 * start, metric), start, atol=1e-10)


# --- Dispersion -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("functional", ["PBE", "revPBE", "BLYP", "r2SCAN"])
@pytest.mark.parametrize("name", ["D3", "D3(BJ)", "D4"])
def test_dispersion_has_the_right_derivatives(functional, name):
    if (functional, name) == ("r2SCAN", "D3"):
        return  # nobody fitted it: refused before it comes here
    engine = engine_of(functional=functional if functional != "r2SCAN" else "PBE", dispersion=name)
    engine.settings = engine.settings.model_copy(update={"functional": functional})
    atoms = lithium_tetrafluoroborate()
    dispersion = engine.dispersion(atoms)
    forces, stress = dispersion.forces_ev_a, dispersion.stress_ev_a3
    assert dispersion.energy_ev < 0
    moved = []
    for sign in (1, -1):
        other = atoms.copy()
        other.positions[3, 1] += sign * 1e-3
        moved.append(engine.dispersion(other).energy_ev)
    assert forces[3, 1] == pytest.approx(-(moved[0] - moved[1]) / 2e-3, abs=1e-5)
    assert np.abs(forces.sum(axis=0)).max() < 1e-8
    for i, j in [(0, 0), (1, 2)]:
        pair = [engine.dispersion(strained(atoms, i, j, sign * 1e-3)).energy_ev for sign in (1, -1)]
        # Pairs that cross the radius of D3 within the strain are no part of its derivative.
        assert stress[i, j] == pytest.approx((pair[0] - pair[1]) / 2e-3 / atoms.get_volume(), abs=2e-6)


def test_no_dispersion_is_nothing():
    none = engine_of(dispersion="none").dispersion(lithium_fluoride())
    assert (none.energy_ev, np.abs(none.forces_ev_a).max(), np.abs(none.stress_ev_a3).max()) == (0.0, 0.0, 0.0)
    assert set(DISPERSIONS) == {"none", "D3", "D3(BJ)", "D4"}


# --- Names, units and the GPU ---------------------------------------------------------------------------------


def test_the_cut_off_is_cp2ks():
    """A plane wave of n periods along an edge L has (2 pi n / L)^2 Rydberg; the mesh holds all below the cut-off."""
    cell = engine_of().cell(lithium_fluoride())
    assert isinstance(cell, Cell)
    edges = lithium_fluoride().cell.lengths() / Bohr
    highest = np.floor(np.sqrt(SETTINGS["cutoff_Ry"]) * edges / (2 * np.pi))
    assert (cell.mesh >= 2 * highest + 1).all()
    assert (cell.mesh <= 2 * highest + 5).all()
    assert np.allclose(cell.lattice_vectors(), np.diag(edges))
    assert cell.nelectron == 3 + 7


def test_a_basis_may_be_named_without_the_charge_of_its_potential():
    long, short = (entry("Li", name, "GTH-PBE") for name in ("TZV2P-MOLOPT-PBE-GTH-q3", "TZV2P-MOLOPT-PBE-GTH"))
    assert long == short
    assert "q3" in short[0].splitlines()[0]
    assert "q3" in short[1].splitlines()[0]
    assert entry("Li", "DZVP-MOLOPT-PBE-GTH", "GTH-PBE-q1")[0].split()[1].endswith("q1")
    with pytest.raises(
        UserError, match=r"labels\.potential: PySCF has no 'GTH-OTHER' for Li; it has .*GTH-BLYP, .*GTH-PBE"
    ):
        entry("Li", "DZVP-MOLOPT-SR-GTH", "GTH-OTHER")
    with pytest.raises(UserError, match=r"labels\.basis: PySCF has no 'HUGE' for F; it has DZVP-MOLOPT"):
        entry("F", "HUGE", "GTH-PBE")


@pytest.mark.parametrize("potential", ["GTH-PBE", "GTH-BLYP", "GTH-SCAN"])
@pytest.mark.parametrize("quality", [0, 1])
def test_every_preset_is_in_pyscf(potential, quality):
    from ionmelt import theory

    for element in ("H", "Li", "B", "C", "N", "O", "F", "P", "S"):
        entry(element, theory.BASES[potential][quality], potential)


def test_a_meta_gga_needs_a_gpu():
    with pytest.raises(UserError, match=r"labels\.functional: PySCF has no forces of r2SCAN without a GPU"):
        engine_of(functional="r2SCAN")


def fake_gpu(monkeypatch, count):
    runtime = types.SimpleNamespace(getDeviceCount=lambda: count)
    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime)))
    monkeypatch.setitem(sys.modules, "gpu4pyscf", types.SimpleNamespace(__version__="9.9"))


def test_a_gpu_is_used_where_there_is_one(monkeypatch):
    fake_gpu(monkeypatch, 1)
    assert engine_of(device="auto").version.endswith("with GPU4PySCF 9.9")
    assert engine_of(device="cuda", functional="r2SCAN").gpu
    assert "GPU" not in engine_of(device="cpu").version


def test_without_a_gpu_that_is_said_or_done_without(monkeypatch):
    fake_gpu(monkeypatch, 0)
    assert not engine_of(device="auto").gpu
    with pytest.raises(UserError, match=r"labels\.device: 'cuda' cannot be had here: there is no GPU"):
        engine_of(device="cuda")
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert not engine_of(device="auto").gpu
    with pytest.raises(UserError, match=r"labels\.device: 'cuda' cannot be had here: import of cupy"):
        engine_of(device="cuda")


class OnGpu:
    """An array that has to be fetched, as CuPy's."""

    def __init__(self, array):
        self.array = array

    def get(self):
        return self.array


def test_what_a_gpu_says_becomes_the_label(monkeypatch):
    """The dispatch, with a stand-in for GPU4PySCF: it has not been run on a GPU."""
    fake_gpu(monkeypatch, 1)
    given = []

    class Field:
        cycles, converged, e_tot = 5, True, -1.0
        mo_occ = OnGpu(np.array([2.0, 2, 2, 2, 2] + [0] * 14))
        level_shift = 0.0

        def __init__(self, cell, xc):
            assert (xc, cell.nao) == ("PBE,PBE", 19)
            self.mo_coeff = OnGpu(orthonormal(np.eye(19), overlap(cell)))

        def multigrid_numint(self):
            return self

        def kernel(self, dm0=None):
            given.append(dm0)

        def Gradients(self):
            return types.SimpleNamespace(kernel=lambda: np.full((2, 3), 0.5), get_stress=lambda: np.eye(3))

    monkeypatch.setattr(sys.modules["cupy"], "asarray", lambda array: ("gpu", array), raising=False)
    monkeypatch.setitem(sys.modules, "gpu4pyscf.pbc.dft", types.SimpleNamespace(RKS=Field))
    engine = engine_of(device="cuda", dispersion="none")
    label = engine.label(lithium_fluoride())
    assert (label.energy_ev, label.scf_steps, label.guess) == (-Hartree, 7, "cold")
    assert np.allclose(label.forces_ev_a, -0.5 * Hartree / Bohr)
    assert np.allclose(label.stress_ev_a3, np.eye(3) * Hartree / Bohr**3)
    assert engine.label(lithium_fluoride()).guess == "chained"
    assert engine.label(lithium_fluoride()[[1, 0]]).guess == "cold"  # the guess of another order is not used
    assert given[0] is None
    assert given[2] is None
    assert given[1][0] == "gpu"
    assert np.trace(given[1][1] @ overlap(engine.cell(lithium_fluoride()))) == pytest.approx(10)


# --- Against CP2K ---------------------------------------------------------------------------------------------


@pytest.mark.all
def test_forces_of_a_molecule_alone_are_derivatives_of_its_energy():
    """Those of lithium too, whose potential has the term that the periodic code gets wrong (`fourth_term`)."""
    pair = lithium_fluoride()
    atoms = shown(make_frame(pair.numbers, pair.positions + 3.0, [8.0] * 3, [0, 1], ["li", "f"], charge=0))
    engine = engine_of()
    label = engine.label(atoms)
    assert values_problem(label.energy_ev, label.forces_ev_a, label.stress_ev_a3, 2) is None
    np.testing.assert_allclose(label.stress_ev_a3, virial_stress(atoms, label.forces_ev_a), atol=1e-12)
    step = 2e-3
    energies = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[0, 1] += sign * step
        energies.append(engine.label_alone(moved, turned=True).energy_ev)  # the energy needs no second calculation
    assert label.forces_ev_a[0, 1] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=1e-3)


@pytest.mark.all
def test_a_molecule_alone_is_as_in_a_large_box():
    """Two codes of PySCF give one level of theory; measured: 0.0013 eV (CP2K: as much), 0.014 eV/A of boron, 0.00003 eV/A^3.

    Fluorine's forces are left out: on a grid of 600 Ry they have an error of 0.2 eV/A.
    """
    frame = boron_trifluoride()
    alone, periodic = (engine_of(cutoff_Ry=600.0).label(atoms) for atoms in (shown(frame), frame))
    assert alone.energy_ev == pytest.approx(periodic.energy_ev, abs=2e-3)
    np.testing.assert_allclose(alone.forces_ev_a[0], periodic.forces_ev_a[0], atol=0.02)
    np.testing.assert_allclose(alone.stress_ev_a3, periodic.stress_ev_a3, atol=1e-4)


@needs_cp2k
@pytest.mark.long
def test_an_ion_alone_is_cp2ks(tmp_path, monkeypatch):
    """Measured: 0.060 meV an atom, 0.0041 eV/A (largest 0.0101), 0.0038 GPa."""
    monkeypatch.chdir(tmp_path)
    differences = compare(shown(tetrafluoroborate()), SETTINGS | {"cutoff_Ry": 1200.0, "eps_scf": 1e-6})
    assert differences["energy_mev_atom"] < 0.5
    assert differences["max_force_ev_a"] < 0.03
    assert differences["stress_gpa"] < 0.015


@needs_cp2k
@pytest.mark.all
def test_d3_is_cp2ks(tmp_path, monkeypatch):
    """CP2K's own D3(BJ) is the difference of two of its energies."""
    monkeypatch.chdir(tmp_path)
    atoms = lithium_fluoride()
    settings = SETTINGS | {"rel_cutoff_Ry": 40.0, "cutoff_Ry": 100.0, "eps_scf": 1e-5}
    with_d3, without = (cp2k_engine(settings | {"dispersion": name}).label(atoms) for name in ("D3(BJ)", "none"))
    d3 = engine_of().dispersion(atoms)
    assert d3.energy_ev == pytest.approx(with_d3.energy_ev - without.energy_ev, abs=1e-4)
    assert np.abs(d3.forces_ev_a - (with_d3.forces_ev_a - without.forces_ev_a)).max() < 1e-3
    assert np.abs(d3.stress_ev_a3 - (with_d3.stress_ev_a3 - without.stress_ev_a3)).max() < 1e-5


def compare(atoms: Atoms, settings: dict) -> dict[str, float]:
    """Return the differences of PySCF's label and CP2K's."""
    cp2k = cp2k_engine(settings | {"rel_cutoff_Ry": 60.0}).label(atoms)
    pyscf = Engine(section(settings), threads=1).label(atoms)
    for label in (cp2k, pyscf):
        assert values_problem(label.energy_ev, label.forces_ev_a, label.stress_ev_a3, len(atoms)) is None
    forces = pyscf.forces_ev_a - cp2k.forces_ev_a
    answers = {
        "energy_mev_atom": abs(pyscf.energy_ev - cp2k.energy_ev) / len(atoms) * 1000,
        "max_force_ev_a": float(np.abs(forces).max()),
        "rms_force_ev_a": float(np.sqrt((forces**2).mean())),
        "stress_gpa": float(np.abs(pyscf.stress_ev_a3 - cp2k.stress_ev_a3).max() / GPa),
    }
    print(answers)
    return answers


@needs_cp2k
@pytest.mark.long
@pytest.mark.parametrize("name", ["libf4", "pyr14bf4", "litfsi"])
def test_pyscf_is_cp2k(tmp_path, monkeypatch, name):
    """Two codes, one level of theory, on the grid of production, 1200 Ry. The bounds are somewhat above what was measured:

    LiBF4 0.098 meV an atom, 0.0137 eV/A (largest 0.0264), 0.0071 GPa; a PYR14BF4 pair 0.006, 0.0053 (0.0410), 0.0055;
    LiTFSI 0.102, 0.0134 (0.0426), 0.0103.
    """
    monkeypatch.chdir(tmp_path)
    atoms = lithium_tetrafluoroborate() if name == "libf4" else pair(name)
    differences = compare(atoms, SETTINGS | {"cutoff_Ry": 1200.0, "eps_scf": 1e-6})
    assert differences["energy_mev_atom"] < 0.2
    assert differences["rms_force_ev_a"] < 0.02
    assert differences["max_force_ev_a"] < 0.06
    assert differences["stress_gpa"] < 0.015


def pair(name: str) -> Atoms:
    """Read an ion pair out of its CP2K input."""
    text = (Path(__file__).parents[3] / "data" / f"{name}.inp").read_text()
    edges = re.findall(r"^ *ABC +(.+)$", text, re.MULTILINE)[0].split()
    rows = re.findall(r"^ *([A-Z][a-z]?) +(-?\d+\.\d+) +(-?\d+\.\d+) +(-?\d+\.\d+)$", text, re.MULTILINE)
    return Atoms(
        [row[0] for row in rows], np.array([row[1:] for row in rows], float), cell=np.array(edges, float), pbc=True
    )


@pytest.mark.all
def test_the_check_of_a_gpu_machine_labels_here_too():
    """Where there is no GPU nobody would see that tests/gpu cannot start an engine."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", TOP / "tests" / "gpu", "--label", "cpu"], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(TOP / "bin")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    said = json.loads(done.stdout)
    assert said["wall_s"] > 0
    pull = np.array(said["forces_ev_a"])
    assert pull[0, 0] > 0 > pull[1, 0], "Li and F, further apart than in their molecule, attract"
