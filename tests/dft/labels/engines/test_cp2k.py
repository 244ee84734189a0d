"""CP2K labels: the same input by hand, derivatives, a guess that does not move them, faults, and its own words."""

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
from ase.units import Bohr, GPa, Hartree, bar
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_salts import boron_trifluoride, lithium_fluoride, lithium_tetrafluoroborate, tetrafluoroborate

from ionmelt.errors import UserError
from ionmelt.frame import Label, make_frame, shown, values_problem, virial_stress
from ionmelt.labels import labelling
from ionmelt.labels.engines import cp2k
from ionmelt.labels.engines.cp2k import Attempt, Engine
from ionmelt.labels.engines.cp2k_data import basis_name, potential_name
from ionmelt.labels.engines.cp2k_output import failure, force_table, scf_steps, stress_tensor, total_energy
from ionmelt.labels.engines.settings import Cp2kLabels
from ionmelt.labels.settings import LabelSettings
from ionmelt.labels.store import Store

DATA = Path(__file__).resolve().parents[3] / "data"
BIN = Path(cp2k.__file__).resolve().parents[3]
CP2K = next((path for name in cp2k.BINARIES if (path := shutil.which(name))), None)
needs_cp2k = pytest.mark.skipif(CP2K is None, reason="CP2K is not installed here; it is in the dft image")
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
COARSE = SETTINGS | {"cutoff_Ry": 120, "rel_cutoff_Ry": 30}  # where numbers do not matter


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
    label = Engine(SETTINGS | cutoffs, threads=1).label(atoms)
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
    engine = Engine(settings, threads=1)
    label = engine.label(atoms)
    assert label.converged
    print(f"net force {np.linalg.norm(label.forces_ev_a.sum(axis=0)):.4f} eV/A")
    found = {}
    step = 5e-3
    for atom, axis in components:
        slope = 0.0
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            slope += sign * engine.label(moved).energy_ev / (2 * step)
        found[f"force of {atoms.symbols[atom]}{atom} along {'xyz'[axis]} (eV/A)"] = (
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
        found[f"stress {'xyz'[i]}{'xyz'[j]} (eV/A^3)"] = label.stress_ev_a3[i, j], slope / atoms.get_volume(), 2e-5
    for what, (said, slope, tolerance) in found.items():
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
@pytest.mark.long
def test_a_molecule_alone_is_as_in_a_large_box():
    """Measured: 0.0013 eV (PySCF: as much) and 0.015 eV/A."""
    frame = boron_trifluoride()
    alone, periodic = (Engine(SETTINGS, threads=1).label(atoms) for atoms in (shown(frame), frame))
    assert alone.energy_ev == pytest.approx(periodic.energy_ev, abs=2e-3)
    np.testing.assert_allclose(alone.forces_ev_a, periodic.forces_ev_a, atol=0.02)


@needs_cp2k
@pytest.mark.all
def test_a_warm_start_saves_steps_and_changes_nothing():
    """Within the 1e-4 Ha/Bohr that labels are held to."""
    near = lithium_fluoride()
    near.positions[1] += [0.02, -0.01, 0.01]
    chained = Engine(SETTINGS, threads=1)
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
    monkeypatch.setattr(cp2k, "INNER_STEPS", 2)
    ladder = tuple(Attempt(attempt.start, attempt.optimiser, 1) for attempt in cp2k.LADDER)
    monkeypatch.setattr(cp2k, "LADDER", ladder)
    label = Engine(COARSE, threads=1).label(lithium_fluoride())
    assert label.reason == "scf_not_converged"
    assert label.energy_ev is None
    assert label.scf_steps >= 6


@needs_cp2k
@pytest.mark.all
def test_more_steps_go_on_from_where_the_last_attempt_ended(monkeypatch):
    """The last attempt ends where a cold start does, though the attempts before it were cut short."""
    ladder = [Attempt(attempt.start, attempt.optimiser, 1) for attempt in cp2k.LADDER]
    with monkeypatch.context() as short:
        short.setattr(cp2k, "INNER_STEPS", 12)
        short.setattr(cp2k, "LADDER", (*ladder[:3], cp2k.LADDER[3]))
        label = Engine(COARSE, threads=1).label(lithium_fluoride())
    cold = Engine(COARSE, threads=1).label(lithium_fluoride())
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
    section = Cp2kLabels.model_validate(SETTINGS | {"engine": "cp2k", "basis": "NO-SUCH-BASIS"})
    settings = LabelSettings.of(section, "0123456789ab")
    with pytest.raises(UserError, match=r"labels\.basis: CP2K has no 'NO-SUCH-BASIS' for F; it has DZVP-MOLOPT"):
        labelling.label_chunk(settings, [frame], str(tmp_path / "out"), 1, Store(None, settings.theory_id))


@needs_cp2k
@pytest.mark.parametrize("name", ["functional", "dispersion"])
def test_a_mistake_is_named(name):
    with pytest.raises(UserError, match=rf"labels\.{name}: 'other' is not known"):
        Engine(SETTINGS | {name: "other"}, threads=1)


@needs_cp2k
def test_a_dispersion_that_nobody_fitted_is_refused():
    with pytest.raises(UserError, match="there is no D3 for r2SCAN"):
        Engine(SETTINGS | {"functional": "r2SCAN", "dispersion": "D3"}, threads=1)


@needs_cp2k
@pytest.mark.parametrize("theory", ["PBE-D3(BJ)", "revPBE-D3", "r2SCAN-D3(BJ)"])
@pytest.mark.parametrize("quality", ["economy", "production"])
def test_cp2k_has_every_basis_and_potential_of_the_presets(theory, quality):
    engine = Engine({"theory": theory, "quality": quality}, threads=1)
    text = engine.input_text(Atoms("HLiBCNOFS", cell=[9, 9, 9], pbc=True), cp2k.LADDER[1], restart=False)
    assert text.count("&KIND") == 8


def test_without_cp2k_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"labels\.engine: cp2k is not installed"):
        Engine(SETTINGS, threads=1)


# --- Faults: of the real program -----------------------------------------------------------------------


def children(pid: int) -> list[int]:
    """Return the processes below a process, children first."""
    try:
        own = [int(p) for path in Path(f"/proc/{pid}/task").glob("*/children") for p in path.read_text().split()]
    except FileNotFoundError:
        return []
    return own + [deeper for child in own for deeper in children(child)]


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


def awaited(found, seconds: float = 300):
    """Return the first true answer of `found`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.02)
    raise AssertionError("waited in vain")


@needs_cp2k
@pytest.mark.all
def test_a_killed_engine_costs_its_frame_and_no_other():
    engine = Engine(COARSE, threads=1)
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
        "atoms = Atoms('LiF', [[1, 1, 1], [3, 3, 3]], cell=[9, 9, 9], pbc=True)\n"
        f"Engine({SETTINGS | {'cutoff_Ry': 800}!r}, 1).label(atoms)\n"
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
    monkeypatch.setattr(cp2k, "INNER_STEPS", 2)  # CP2K writes its wave function at the end of a loop
    engine, atoms = Engine(COARSE, threads=1), lithium_tetrafluoroborate()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        label = engine.label(atoms)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert label.reason == "disk_full"
    assert label.energy_ev is None


# --- Faults: injected by a program in CP2K's place that gives real files, damaged -----------------------

LIF = {name: (DATA / f"lif.{name}").read_text() for name in ("out", "forces", "stress")}
UNCONVERGED = (
    LIF["out"]
    .replace("*** SCF run converged in    15 steps ***", "*** WARNING in qs_scf.F:598 :: SCF run NOT converged ***")
    .replace("outer SCF loop converged in   2 iterations", "outer SCF loop FAILED to converge after   2 iterations")
)
GOOD_RUN = "cat $FAKE/out; cp $FAKE/forces frame-forces-1_0.xyz; cp $FAKE/stress frame-stress-1_0.stress_tensor; echo w > frame-RESTART.wfn"


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Return a function that says what the next runs of CP2K do, as shell; every input they got is in seen/."""
    folder = tmp_path / "fake"
    (folder / "seen").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "data" / "GTH_POTENTIALS").write_text("Li GTH-PBE-q3 GTH-PBE\n 3\nF GTH-PBE-q7 GTH-PBE\n 2 5\n")
    (folder / "data" / "BASIS_MOLOPT").write_text("Li DZVP-MOLOPT-SR-GTH\n 1\nF DZVP-MOLOPT-SR-GTH\n 1\n")
    program = folder / "cp2k.ssmp"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in *--version*) echo " CP2K version 2023.1"; exit;; esac\n'
        "set -- $FAKE/seen/*\n"
        "n=$#; [ -e $1 ] || n=0\n"
        "cp frame.inp $FAKE/seen/$n.inp\n"
        "[ ! -e guess.wfn ] || cp guess.wfn $FAKE/seen/$n.inp.guess\n"
        ". $FAKE/do\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setenv("CP2K_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name, text in LIF.items():
        (folder / name).write_text(text)

    def do(shell: str, **files: str) -> None:
        (folder / "do").write_text(shell + "\n")
        for name, text in {**LIF, **files}.items():
            (folder / name).write_text(text)

    do.inputs = lambda: [
        path.read_text() for path in sorted((folder / "seen").glob("*.inp"), key=lambda p: int(p.stem))
    ]
    return do


def with_energy(text: str) -> str:
    return re.sub(r"(?<=energy \[a\.u\.\]:).*", f"{text:>31}", LIF["out"])


FAULTS = {
    "nan_energy": ("non_finite", GOOD_RUN, {"out": with_energy("NaN")}),
    "nan_scf": ("non_finite", GOOD_RUN, {"out": re.sub(r"(15 OT DIIS .*) -31\.\d+", r"\1            NaN", LIF["out"])}),
    "nan_force": ("non_finite", GOOD_RUN, {"forces": LIF["forces"].replace("0.015452314355", "           NaN")}),
    "asterisks_in_force": ("non_finite", GOOD_RUN, {"forces": LIF["forces"].replace("-0.015684572290", "***************")}),
    "infinite_stress": ("non_finite", GOOD_RUN, {"stress": LIF["stress"].replace("-1.92991412674E+00", "         -Infinity")}),
    "end_missing": ("output_truncated", GOOD_RUN, {"out": LIF["out"].split("  **** **** ******  **  PROGRAM ENDED")[0]}),
    "energy_missing": ("output_truncated", GOOD_RUN, {"out": re.sub(r" ENERGY\|.*\n", "", LIF["out"])}),
    "energies_differ": ("output_truncated", GOOD_RUN, {"out": with_energy("-31.744522864602861")}),
    "forces_cut_in_a_number": ("output_truncated", GOOD_RUN, {"forces": LIF["forces"][:-70]}),
    "forces_empty": ("output_truncated", GOOD_RUN, {"forces": ""}),
    "stress_not_written": ("output_truncated", GOOD_RUN + "; rm frame-stress*", {}),
    "forces_of_another_frame": ("output_truncated", GOOD_RUN + "; cp frame-forces-1_0.xyz frame-forces-1_1.xyz", {}),
    "aborted": ("engine_error", "echo ' *  [ABORT]  *'; exit 1", {}),
    "aborted_by_itself": ("engine_error", "echo ' *  [ABORT]  *'; kill -ABRT $$", {}),
    "killed": ("engine_killed", "cat $FAKE/out; kill -9 $$", {}),
    "segmentation_fault": ("engine_killed", "kill -SEGV $$", {}),
    "disk_full": ("disk_full", f"{GOOD_RUN}; cp $FAKE/out /dev/full; exit 2", {}),
    "disk_full_without_a_word": ("disk_full", "kill -XFSZ $$", {}),
    "not_converged": ("scf_not_converged", GOOD_RUN, {"out": UNCONVERGED}),
    "says_nothing_of_convergence": ("scf_not_converged", GOOD_RUN, {"out": re.sub(r"  outer SCF loop .*\n", "", LIF["out"])}),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_a_reason_and_the_next_frame_starts_cold(fake, fault):
    reason, shell, files = FAULTS[fault]
    engine = Engine(SETTINGS, threads=1)
    fake(GOOD_RUN)
    good = engine.label(lithium_fluoride())
    assert good.energy_ev == pytest.approx(-31.744422864602861 * Hartree)
    fake(shell, **files)
    label = engine.label(lithium_fluoride())
    assert (label.reason, label.converged) == (reason, False)
    assert (label.energy_ev, label.forces_ev_a, label.stress_ev_a3) == (None, None, None)
    fake(GOOD_RUN)
    after = engine.label(lithium_fluoride())
    assert (after.reason, after.guess) == (None, "cold")
    assert "SCF_GUESS ATOMIC" in fake.inputs()[-1]
    assert np.array_equal(after.forces_ev_a, good.forces_ev_a)


def test_attempts_differ_in_guess_optimiser_and_length_alone(fake):
    engine = Engine(SETTINGS, threads=1)
    fake(GOOD_RUN)
    engine.label(lithium_fluoride())
    fake(GOOD_RUN, out=UNCONVERGED)
    label = engine.label(lithium_fluoride())
    assert label.scf_steps == 4 * scf_steps(UNCONVERGED) > 0
    attempts = fake.inputs()[1:]
    assert [re.findall(r"SCF_GUESS (\w+)", text)[0] for text in attempts] == ["RESTART", "ATOMIC", "ATOMIC", "RESTART"]
    assert len(set(attempts)) == 4
    how = r" *(SCF_GUESS|MINIMIZER|LINESEARCH|PRECONDITIONER|ENERGY_GAP) .*\n|&OUTER_SCF\n.*\n.*\n"
    assert len({re.sub(how, "", text) for text in attempts}) == 1


def test_a_guess_that_the_engine_stumbles_over_is_left_behind(fake):
    engine = Engine(SETTINGS, threads=1)
    fake(GOOD_RUN)
    engine.label(lithium_fluoride())
    fake(f"[ ! -e guess.wfn ] || exit 1; {GOOD_RUN}")
    label = engine.label(lithium_fluoride())
    assert (label.reason, label.guess) == (None, "retry")


def test_a_frame_that_takes_too_long_is_given_up(fake):
    engine = Engine(SETTINGS | {"max_frame_s": 1}, threads=1)
    fake("cat $FAKE/out; exec sleep 600", out=LIF["out"][:3000])
    label = engine.label(lithium_fluoride())
    assert label.reason == "engine_timeout"
    assert label.scf_steps == scf_steps(LIF["out"][:3000]) > 0


def test_what_is_not_cp2k_is_refused(fake, tmp_path):
    (tmp_path / "fake" / "cp2k.ssmp").write_text("#!/bin/sh\necho hello\n")
    with pytest.raises(UserError, match="names no version of CP2K"):
        Engine(SETTINGS, threads=1)


# CP2K's words: 2023.1 and 2025.1.
FORCES_2023 = """\
 ATOMIC FORCES in [a.u.]

 # Atom   Kind   Element          X                  Y                  Z
      1      1      Li          0.007771236877     0.010511390578     0.008085266764
      2      2      B           0.033263630859     0.014526662179    -0.013243069773
 SUM OF ATOMIC FORCES           0.041034867736     0.025038052757    -0.005157803009     0.048346850000
"""
FORCES_2025 = """\
 FORCES| Atomic forces [hartree/bohr]
 FORCES| Atom x                   y                   z                   |f|
 FORCES|    1  7.771236877E-03  1.051139057E-02  8.085266764E-03  1.537E-02
 FORCES|    2  3.326363085E-02  1.452666217E-02 -1.324306977E-02  3.863E-02
 FORCES| Sum   4.103486774E-02  2.503805276E-02 -5.157803006E-03  4.835E-02
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

# --- Damage: whatever happens to a file, what is read is true or nothing -------------------------------


@st.composite
def damaged(draw, text: str) -> str:
    """Return a text that was cut, whose lines were moved, doubled or dropped, or whose bits or words changed."""
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(["cut", "swap", "double", "drop", "bit", "word"]))
        lines = text.splitlines(keepends=True)
        if not lines:
            return text
        i, j = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        if kind == "cut":
            text = text[: draw(st.integers(0, len(text)))]
        elif kind == "swap":
            lines[i], lines[j] = lines[j], lines[i]
            text = "".join(lines)
        elif kind in ("double", "drop"):
            lines[i : i + 1] = [lines[i], lines[i]] if kind == "double" else []
            text = "".join(lines)
        elif kind == "bit" and text:
            place, bit = draw(st.integers(0, len(text) - 1)), draw(st.integers(0, 7))
            text = text[:place] + chr((ord(text[place]) ^ (1 << bit)) & 0xFF) + text[place + 1 :]
        elif words := list(re.finditer(r"-?\d+\.\d+\S*", text)):
            word = words[draw(st.integers(0, len(words) - 1))]
            other = draw(st.sampled_from(["NaN", "Infinity", "*" * len(word[0]), "", word[0][:-3], "1.0E+00", "1_0.5"]))
            text = text[: word.start()] + other + text[word.end() :]
    return text


def read_or_refused(read, text: str):
    """Return what is read from a text; None where it is refused as it should be."""
    try:
        return read(text)
    except ValueError:
        return None


@settings(max_examples=examples(1500))
@given(damaged(LIF["forces"]))
def test_damaged_forces_are_refused_or_true(text):
    forces = read_or_refused(lambda damaged: force_table(damaged, 2), text)
    assert forces is None or np.allclose(forces, force_table(LIF["forces"], 2), rtol=0, atol=5e-12)


@settings(max_examples=examples(1500))
@given(damaged(FORCES_2025))
def test_damaged_forces_of_the_new_layout_are_refused_or_true(text):
    forces = read_or_refused(lambda damaged: force_table(damaged, 2), text)
    assert forces is None or np.allclose(forces, force_table(FORCES_2025, 2), rtol=0, atol=1e-10)


@settings(max_examples=examples(1500))
@given(damaged(LIF["stress"]))
def test_a_damaged_stress_is_refused_or_true(text):
    stress = read_or_refused(stress_tensor, text)
    assert stress is None or np.allclose(stress, stress_tensor(LIF["stress"]), rtol=0, atol=1e-10 * GPa)


@settings(max_examples=examples(1500))
@given(damaged(LIF["out"]))
def test_a_damaged_output_gives_the_true_energy_or_none(text):
    energy = None if failure(0, text, "") else read_or_refused(lambda damaged: total_energy(damaged, 2), text)
    assert energy is None or energy == pytest.approx(-31.744422864602861, abs=4e-7)


@settings(max_examples=examples(1500))
@given(damaged(UNCONVERGED))
def test_a_damaged_output_never_makes_an_scf_converge(text):
    assert failure(0, text, "") is not None


# --- CP2K's words ---------------------------------------------------------------------------------------


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
    assert failure(0, LIF["out"], "") is None
    assert scf_steps(LIF["out"]) == 40
    assert total_energy(LIF["out"], 2) == -31.744422864602861
    assert failure(0, UNCONVERGED, "") == "scf_not_converged"
    with pytest.raises(ValueError, match="holds 0 total energies"):
        total_energy("", 2)


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


def test_a_potential_without_its_charge_has_the_electrons_of_the_usual_one(tmp_path):
    (tmp_path / "GTH_POTENTIALS").write_text("Li GTH-PBE-q1\n 1\nLi GTH-PBE-q3 GTH-PBE\n 3\n")
    (tmp_path / "POTENTIAL_UZH").write_text("Li GTH-SCAN-q1 GTH-MGGA-q1\n 1\nLi GTH-SCAN-q3 GTH-MGGA-q3\n 3\n")
    assert potential_name(tmp_path, "Li", "GTH-SCAN") == ("POTENTIAL_UZH", "GTH-SCAN-q3")
    assert potential_name(tmp_path, "Li", "GTH-SCAN-q1") == ("POTENTIAL_UZH", "GTH-SCAN-q1")
    assert potential_name(tmp_path, "Li", "GTH-PBE") == ("GTH_POTENTIALS", "GTH-PBE")


def test_a_stress_with_a_row_missing_is_not_filled_from_the_eigenvectors() -> None:
    lines = STRESS.format(unit="GPa").splitlines(keepends=True)
    for missing in range(2, 5):
        with pytest.raises(ValueError, match="not complete"):
            stress_tensor("".join(lines[:missing] + lines[missing + 1 :]))
