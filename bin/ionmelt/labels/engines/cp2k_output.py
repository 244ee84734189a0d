"""What CP2K says of a run: whether it ended well, and its energy, forces and stress where the output says them twice."""

import re
import signal
from collections.abc import Sequence

import numpy as np
from ase.units import GPa, bar

STEP = r"(?:OT +(?:DIIS|CG|SD|LS)|\w+\.?/Diag\.)"  # how a step of the SCF is named in its table
DISK_WORDS = re.compile(r"No space left on device|Disk quota exceeded|File too large")


class NonFinite(ValueError):
    """A number in CP2K's output is NaN, infinite, or too long for its field."""


# --- What CP2K says ------------------------------------------------------------------------------------


def scf_steps(output: str) -> int:
    """Count the SCF steps in CP2K's output (lines of its table such as ``7 OT DIIS`` or ``7 Broy./Diag.``)."""
    return len(re.findall(rf"^ +\d+ +{STEP} ", output, re.MULTILINE))


def failure(code: int, output: str, errors: str) -> str | None:
    """Return the reason code of a run of CP2K from its exit status and its words, or None if it went well."""
    if code == -signal.SIGXFSZ or DISK_WORDS.search(output + errors):
        return "disk_full"
    if code < 0 and code != -signal.SIGABRT:  # CP2K aborts itself after an error
        return "engine_killed"
    if re.search(rf"^ +\d+ +{STEP} .*\b(?:NaN|Infinity)\b", output, re.MULTILINE):
        return "non_finite"
    if "SCF run NOT converged" in output or "outer SCF loop FAILED to converge" in output:
        return "scf_not_converged"
    if code:
        return "engine_error"
    if not re.search(r"^  \*{4} .* PROGRAM ENDED AT .*\n", output, re.MULTILINE):
        return "output_truncated"
    if not re.search(r"^  outer SCF loop converged in +\d+ iterations", output, re.MULTILINE):
        return "scf_not_converged"
    return None


NUMBER = re.compile(r"-?\d+\.(\d+)(?:E([+-]\d+))?", re.ASCII)


def numbers(fields: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of a table in CP2K's output, and the unit of the last digit of each.

    Raises NonFinite for a NaN, an infinity or a field of asterisks; ValueError for what is no number, or where one
    has fewer digits than the others: it was cut off.
    """
    values, units, digits = [], [], set()
    for text in fields:
        match = NUMBER.fullmatch(text)
        if match is None:
            if re.fullmatch(r"[+-]?(?:nan|inf|infinity)|\*+", text, re.IGNORECASE):
                raise NonFinite(f"CP2K says {text}")
            raise ValueError(f"{text!r} is not a number as CP2K writes it")
        values.append(float(text))
        units.append(10.0 ** (int(match[2] or 0) - len(match[1])))
        digits.add(len(match[1]))
    if len(digits) > 1:
        raise ValueError("the numbers in a table of CP2K's do not have the same number of digits")
    return np.array(values), np.array(units)


def total_energy(output: str, n_atoms: int) -> float:
    """Return the energy in Hartree.

    Raises ValueError unless the last outer step of the SCF has it too. To 1e-7 Hartree an atom, no better: before
    the forces CP2K evaluates the energy once more, with the orbitals of that step.
    """
    totals = re.findall(r"^ ENERGY\| Total FORCE_EVAL .*\s(\S+)\n", output, re.MULTILINE)
    if len(totals) != 1:
        raise ValueError(f"CP2K's output holds {len(totals)} total energies, not one")
    seen = re.findall(r"^  outer SCF iter = +\d+ RMS gradient = +\S+ energy = +(\S+)\n", output, re.MULTILINE)
    if not seen:
        raise ValueError("CP2K's output holds no energy of an outer SCF step")
    (energy,), (again,) = numbers(totals)[0], numbers(seen[-1:])[0]
    if abs(energy - again) > 1e-7 * n_atoms:
        raise ValueError(f"CP2K's output holds two energies, {totals[0]} and {seen[-1]}")
    return float(energy)


# Layouts of the file of forces: head, row (atom, x, y, z), sum.
FORCE_LAYOUTS = (
    (
        r"^ ATOMIC FORCES in \[a\.u\.\]\n",
        r"^ +(\d+) +\d+ +[A-Z][a-z]? +(\S+) +(\S+) +(\S+)\n",
        r"^ SUM OF ATOMIC FORCES +(\S+) +(\S+) +(\S+) +\S+\n",
    ),
    (
        r"^ FORCES\| Atomic forces \[hartree/bohr\]\n",
        r"^ FORCES\| +(\d+) +(\S+) +(\S+) +(\S+) +\S+\n",
        r"^ FORCES\| Sum +(\S+) +(\S+) +(\S+) +\S+\n",
    ),
)


def force_table(text: str, n_atoms: int) -> np.ndarray:
    """Return the forces (N, 3) in Hartree/Bohr from CP2K's file of forces, in either of its layouts.

    Raises ValueError unless the atoms are all there, once and in order, and sum to the sum that CP2K prints.
    """
    layouts = [layout for layout in FORCE_LAYOUTS for _ in re.findall(layout[0], text, re.MULTILINE)]
    if len(layouts) != 1:
        raise ValueError("CP2K's file of forces has not one head of a known layout")
    rows, sums = (re.findall(pattern, text, re.MULTILINE) for pattern in layouts[0][1:])
    if len(rows) != n_atoms:
        raise ValueError(f"CP2K's file of forces has {len(rows)} atoms, not {n_atoms}")
    if [number for number, *_ in rows] != [str(number) for number in range(1, n_atoms + 1)]:
        raise ValueError("the atoms in CP2K's file of forces are not in order")
    if len(sums) != 1:
        raise ValueError("CP2K's file of forces has not one sum")
    values, units = (
        array.reshape(-1, 3)
        for array in numbers([field for row in [*(row[1:] for row in rows), *sums] for field in row])
    )
    forces = values[:-1]
    if (np.abs(forces.sum(axis=0) - values[-1]) > units.sum(axis=0)).any():
        raise ValueError("the forces in CP2K's file do not sum to the sum that it prints")
    return forces


def stress_tensor(text: str) -> np.ndarray:
    """Return the stress (3, 3) in eV/A^3 and ASE's sign from CP2K's file, where compression is positive.

    Raises ValueError unless the rows stand together, in order, symmetric, with their trace.
    """
    row = r" STRESS\| +{} +(\S+) +(\S+) +(\S+) *\n"
    block = (
        r"^ STRESS\| Analytical stress tensor \[(GPa|bar)\]\n STRESS\| +x +y +z *\n"
        + "".join(row.format(axis) for axis in "xyz")
        + r" STRESS\| 1/3 Trace +(\S+) *\n"
    )
    blocks = re.findall(block, text, re.MULTILINE)
    if len(blocks) != 1:
        raise ValueError("CP2K's file of the stress is not complete")
    unit, *fields = blocks[0]
    values, last = numbers(fields)
    tensor, trace = values[:9].reshape(3, 3), values[9]
    unsure = 2 * last.max()
    if np.abs(tensor - tensor.T).max() > unsure or abs(np.trace(tensor) / 3 - trace) > unsure:
        raise ValueError("CP2K's stress is not symmetric, or its trace is not the one that it prints")
    return -(tensor + tensor.T) / 2 * {"GPa": GPa, "bar": bar}[unit]
