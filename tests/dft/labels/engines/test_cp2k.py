"""CP2K labels: the same input by hand, derivatives, a guess that does not move them, mistakes, and faults of the program."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, GPa, Hartree
from recorded_cp2k import COARSE, DATA, SETTINGS, section
from tiny_salts import boron_trifluoride, lithium_fluoride, lithium_tetrafluoroborate, tetrafluoroborate

from ionmelt.errors import UserError
from ionmelt.frame import Label, make_frame, shown, values_problem, virial_stress
from ionmelt.labels import labelling
from ionmelt.labels.engines import cp2k, cp2k_input
from ionmelt.labels.engines.cp2k import Engine
from ionmelt.labels.engines.cp2k_input import Attempt
from ionmelt.labels.settings import LabelSettings
from ionmelt.labels.store import Store

BIN = Path(cp2k.__file__).resolve().parents[3]
CP2K = next((path for name in cp2k.BINARIES if (path := shutil.which(name))), None)
needs_cp2k = pytest.mark.skipif(CP2K is None, reason="CP2K is not installed here; it is in the dft image")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# --- The same input by hand ----------------------------------------------------------------------------


def run_by_hand(path: Path) -> tuple[float, np.ndarray, np.ndarray]:
    """Run an input file and read energy (Ha), forces (Ha/Bohr) and stress (GPa, CP2K's sign) off its output."""
    command, environment = [CP2K, "-i", str(path)], {**os.environ, "OMP_NUM_THREADS": "1"}
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    (energy,) = [float(line.split()[-1]) for line in lines if line.startswith(" ENERGY|")]
    start = next(i for i, line in enumerate(lines) if "atomic forces in [" in line.lower() or "Atomic forces [" in line)
    stop = next(i for i in range(start, len(lines)) if "SUM OF" in lines[i] or "FORCES| Sum" in lines[i])
    rows = [line.replace("FORCES|", "").split() for line in lines[start:stop]]
    forces = [row[-3:] if len(row) == 6 else row[1:4] for row in rows if row and row[0].isdigit()]
    head = next(i for i, line in enumerate(lines) if "Analytical stress tensor [" in line)
    scale = {"[GPa]": 1.0, "[bar]": 1e-4}[lines[head].split()[-1]]
    stress = [line.split()[2:5] for line in lines[head + 2 : head + 5]]
    return energy, np.array(forces, dtype=float), np.array(stress, dtype=float) * scale


def atoms_by_hand(path: Path) -> tuple[Atoms, dict]:
    """Read the frame and the cut-offs out of an input file."""
    text = path.read_text()
    rows = re.findall(r"^ +([A-Z][a-z]?) +([\d.]+) +([\d.]+) +([\d.]+)$", text, re.MULTILINE)
    (edges,) = re.findall(r"ABC (.*)", text)
    (cutoff,), (relative,) = re.findall(r"@SET CUT (\d+)", text), re.findall(r"REL_CUTOFF \[Ry\] (\d+)", text)
    atoms = Atoms([row[0] for row in rows], [[float(x) for x in row[1:]] for row in rows], pbc=True)
    atoms.set_cell([float(x) for x in edges.split()])
    return atoms, {"cutoff_Ry": float(cutoff), "rel_cutoff_Ry": float(relative)}


def check_by_hand(name: str) -> None:
    atoms, cutoffs = atoms_by_hand(DATA / name)
    energy, forces, stress = run_by_hand(DATA / name)
    label = Engine(section(SETTINGS | cutoffs), threads=1).label(atoms)
    assert label.reason is None
    assert forces.shape == (len(atoms), 3)
    differences = {
        "energy_ha": abs(label.energy_ev / Hartree - energy),
        "force_ha_bohr": np.abs(label.forces_ev_a * Bohr / Hartree - forces).max(),
        "stress_gpa": np.abs(-label.stress_ev_a3 / GPa - stress).max(),
    }
    print(name, len(atoms), "atoms:", ", ".join(f"{key} {value:.2g}" for key, value in differences.items()))
    assert differences["energy_ha"] < 1e-6
    assert differences["force_ha_bohr"] < 1e-5
    assert differences["stress_gpa"] < 1e-3


@needs_cp2k
@pytest.mark.all
def test_a_label_is_what_cp2k_gives_by_hand():
    check_by_hand("libf4.inp")


@needs_cp2k
@pytest.mark.long
@pytest.mark.parametrize("name", ["pyr14bf4.inp", "litfsi.inp"])
def test_a_label_of_an_ionic_liquid_is_what_cp2k_gives_by_hand(name):
    check_by_hand(name)


# --- Derivatives, guesses ------------------------------------------------------------------------------


def check_derivatives(atoms: Atoms, settings: dict, components: list, strains: list, force: float) -> Label:
    """Compare forces and stress with central differences of the energy, in one chain of warm starts; returns the label.

    `force` is the tolerance (eV/A): gradients of a density on a grid are rough where the density is low.
    """
    engine = Engine(section(settings), threads=1)
    label = engine.label(atoms)
    assert label.converged
    print(f"net force {np.linalg.norm(label.forces_ev_a.sum(axis=0)):.4f} eV/A")
    derivatives = {}
    step = 5e-3
    for atom, axis in components:
        slope = 0.0
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            slope += sign * engine.label(moved).energy_ev / (2 * step)
        derivatives[f"force of {atoms.symbols[atom]}{atom} along {'xyz'[axis]} (eV/A)"] = (
            label.forces_ev_a[atom, axis],
            -slope,
            force,
        )
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
        derivatives[f"stress {'xyz'[i]}{'xyz'[j]} (eV/A^3)"] = (
            label.stress_ev_a3[i, j],
            slope / atoms.get_volume(),
            2e-5,
        )
    for what, (said, slope, tolerance) in derivatives.items():
        print(f"{what}: {said:.6f}, from energies {slope:.6f}")
        assert said == pytest.approx(slope, abs=tolerance), what
    return label


@needs_cp2k
@pytest.mark.all
@pytest.mark.parametrize(
    ("components", "strains"),
    [
        ([(3, 1)], [(0, 1)]),
        pytest.param([(0, 0), (1, 2)], [(0, 0)], marks=pytest.mark.long),
    ],
)
def test_forces_and_stress_are_derivatives_of_the_energy(components, strains):
    """On LiBF4, measured: within 0.00004 eV/A and 0.000002 eV/A^3; a net force of 0.026 eV/A."""
    settings = SETTINGS | {"cutoff_Ry": 800, "rel_cutoff_Ry": 60}
    label = check_derivatives(lithium_tetrafluoroborate(), settings, components, strains, force=0.003)
    assert values_problem(label.energy_ev, label.forces_ev_a, label.stress_ev_a3, 6) is None


@needs_cp2k
@pytest.mark.long
def test_forces_and_stress_of_a_meta_gga():
    """At 1200 Ry, measured: within 0.0003 eV/A and 0.000001 eV/A^3. `theory` has what is left of it on other grids."""
    settings = {"theory": "r2SCAN-D3(BJ)", "quality": "economy", "cutoff_Ry": 1200, "eps_scf": 1e-7}
    check_derivatives(lithium_fluoride(), settings, [(0, 0), (1, 1)], [(0, 0), (1, 2)], force=0.003)


@needs_cp2k
@pytest.mark.long
@pytest.mark.parametrize(("name", "component"), [("pyr14bf4.inp", (0, 1)), ("litfsi.inp", (15, 2))])
def test_forces_and_stress_of_an_ionic_liquid(name, component):
    """On the grid of production, where such a frame is taken as a label.

    Measured: within 0.0007 eV/A and 0.000001 eV/A^3, with net forces of 0.044 (the pair) and 0.034 eV/A. At 300 Ry the slopes are
    as near, and the net forces of 0.34 and 0.67 eV/A say that the energy depends on where the grid lies: no label.
    """
    atoms, _ = atoms_by_hand(DATA / name)
    settings = SETTINGS | {"cutoff_Ry": 1200, "rel_cutoff_Ry": 60}
    label = check_derivatives(atoms, settings, [component], [(0, 0)], force=0.003)
    assert values_problem(label.energy_ev, label.forces_ev_a, label.stress_ev_a3, len(atoms)) is None


@needs_cp2k
@pytest.mark.all
def test_forces_of_an_ion_alone_are_derivatives_of_its_energy():
    """Of BF4-; at 300 Ry measured: within 0.00006 eV/A. At 1200 Ry its forces sum to 0.017 eV/A, at 300 Ry to 0.31."""
    ion = shown(tetrafluoroborate())
    label = check_derivatives(ion, COARSE, [(0, 1)], [], force=0.003)
    np.testing.assert_allclose(label.stress_ev_a3, virial_stress(ion, label.forces_ev_a), atol=1e-12)


@needs_cp2k
def test_an_ion_alone_need_not_be_in_a_cube():
    """Its box is as long as the ion in each direction, with room around it, and CP2K's wavelets know cubes alone."""
    positions = np.array([[3.0, 3.0, 3.0], [3.0, 3.0, 3.97]])
    frame = make_frame(np.array([8, 1]), positions, [6.0, 6.2, 6.97], [0, 0], ["oh"] * 2, charge=-1)
    label = Engine(section(COARSE | {"cutoff_Ry": 100.0}), threads=1).label(shown(frame))
    assert label.reason is None
    np.testing.assert_allclose(label.stress_ev_a3, virial_stress(frame, label.forces_ev_a), atol=1e-12)


@needs_cp2k
@pytest.mark.long
def test_a_molecule_alone_is_as_in_a_large_box():
    """Measured: 0.0013 eV (PySCF: as much) and 0.015 eV/A."""
    frame = boron_trifluoride()
    alone, periodic = (Engine(section(SETTINGS), threads=1).label(atoms) for atoms in (shown(frame), frame))
    assert alone.energy_ev == pytest.approx(periodic.energy_ev, abs=2e-3)
    np.testing.assert_allclose(alone.forces_ev_a, periodic.forces_ev_a, atol=0.02)


@needs_cp2k
@pytest.mark.all
def test_a_warm_start_saves_steps_and_changes_nothing():
    """Within the 1e-4 Ha/Bohr that labels are held to."""
    near = lithium_fluoride()
    near.positions[1] += [0.02, -0.01, 0.01]
    chained = Engine(section(SETTINGS), threads=1)
    chained.label(near)
    warm = chained.label(lithium_fluoride())
    cold = chained.label(lithium_fluoride(), cold=True)
    assert (warm.guess, cold.guess) == ("chained", "cold")
    assert 0 < warm.scf_steps < cold.scf_steps
    assert np.abs(warm.forces_ev_a - cold.forces_ev_a).max() < 1e-4 * Hartree / Bohr
    assert warm.energy_ev == pytest.approx(cold.energy_ev, abs=1e-5)
    assert np.abs(warm.stress_ev_a3 - cold.stress_ev_a3).max() < 1e-4
    assert chained.version.startswith("CP2K 20")


@needs_cp2k
@pytest.mark.all
def test_no_convergence_is_a_reason_after_every_attempt(monkeypatch):
    monkeypatch.setattr(cp2k_input, "INNER_STEPS", 2)
    ladder = tuple(Attempt(attempt.start, attempt.optimiser, 1) for attempt in cp2k.LADDER)
    monkeypatch.setattr(cp2k, "LADDER", ladder)
    label = Engine(section(COARSE), threads=1).label(lithium_fluoride())
    assert label.reason == "scf_not_converged"
    assert label.energy_ev is None
    assert label.scf_steps >= 6


@needs_cp2k
@pytest.mark.all
def test_diagonalised_and_turned_end_in_the_same_state(monkeypatch):
    """Small boxes are diagonalised and mixed, large ones turned: where both are done, they agree."""
    mixed = Engine(section(COARSE), threads=1).label(lithium_tetrafluoroborate())
    monkeypatch.setattr(cp2k_input, "MIXED_ATOMS", 0)
    engine = Engine(section(COARSE), threads=1)
    turned = engine.label(lithium_tetrafluoroborate())
    assert "&OT" in engine.inputs.text(lithium_tetrafluoroborate(), cp2k.LADDER[1], restart=False)
    assert turned.energy_ev == pytest.approx(mixed.energy_ev, abs=1e-5)
    assert np.abs(turned.forces_ev_a - mixed.forces_ev_a).max() < 1e-4 * Hartree / Bohr
    assert mixed.scf_steps < turned.scf_steps


@needs_cp2k
@pytest.mark.all
def test_more_steps_go_on_from_where_the_last_attempt_ended(monkeypatch):
    """The last attempt ends where a cold start does, though the attempts before it were cut short."""
    ladder = [Attempt(attempt.start, attempt.optimiser, 1) for attempt in cp2k.LADDER]
    with monkeypatch.context() as short:
        short.setattr(cp2k_input, "INNER_STEPS", 8)
        short.setattr(cp2k, "LADDER", (*ladder[:3], cp2k.LADDER[3]))
        label = Engine(section(COARSE), threads=1).label(lithium_fluoride())
    cold = Engine(section(COARSE), threads=1).label(lithium_fluoride())
    assert (label.guess, cold.guess) == ("retry", "cold")
    assert label.energy_ev == pytest.approx(cold.energy_ev, abs=1e-5)


# --- Mistakes ------------------------------------------------------------------------------------------


@needs_cp2k
def test_a_basis_that_an_element_lacks_ends_the_chunk_with_a_line(tmp_path):
    atoms = lithium_fluoride()
    frame = make_frame(
        atoms.numbers, atoms.positions, atoms.cell.array, np.arange(2), ["li", "f"],
        liquid="lif", kind="eq", recipe="equilibrium", group="g",
    )  # fmt: skip
    settings = LabelSettings.of(section(SETTINGS | {"basis": "NO-SUCH-BASIS"}), "0123456789ab")
    with pytest.raises(UserError, match=r"labels\.basis: CP2K has no 'NO-SUCH-BASIS' for F; it has DZVP-MOLOPT"):
        labelling.label_chunk(settings, [frame], str(tmp_path / "out"), 1, Store(None, settings.theory_id))


@needs_cp2k
def test_a_dispersion_that_nobody_fitted_is_refused():
    with pytest.raises(UserError, match="there is no D3 for r2SCAN"):
        Engine(section(SETTINGS | {"functional": "r2SCAN", "dispersion": "D3"}), threads=1)


@needs_cp2k
@pytest.mark.parametrize("theory", ["PBE-D3(BJ)", "revPBE-D3", "r2SCAN-D3(BJ)"])
@pytest.mark.parametrize("quality", ["economy", "production"])
def test_cp2k_has_every_basis_and_potential_of_the_presets(theory, quality):
    engine = Engine(section({"theory": theory, "quality": quality}), threads=1)
    text = engine.inputs.text(Atoms("HLiBCNOFS", cell=[9, 9, 9], pbc=True), cp2k.LADDER[1], restart=False)
    assert text.count("&KIND") == 8


def test_without_cp2k_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"labels\.engine: cp2k is not installed"):
        Engine(section(SETTINGS), threads=1)


# --- Faults: of the real program -----------------------------------------------------------------------


def children(pid: int) -> list[int]:
    """Return the processes below a process, children first."""
    try:
        direct = [int(p) for path in Path(f"/proc/{pid}/task").glob("*/children") for p in path.read_text().split()]
    except FileNotFoundError:
        return []
    return direct + [deeper for child in direct for deeper in children(child)]


def cp2k_below(pid: int) -> int | None:
    """Return the process below `pid` that has become CP2K, if there is one."""
    real = os.path.realpath(CP2K)
    for child in children(pid):
        try:
            if str(Path(f"/proc/{child}/exe").readlink()) == real:
                return child
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return None


def awaited(ask, seconds: float = 300):
    """Return the first true answer of `ask`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(0.02)
    raise AssertionError("waited in vain")


@needs_cp2k
@pytest.mark.all
def test_a_killed_engine_costs_its_frame_and_no_other():
    engine = Engine(section(COARSE), threads=1)
    killer = threading.Thread(target=lambda: os.kill(awaited(lambda: cp2k_below(os.getpid())), signal.SIGKILL))
    killer.start()
    label = engine.label(lithium_fluoride())
    killer.join()
    assert label.reason == "engine_killed"
    assert label.energy_ev is None
    after = engine.label(lithium_fluoride())
    assert (after.reason, after.guess) == (None, "cold")
    assert list(Path.cwd().iterdir()) == []


@needs_cp2k
@pytest.mark.all
def test_cp2k_ends_with_the_process_that_started_it(tmp_path):
    script = (
        f"import sys; sys.path.insert(0, {str(BIN)!r})\n"
        "from ase import Atoms\nfrom ionmelt.labels.engines.cp2k import Engine\n"
        "from ionmelt.labels.engines.settings import Cp2kLabels\n"
        "atoms = Atoms('LiF', [[1, 1, 1], [3, 3, 3]], cell=[9, 9, 9], pbc=True)\n"
        f"Engine(Cp2kLabels.model_validate({SETTINGS | {'cutoff_Ry': 800}!r}), 1).label(atoms)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path) as started:
        orphan = awaited(lambda: cp2k_below(started.pid))
        started.kill()
    awaited(lambda: not Path(f"/proc/{orphan}").exists() or "Z" in Path(f"/proc/{orphan}/stat").read_text().split()[2])


@needs_cp2k
@pytest.mark.all
@pytest.mark.parametrize("limit", [500, 5000])  # bytes: too little for our input; enough for it, not for CP2K's files
def test_a_full_disk_is_a_reason(monkeypatch, limit):
    """A limit on the size of files stands for the disk: what a write meets is an error either way."""
    monkeypatch.setattr(cp2k_input, "INNER_STEPS", 2)  # CP2K writes its wave function at the end of a loop
    engine, atoms = Engine(section(COARSE), threads=1), lithium_tetrafluoroborate()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        label = engine.label(atoms)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert label.reason == "disk_full"
    assert label.energy_ev is None
