"""Labelled frames of CP2K, as `Found` of ionmelt/labels/foreign/blocks.py: single points, and dynamics with the files that CP2K writes beside.

ASE reads no output of CP2K (dpdata 1.1 does, but leaves out the stress of CP2K 2023 in silence), so all of it is read here.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.units import Bohr, GPa, Hartree, bar, second

from ionmelt.errors import UserError
from ionmelt.labels.foreign.blocks import Found
from ionmelt.labels.foreign.files import CP2K_STEP, CP2K_TABLE

NUMBER = r"(-?\d[-+.\dEe]*)"
THREE = rf"\s+{NUMBER}\s+{NUMBER}\s+{NUMBER}"
START = re.compile(r"^.*PROGRAM STARTED AT.*$", re.M)
ENERGY = re.compile(r"^ ENERGY\| Total FORCE_EVAL .*?(-?\d+\.\d+)\s*$", re.M)
STRESSES = (
    # the engine's own table, 8 and newer; before, without the names of the lines
    re.compile(
        r"(?:Analytical|Numerical) stress tensor \[(?P<unit>\w+)\]\s*\n.*\n"
        rf" STRESS\|\s+x{THREE}\s*\n STRESS\|\s+y{THREE}\s*\n STRESS\|\s+z{THREE}\s*\n"
    ),
    re.compile(
        rf"STRESS TENSOR \[(?P<unit>\w+)\]\s*\n\s*\n?\s+X\s+Y\s+Z\s*\n\s+X{THREE}\s*\n\s+Y{THREE}\s*\n\s+Z{THREE}\s*\n"
    ),
)
STRESS_UNITS = {"GPa": GPa, "bar": bar, "kbar": 1e3 * bar}
LENGTH_UNITS = {"ang": 1.0, "angstrom": 1.0, "bohr": Bohr}
ATOMS = rf"(?m)^\s+(\d+)\s+\d+\s+([A-Z][a-z]?)\s+\d+{THREE}\s+\S+\s+\S+\s*$"
# What is printed of a step of dynamics, in the words of CP2K 8 and newer, and of those before
STEP = re.compile(r"^ (?:MD\| Step number|STEP NUMBER\s*=)\s+(\d+)\s*$", re.M)
LENGTHS = re.compile(rf"^ (?:MD(?:_INI)?\| Cell lengths|CELL LNTHS)\s*\[(\w+)\]\s*=?{THREE}", re.M)
ANGLES = re.compile(rf"^ (?:MD(?:_INI)?\| Cell angles|CELL ANGLS)\s*\[deg\]\s*=?{THREE}", re.M)
KINETIC = re.compile(
    rf"^ (?:MD(?:_INI)?\| Kinetic energy \[hartree\]|(?:INITIAL )?KINETIC ENERGY\s*\[a\.u\.\]\s*=)\s+{NUMBER}", re.M
)
SAME_ENERGY_HA = 5e-9  # of one step in two files: they print 8 decimals and more
SAME_CELL_A = 1e-5
AU_TIME = 2.4188843265864e-17 * second  # of the velocities that CP2K writes: Bohr over this


@dataclass
class Evaluation:
    """What a CP2K output says of one structure, and whether its SCF converged.

    Energies are in Hartree, forces in Hartree/Bohr, the stress in eV/A^3 (ASE's sign); of dynamics also the step, edges
    (A) and angles (degrees) of the cell.
    """

    energy: float
    forces: np.ndarray | None
    stress: np.ndarray | None
    converged: bool
    cut_off: bool
    step: int | None = None
    edges: np.ndarray | None = None
    angles: np.ndarray | None = None
    kinetic: float | None = None
    cell: np.ndarray | None = None  # at the start of its run
    npt: bool = False


@dataclass
class Trajectory:
    """A file of positions, forces or velocities: (step, energy in Hartree, names, values (N, 3)) of each frame."""

    name: str
    role: str  # pos, frc or vel
    frames: list[tuple[int, float, list[str], np.ndarray]]


@dataclass
class Run:
    """What one folder holds of CP2K's: outputs by name, trajectories, and tables of nine numbers by step."""

    outputs: dict[str, str] = field(default_factory=dict)
    trajectories: list[Trajectory] = field(default_factory=list)
    tables: dict[str, dict[int, np.ndarray]] = field(default_factory=dict)  # by name of the file
    kinds: dict[str, str] = field(default_factory=dict)  # of those files: cell or stress


def project_of(name: str) -> str:
    """Return the name of a trajectory or table without what CP2K adds, such as lif of lif-pos-1.xyz."""
    return re.sub(r"(-(pos|frc|vel))?-\d+$", "", PurePosixPath(name).stem)


def first(pattern: re.Pattern[str], text: str) -> np.ndarray | None:
    """Return the first three numbers of a line, in A where it names a unit of length; None without such a line."""
    if (match := pattern.search(text)) is None:
        return None
    unit, numbers = (match[1], match.groups()[1:]) if pattern is LENGTHS else ("ang", match.groups())
    return np.array(numbers, dtype=float) * LENGTH_UNITS[unit.lower()]


def by_atom(pattern: str, text: str) -> list[tuple[str, ...]]:
    """Return the rows of a table of atoms, whose first group is the number of the atom; of rows printed twice one."""
    return list({row[0]: row[1:] for row in re.findall(pattern, text)}.values())


def evaluations_of(text: str) -> list[Evaluation]:
    """Return the evaluations of one CP2K run from its output."""
    marks = [match.start() for match in ENERGY.finditer(text)]
    npt = re.search(r"^ MD(?:_PAR)?\| Ensemble [tT]ype\s+NP[TE]", text, re.M) is not None
    found = []
    for place, mark in enumerate(marks):
        last = place + 1 == len(marks)
        before = text[marks[place - 1] if place else 0 : mark]
        after = text[mark : None if last else marks[place + 1]]
        energy = ENERGY.match(after)
        assert energy is not None
        denied = "SCF run NOT converged" in before or "SCF loop FAILED to converge" in before
        claimed = "SCF run converged in" in before or "outer SCF loop converged in" in before
        rows = by_atom(rf"(?m)^\s+(\d+)\s+\d+\s+[A-Za-z]\w*{THREE}\s*$", after)
        rows = rows or by_atom(rf"(?m)^ FORCES\|\s+(\d+){THREE}\s+\S+\s*$", after)
        complete = re.search(r"^ SUM OF ATOMIC FORCES|^ FORCES\| Sum", after, re.M) is not None
        stress = None
        for pattern in STRESSES:
            if match := pattern.search(after):
                unit, *numbers = (match["unit"], *match.groups()[1:])
                tensor = np.array(numbers, dtype=float).reshape(3, 3) * STRESS_UNITS[unit]
                stress = -(tensor + tensor.T) / 2  # there, compression is positive
        step, kinetic = STEP.search(after), KINETIC.search(after)
        found.append(
            Evaluation(
                energy=float(energy[1]),
                forces=np.array(rows, dtype=float) if rows and complete else None,
                stress=stress,
                converged=claimed and not denied,
                cut_off=(bool(rows) and not complete) or (last and "PROGRAM ENDED AT" not in text),
                step=int(step[1]) if step else None,
                edges=first(LENGTHS, after),
                angles=first(ANGLES, after),
                kinetic=float(kinetic[1]) if kinetic else None,
                npt=npt,
            )
        )
    return without_repeats(found)


def without_repeats(evaluations: list[Evaluation]) -> list[Evaluation]:
    """Return evaluations, of those printed twice one: two processes that were started as one print everything twice."""
    kept: list[Evaluation] = []
    for one in evaluations:
        if kept and kept[-1].energy == one.energy and kept[-1].step in (None, one.step):
            first_of_two = kept.pop()
            one.converged |= first_of_two.converged
            one.forces = first_of_two.forces if one.forces is None else one.forces
            one.stress = first_of_two.stress if one.stress is None else one.stress
        kept.append(one)
    return kept


def put_evaluation(found: Found, evaluation: Evaluation) -> None:
    """Put what CP2K says of a structure into `found`."""
    found.energy_ev = evaluation.energy * Hartree
    if evaluation.forces is not None:
        found.forces_ev_a = evaluation.forces * (Hartree / Bohr)
    found.stress_ev_a3 = evaluation.stress
    if evaluation.cut_off:
        found.reason, found.detail = "truncated", "the output ends before PROGRAM ENDED"
    elif not evaluation.converged:
        found.reason, found.detail = "scf_not_converged", "the output does not say that the SCF converged"
    elif evaluation.forces is None:
        found.detail = "print the forces into the output (FORCE_EVAL/PRINT/FORCES), or give PROJECT-frc-1.xyz with it"
    elif evaluation.stress is None:
        found.detail = "have the stress printed: STRESS_TENSOR ANALYTICAL and FORCE_EVAL/PRINT/STRESS_TENSOR"


def read_cp2k(files: Mapping[str, Path], words: list[str]) -> Iterator[Found]:
    """Yield the frames of CP2K's files, by the name that the user gives each; those of one folder belong together.

    An output of single points (PRINT_LEVEL MEDIUM: it must show the coordinates) stands by itself, also with
    several runs in it. One of molecular dynamics shows no coordinates: the trajectory (-pos-1.xyz) must be
    given with it, and -1.cell where the cell changes; they are joined by energy and step. Forces and stress are
    taken from the output, else from -frc-1.xyz and -1.stress. What else is to be said is added to `words`.
    """
    runs: dict[str, Run] = defaultdict(Run)
    for name, path in files.items():
        run, text = runs[str(PurePosixPath(name).parent)], path.read_text(errors="replace")
        lines = text.lstrip("\n").split("\n", 2)
        if match := CP2K_TABLE.match(lines[0]):
            run.kinds[name] = "cell" if match[1] == "Ax" else "stress"
            run.tables[name] = table_of(text, name)
        elif len(lines) > 1 and CP2K_STEP.match(lines[1]):
            role = next((role for role in ("frc", "vel") if f"-{role}" in name), None)
            role = role or ("frc" if "forc" in PurePosixPath(name).name.lower() else "pos")
            run.trajectories.append(Trajectory(name, role, list(trajectory(text, name))))
        else:
            run.outputs[name] = text
    for run in runs.values():
        yield from read_run(run, words)


def table_of(text: str, name: str) -> dict[int, np.ndarray]:
    """Return the tensors (3, 3) of PROJECT-1.cell or PROJECT-1.stress by step."""
    found = {}
    for number, line in enumerate(text.strip().splitlines()[1:], start=2):
        try:
            values = np.array(line.split(), dtype=float)
            found[int(values[0])] = values[2:11].reshape(3, 3)
        except (ValueError, IndexError):
            raise UserError(f"labels.frames: {name}: line {number}: eleven numbers should stand here") from None
    return found


def beside(run: Run, positions: Trajectory, names: Sequence[str]) -> list[str]:
    """Return those of some files that belong to a trajectory: of its project, or all where it is the only one."""
    if sum(trajectory.role == "pos" for trajectory in run.trajectories) == 1:
        return list(names)
    return [name for name in names if project_of(name) == project_of(positions.name)]


def read_run(run: Run, words: list[str]) -> Iterator[Found]:
    """Yield the frames of the files of one folder."""
    positions = [trajectory for trajectory in run.trajectories if trajectory.role == "pos"]
    dynamics: list[tuple[str, Evaluation]] = []  # with the text of its run
    for name, text in run.outputs.items():
        for where, part in parts_of(name, text):
            evaluations = evaluations_of(part)
            if not evaluations:
                yield Found(where, reason="unreadable", detail="no 'ENERGY| Total FORCE_EVAL' in this CP2K output")
                continue
            head = part[: part.index(" ENERGY| Total FORCE_EVAL")]
            vectors = by_atom(rf"(?m)^ CELL\| Vector ([abc]) \[angstrom\]:{THREE}", head)
            if len(vectors) < 3:
                yield Found(where, reason="unreadable", detail="no 'CELL| Vector a, b, c' in this CP2K output")
                continue
            cell = np.array(vectors, dtype=float)
            if not re.search(r"^ MD\| Step number|^ STEP NUMBER", part, re.M):
                yield single(part, where, cell, evaluations)
            elif not positions:
                yield Found(where, reason="unreadable", detail="molecular dynamics: give PROJECT-pos-1.xyz with it")
            else:
                for evaluation in evaluations:
                    evaluation.cell = cell
                    dynamics.append((part, evaluation))
    for own in positions:
        yield from read_dynamics(run, own, dynamics, words)
    if not positions:
        for trajectory_ in run.trajectories:
            yield Found(trajectory_.name, reason="unreadable", detail="give PROJECT-pos-1.xyz, its positions, with it")


def parts_of(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each run of an output. A banner without an energy after it begins no run of its own."""
    starts = [match.start() for match in START.finditer(text)] or [0]
    marks = [match.start() for match in ENERGY.finditer(text)]
    ends = [*starts[1:], len(text)]
    kept = [start for start, end in zip(starts, ends, strict=True) if any(start <= mark < end for mark in marks)]
    firsts = [0, *kept[1:]]
    for run, (start, end) in enumerate(zip(firsts, [*firsts[1:], len(text)], strict=True)):
        yield (f"{name}: run {run}" if len(firsts) > 1 else name), text[start:end]


def read_dynamics(
    run: Run, own: Trajectory, dynamics: list[tuple[str, Evaluation]], words: list[str]
) -> Iterator[Found]:
    """Yield the frames of one trajectory of positions."""
    cells = {
        step: cell
        for name in beside(run, own, [name for name, kind in run.kinds.items() if kind == "cell"])
        for step, cell in run.tables[name].items()
    }
    stresses = {
        step: tensor
        for name in beside(run, own, [name for name, kind in run.kinds.items() if kind == "stress"])
        for step, tensor in run.tables[name].items()
    }
    others = {
        role: [
            frame
            for other in run.trajectories
            if other.role == role and beside(run, own, [other.name])
            for frame in other.frames
        ]
        for role in ("frc", "vel")
    }
    by_step = {role: {frame[0]: frame for frame in frames} for role, frames in others.items()}
    energies = np.array([evaluation.energy for _, evaluation in dynamics])
    still = constant(cells, [evaluation for _, evaluation in dynamics])
    sources: Counter[str] = Counter()
    for step, energy, names, at in own.frames:
        where = f"{own.name}: step {step}"
        fitting = [dynamics[int(index)] for index in np.flatnonzero(np.abs(energies - energy) <= SAME_ENERGY_HA)]
        if not fitting:
            yield Found(where, reason="unreadable", detail="no output holds its energy")
            continue
        part, evaluation = next((entry for entry in fitting if entry[1].step == step), fitting[0])
        elements = elements_of(names, part)
        if isinstance(elements, str):
            yield Found(where, reason="unreadable", detail=elements)
            continue
        cell = cells.get(step, evaluation.cell if still else scaled(evaluation))
        if cell is None:
            said = "its cell is not known: have it printed at every step (MOTION/PRINT/CELL/EACH/MD 1), give PROJECT-1.cell"
            yield Found(where, reason="unreadable", detail=said)
            continue
        found = Found(where, Atoms(elements, at, cell=cell, pbc=True))
        put_evaluation(found, evaluation)
        if found.forces_ev_a is None and (beside_it := by_step["frc"].get(step)) is not None:
            if beside_it[2] != names or abs(beside_it[1] - energy) > SAME_ENERGY_HA:
                found.detail = "the file of forces has other atoms or another energy at this step"
            else:
                found.forces_ev_a, found.detail = beside_it[3] * (Hartree / Bohr), found.reason and found.detail
        if found.stress_ev_a3 is None and step in stresses and found.atoms is not None:
            velocities = by_step["vel"].get(step)
            found.stress_ev_a3, source = potential_stress(
                stresses[step], found.atoms, evaluation, None if velocities is None else velocities[3]
            )
            sources[source] += 1
        yield found
    words += [f"{own.name}: stress of {count} steps from PROJECT-1.stress: {text}" for text, count in sources.items()]


def potential_stress(
    pressure_bar: np.ndarray, atoms: Atoms, evaluation: Evaluation, velocities: np.ndarray | None
) -> tuple[np.ndarray, str]:
    """Return the stress (3, 3) in eV/A^3 of the forces alone, and in words what was done.

    CP2K's file holds the whole pressure tensor, that of the atoms' motion too: sum of m v v over the volume. Without
    velocities (Bohr per atomic unit of time) its trace is known from the kinetic energy, and it is taken as isotropic.
    """
    pressure = (pressure_bar + pressure_bar.T) / 2 * bar
    if velocities is not None:
        v = velocities * (Bohr / AU_TIME)
        motion = np.einsum("i,ia,ib->ab", atoms.get_masses(), v, v) / atoms.get_volume()
        said = "the part of the atoms' motion is taken off, by their velocities"
    elif evaluation.kinetic is not None:
        motion = 2 * evaluation.kinetic * Hartree / (3 * atoms.get_volume()) * np.eye(3)
        said = (
            "the part of the atoms' motion is taken off, by the kinetic energy of the output and as if it were the same "
            "in all directions; PROJECT-vel-1.xyz would tell it exactly"
        )
    else:
        motion = np.zeros((3, 3))
        said = (
            "taken as it is, since the output names no kinetic energy; in dynamics CP2K adds the part of the atoms' motion "
            "(N k T / V): if it did, give PROJECT-vel-1.xyz too"
        )
    return motion - pressure, said


def constant(cells: dict[int, np.ndarray], evaluations: Sequence[Evaluation]) -> bool:
    """Tell whether the cell is the same at all steps: nothing that the files say of it speaks against that."""
    known = list(cells.values())
    known += [evaluation.cell for evaluation in evaluations if evaluation.cell is not None]
    if any(evaluation.npt for evaluation in evaluations):
        return False
    if any(np.abs(cell - known[0]).max() > SAME_CELL_A for cell in known):
        return False
    for evaluation in evaluations:
        if evaluation.edges is not None and evaluation.cell is not None:
            edges = np.linalg.norm(evaluation.cell, axis=1)
            if np.abs(evaluation.edges - edges).max() > 1e-4 * edges.max():
                return False
    return True


def scaled(evaluation: Evaluation) -> np.ndarray | None:
    """Return the cell (A) of a step from the edges that the output gives; None without them, or where angles changed."""
    if evaluation.edges is None or evaluation.cell is None:
        return None
    edges = np.linalg.norm(evaluation.cell, axis=1)
    unit = evaluation.cell / edges[:, None]
    angles = np.degrees(np.arccos([unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]]))
    if evaluation.angles is not None and np.abs(evaluation.angles - angles).max() > 1e-3:
        return None
    return unit * evaluation.edges[:, None]


def elements_of(names: Sequence[str], text: str) -> list[str] | str:
    """Return the elements of the atoms of a trajectory, which may show names of kinds; or what is wrong, as text.

    Names of kinds (Fe1, H_a) are looked up in the output's tables of atoms, where it has one; else the element is what
    the name begins with.
    """
    if all(name in atomic_numbers for name in names):
        return list(names)
    tables = (ATOMS, rf"(?m)^\s+(\d+)\s+\d+\s+([A-Z][a-z]?){THREE}\s*$")
    rows = next((rows for table in tables if (rows := [row[0] for row in by_atom(table, text)])), [])
    if len(rows) == len(names) and all(row in atomic_numbers for row in rows):
        return rows
    found = []
    for name in names:
        letters = re.match(r"[A-Za-z]{0,2}", name)
        start = letters[0] if letters else ""
        two, one = start[:2].capitalize(), start[:1].upper()
        if len(start) == 2 and two in atomic_numbers and (start[1].islower() or one not in atomic_numbers):
            found.append(two)
        elif len(start) == 2 and two in atomic_numbers:
            return f"the kind {name!r} may be {two} or {one}: an output at PRINT_LEVEL MEDIUM tells which"
        elif one in atomic_numbers:
            found.append(one)
        else:
            return f"the kind {name!r} begins with no element"
    return found


def trajectory(text: str, name: str) -> Iterator[tuple[int, float, list[str], np.ndarray]]:
    """Yield (step, energy, names, values (N, 3)) of a file of positions, forces or velocities."""
    lines = text.splitlines()
    place = 0
    while place + 1 < len(lines) and lines[place].strip():
        n_atoms = int(lines[place]) if lines[place].strip().isdigit() else 0
        head = CP2K_STEP.match(lines[place + 1])
        rows = [line.split() for line in lines[place + 2 : place + 2 + n_atoms]]
        try:
            if not n_atoms or head is None or len(rows) < n_atoms or any(len(row) != 4 for row in rows):
                raise ValueError
            values = np.array([row[1:] for row in rows], dtype=float)
            yield int(head[1]), float(head[2]), [row[0] for row in rows], values
        except ValueError:
            said = f"labels.frames: {name}: line {place + 1}: not a frame of a CP2K trajectory; is it cut off?"
            raise UserError(said) from None
        place += 2 + n_atoms


def single(text: str, where: str, cell: np.ndarray, evaluations: list[Evaluation]) -> Found:
    """Return the one frame of a run that moves no atom."""
    rows = by_atom(ATOMS, text)
    if not rows:
        return Found(where, reason="unreadable", detail="no coordinates in this CP2K output: PRINT_LEVEL MEDIUM")
    if len(evaluations) > 1:
        said = f"{len(evaluations)} energies for one structure: give outputs of single points or of dynamics"
        return Found(where, reason="unreadable", detail=said)
    positions = np.array([row[1:] for row in rows], dtype=float)
    if any(row[0] not in atomic_numbers for row in rows):
        return Found(where, reason="unreadable", detail="the table of atoms holds what is no element")
    found = Found(where, Atoms([row[0] for row in rows], positions, cell=cell, pbc=True))
    put_evaluation(found, evaluations[0])
    return found
