"""Labelled frames of VASP, Quantum ESPRESSO, ASE's own files and DeePMD-kit, as `Found` of ionmelt/labels/foreign/blocks.py.

VASP and Quantum ESPRESSO are read by ASE, whose readers do not say whether the SCF converged: that is read here,
from the program's own words.
"""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import ase.db
import ase.io
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.stress import voigt_6_to_full_3x3_stress
from ase.units import create_units

from ionmelt.errors import UserError, reading
from ionmelt.labels.foreign.blocks import Found, lone_atom

RYDBERG = create_units("2006")["Ry"]  # as ASE's reader of pw.x has it
NOT_CONVERGED = "the output does not say that the SCF converged"


def vasp_out_problems(text: str) -> list[str | None]:
    """Return for each ionic step of an OUTCAR why its SCF did not converge, or None.

    A step that used all of the NELM iterations has not, whatever is printed: VASP 5.4 says there, too, that EDIFF is
    reached.
    """
    problems: list[str | None] = []
    limit, steps, reached = None, 0, False
    for mark in re.finditer(
        r"^\s*NELM\s*=\s*(\d+)|Iteration\s+\d+\(\s*(\d+)\)|(aborting loop because EDIFF is reached)"
        r"|(FREE ENERGIE OF THE ION-ELECTRON)",
        text,
        re.M,
    ):
        if mark[1]:
            limit = int(mark[1])
        elif mark[2]:
            steps = int(mark[2])
        elif mark[3]:
            reached = True
        else:
            used_up = limit is not None and steps >= limit
            wrong = f"{steps} SCF iterations of at most NELM = {limit}" if used_up else None
            problems.append(wrong or (None if reached else NOT_CONVERGED))
            steps, reached = 0, False
    return problems


def vasp_xml_problems(text: str) -> list[str | None]:
    """Return for each ionic step of a vasprun.xml why its SCF did not converge, or None."""
    found = re.search(r'name="NELM"[^>]*>\s*(\d+)', text)
    limit = int(found[1]) if found else None
    steps = [part.count("<scstep>") for part in text.split("<calculation")[1:]]
    if limit is None:
        return ["the file does not say NELM, the most iterations of the SCF"] * len(steps)
    return [f"{count} SCF iterations of at most NELM = {limit}" if count >= limit else None for count in steps]


def espresso_energies(text: str) -> list[tuple[float, bool]]:
    """Return (energy in eV, SCF converged) of each total energy of a pw.x output, in its order.

    The last word before an energy is that of its SCF, but for one that follows the energy at once, before forces and
    before the next SCF: pw.x writes it there.
    """
    found: list[tuple[float, bool]] = []
    said: bool | None = None
    just_after = False
    for mark in re.finditer(
        r"^!\s+total energy\s+=\s*(\S+)|convergence (has been|NOT) achieved|^\s*(?:Forces acting on atoms|iteration #)"
        r"|Self-consistent Calculation",
        text,
        re.M,
    ):
        if mark[1]:
            found.append((float(mark[1]) * RYDBERG, bool(said)))
            said, just_after = None, True
        elif mark[2]:
            good = mark[2] == "has been"
            if just_after:
                found[-1] = (found[-1][0], good)
            else:
                said = good
        else:
            just_after = False
    return found


def scf_problems(path: Path, form: str, energies_ev: list[float | None]) -> list[str | None]:
    """Return for each frame of an output, whose energies are given, why its SCF did not converge, or None."""
    text = path.read_text(errors="replace")
    if form == "vasp-out":
        problems = vasp_out_problems(text)
    elif form == "vasp-xml":
        problems = vasp_xml_problems(text)
    else:  # ASE leaves out structures without an energy, and takes the last energy where there are several
        said, problems = espresso_energies(text), []
        for energy in energies_ev:
            while said and (energy is None or abs(said[0][0] - energy) > 1e-6):
                said.pop(0)
            problems.append(None if said and said[0][1] else NOT_CONVERGED)
            said = said[1:]
    return [problems[index] if index < len(problems) else NOT_CONVERGED for index in range(len(energies_ev))]


def read_by_ase(path: Path, name: str, form: str) -> Iterator[Found]:
    """Yield the frames of a file that ASE reads; the energy is the one that the forces are the slope of."""
    try:
        with reading(f"not a complete {form} file"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ASE's, about what it skips
            if form == "ase-db":
                with ase.db.connect(path, type="db", serial=True) as rows:
                    frames = [row.toatoms(add_additional_information=True) for row in rows.select()]
            else:
                frames = list(ase.io.iread(path, index=":", format="traj" if form == "ase-traj" else form))
            results = [{} if atoms.calc is None else atoms.calc.results for atoms in frames]
            energies = [values.get("free_energy", values.get("energy")) for values in results]
            own = form in ("ase-traj", "ase-db")  # these say nothing of an SCF
            problems = [None] * len(frames) if own else scf_problems(path, form, energies)
    except UserError as error:
        yield Found(name, reason="unreadable", detail=str(error))
        return
    if not frames:
        yield Found(name, reason="unreadable", detail=f"no structure in this {form} file")
    for index, (atoms, values, problem) in enumerate(zip(frames, results, problems, strict=True)):
        found = Found(f"{name}: frame {index}", Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc))
        found.info = dict(atoms.info) | atoms.info.get("key_value_pairs", {})
        found.free_atom = lone_atom(len(atoms), found.info | {"pbc": atoms.pbc})
        found.energy_ev = energies[index]
        found.forces_ev_a = values.get("forces")
        stress = values.get("stress")
        if stress is not None:
            stress = np.asarray(stress, dtype=float)
            found.stress_ev_a3 = voigt_6_to_full_3x3_stress(stress) if stress.size == 6 else stress.reshape(3, 3)
        if problem is not None:
            found.reason, found.detail = "scf_not_converged", problem
        yield found


def read_deepmd(folder: Path, name: str) -> Iterator[Found]:
    """Yield the frames of a system of DeePMD-kit: deepmd/npy, or mixed, where every frame has types of its own.

    Its units are eV and A, its virial is minus stress times volume. A set that cannot be used costs that set.
    """
    names = (folder / "type_map.raw").read_text().split() if (folder / "type_map.raw").is_file() else []
    unknown = [symbol for symbol in names if symbol not in atomic_numbers]
    if not names or unknown:
        said = (
            f"{unknown[0]} of type_map.raw is no element" if unknown else "type_map.raw is missing: which element is 0?"
        )
        yield Found(name, reason="unreadable", detail=said)
        return
    numbers = np.array([atomic_numbers[symbol] for symbol in names])
    for part in sorted(path.parent for path in folder.glob("set.*/coord.npy")):
        try:
            with reading("no set of DeePMD's"):
                found = list(deepmd_set(part, f"{name}/{part.name}", folder, numbers))
        except UserError as error:
            found = [Found(f"{name}/{part.name}", reason="unreadable", detail=str(error))]
        yield from found


def deepmd_set(part: Path, name: str, folder: Path, numbers: np.ndarray) -> Iterator[Found]:
    """Yield the frames of one set; `numbers` are the atomic numbers of the types. Raises `UserError`, and what numpy raises."""
    values = {
        key: np.load(path, allow_pickle=False).astype(float)
        for key in ("coord", "box", "energy", "force", "virial", "real_atom_types")
        if (path := part / f"{key}.npy").is_file()
    }
    count = len(values["coord"])
    for key, array in values.items():
        if len(array) != count:
            raise UserError(f"no set of DeePMD's: {key}.npy has {len(array)} frames, coord.npy {count}")
    own = np.loadtxt(folder / "type.raw", dtype=int, ndmin=1)
    types = values["real_atom_types"].astype(int) if "real_atom_types" in values else np.tile(own, (count, 1))
    if types.max(initial=0) >= len(numbers):
        raise UserError(f"no set of DeePMD's: type {types.max()} is beyond the {len(numbers)} of type_map.raw")
    positions = values["coord"].reshape(count, types.shape[1], 3)
    periodic = "box" in values and not (folder / "nopbc").exists()
    cells = values["box"].reshape(count, 3, 3) if periodic else np.zeros((count, 3, 3))
    forces = values["force"].reshape(positions.shape) if "force" in values else None
    virials = values["virial"].reshape(count, 3, 3) if "virial" in values else None
    for index in range(count):
        real = types[index] >= 0  # mixed systems are filled up with type -1
        atoms = Atoms(numbers[types[index][real]], positions[index][real], cell=cells[index], pbc=periodic)
        found = Found(f"{name}: frame {index}", atoms)
        if "energy" in values:
            found.energy_ev = float(np.ravel(values["energy"][index])[0])
        if forces is not None:
            found.forces_ev_a = forces[index][real]
        if virials is not None and periodic:
            found.stress_ev_a3 = -virials[index] / atoms.get_volume()
        found.free_atom = lone_atom(len(atoms), {"pbc": atoms.pbc})
        if not periodic and not found.free_atom:
            found.reason, found.detail = "not_periodic", "a box is needed: box.npy, and no file nopbc"
        yield found
