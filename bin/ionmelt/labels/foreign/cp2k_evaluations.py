"""Evaluations in an output of CP2K: energy, forces, stress and cell of each structure, and whether its SCF converged."""

import re
from dataclasses import dataclass

import numpy as np
from ase.units import Bohr, GPa, Hartree, Pascal, bar

from ionmelt.labels.foreign.blocks import ForeignFrame, Unreadable
from ionmelt.labels.foreign.units import UNITS, unit_named

NUMBER = r"(-?\d+\.?\d*(?:[Ee][-+]?\d+)?)(?!\S)"
THREE = rf"\s+{NUMBER}\s+{NUMBER}\s+{NUMBER}"
ENERGY_UNIT = re.compile(r"energy\s*[\[(](.+?)[\])]")  # in the line of an energy: an input of CP2K may set it
FORCES_UNIT = re.compile(r"^ (?:FORCES\| Atomic forces|ATOMIC FORCES in) \[(.+?)\]", re.M)
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
STRESS_UNITS = {"gpa": GPa, "mpa": 1e6 * Pascal, "pa": Pascal, "bar": bar, "kbar": 1e3 * bar, "atm": 101325 * Pascal}
LENGTH_UNITS = {"ang": 1.0, "angstrom": 1.0, "bohr": Bohr}
ATOMS = rf"(?m)^\s+(\d+)\s+\d+\s+([A-Z][a-z]?)\s+\d+{THREE}\s+\S+\s+\S+\s*$"
# What is printed of a step of dynamics, in the words of CP2K 8 and newer, and of those before
STEP = re.compile(r"^ (?:MD\| Step number|STEP NUMBER\s*=)\s+(\d{1,12})\s*$", re.M)
LENGTHS = re.compile(rf"^ (?:MD(?:_INI)?\| Cell lengths|CELL LNTHS)\s*\[(\w+)\]\s*=?{THREE}", re.M)
ANGLES = re.compile(rf"^ (?:MD(?:_INI)?\| Cell angles|CELL ANGLS)\s*\[deg\]\s*=?{THREE}", re.M)
KINETIC = re.compile(
    rf"^ (?:MD(?:_INI)?\| Kinetic energy \[hartree\]|(?:INITIAL )?KINETIC ENERGY\s*\[a\.u\.\]\s*=)\s+{NUMBER}", re.M
)


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
    charge: int = 0
    output: str = ""  # of its run


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
    """Return the evaluations of one CP2K run from its output; raises `Unreadable` for units that are not known."""
    marks = [match.start() for match in ENERGY.finditer(text)]
    if not marks:
        return []
    starts, ends = [0, *marks[:-1]], [*marks[1:], len(text)]
    npt = re.search(r"^ MD(?:_PAR)?\| Ensemble [tT]ype\s+NP[TE]", text, re.M) is not None
    evaluations = []
    for start, mark, end in zip(starts, marks, ends, strict=True):
        evaluation = evaluation_of(text[start:mark], text[mark:end])
        evaluation.npt = npt
        evaluations.append(evaluation)
    evaluations[-1].cut_off |= "PROGRAM ENDED AT" not in text
    return without_repeats(evaluations)


def evaluation_of(before: str, after: str) -> Evaluation:
    """Return an evaluation from the words before its energy, of the SCF, and from the energy on, of forces, stress and step."""
    energy = ENERGY.match(after)
    assert energy is not None
    step, kinetic = STEP.search(after), KINETIC.search(after)
    forces, whole = forces_of(after)
    return Evaluation(
        energy=float(energy[1]) * in_unit("energy", ENERGY_UNIT.search(energy[0]), Hartree),
        forces=forces if whole else None,
        stress=stress_of(after),
        converged=scf_converged(before),
        cut_off=forces is not None and not whole,
        step=int(step[1]) if step else None,
        edges=first(LENGTHS, after),
        angles=first(ANGLES, after),
        kinetic=float(kinetic[1]) if kinetic else None,
    )


def in_unit(quantity: str, named: re.Match[str] | None, atomic: float) -> float:
    """Return the unit that an output names for its energy or forces, over the `atomic` one; 1 where it names none. Raises `Unreadable`."""
    if named is None:
        return 1.0
    unit = unit_named(named[1], quantity)
    if unit is None:
        raise Unreadable(f"its {quantity} in {named[1]}: one of {', '.join(UNITS[quantity])} can be read")
    return UNITS[quantity][unit] / atomic


def scf_converged(text: str) -> bool:
    """Tell whether an output says that the SCF converged, and nothing else of it."""
    denied = "SCF run NOT converged" in text or "SCF loop FAILED to converge" in text
    return not denied and ("SCF run converged in" in text or "outer SCF loop converged in" in text)


def forces_of(text: str) -> tuple[np.ndarray | None, bool]:
    """Return the forces (N, 3) of a table, None without one, and whether the table has its end. Raises `Unreadable`."""
    tables = (rf"(?m)^\s+(\d+)\s+\d+\s+[A-Za-z]\w*{THREE}\s*$", rf"(?m)^ FORCES\|\s+(\d+){THREE}\s+\S+\s*$")
    rows = next((rows for table in tables if (rows := by_atom(table, text))), [])
    whole = re.search(r"^ SUM OF ATOMIC FORCES|^ FORCES\| Sum", text, re.M) is not None
    if not rows:
        return None, whole
    return np.array(rows, dtype=float) * in_unit("forces", FORCES_UNIT.search(text), Hartree / Bohr), whole


def stress_of(text: str) -> np.ndarray | None:
    """Return the stress (3, 3) of a table, None without one. Raises `Unreadable`."""
    match = next((match for pattern in STRESSES if (match := pattern.search(text))), None)
    if match is None:
        return None
    unit = STRESS_UNITS.get(match["unit"].lower())
    if unit is None:
        raise Unreadable(f"its stress in {match['unit']}: one of GPa, MPa, Pa, bar, kbar and atm can be read")
    tensor = np.array(match.groups()[1:], dtype=float).reshape(3, 3) * unit
    return -(tensor + tensor.T) / 2  # there, compression is positive


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


def put_evaluation(frame: ForeignFrame, evaluation: Evaluation) -> None:
    """Put what CP2K says of a structure into `frame`."""
    frame.info["charge"] = evaluation.charge
    frame.energy_ev = evaluation.energy * Hartree
    if evaluation.forces is not None:
        frame.forces_ev_a = evaluation.forces * (Hartree / Bohr)
    frame.stress_ev_a3 = evaluation.stress
    if evaluation.cut_off:
        frame.reason, frame.detail = "truncated", "the output ends before PROGRAM ENDED"
    elif not evaluation.converged:
        frame.reason, frame.detail = "scf_not_converged", "the output does not say that the SCF converged"
    elif evaluation.forces is None:
        frame.detail = "print the forces into the output (FORCE_EVAL/PRINT/FORCES), or give PROJECT-frc-1.xyz with it"
    elif evaluation.stress is None:
        frame.detail = "have the stress printed: STRESS_TENSOR ANALYTICAL and FORCE_EVAL/PRINT/STRESS_TENSOR"
