"""Labelled frames of VASP, Quantum ESPRESSO and ASE's own files, read by ASE.

Its readers do not say whether the SCF converged: that is read here, from the program's own words.
"""

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import ase.db
import ase.io
import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress
from ase.units import create_units

from ionmelt.errors import UserError, reading
from ionmelt.labels.foreign.blocks import ForeignFrame, Source, lone_atom, summed_charge
from ionmelt.labels.settings import ImportSettings

RYDBERG = create_units("2006")["Ry"]  # as ASE's reader of pw.x has it
SMEARING_EV = 5.0  # an atom: no occupation of any width puts the free energy further off that without smearing
OTHER_FILE = {"vasp-out": "vasprun.xml", "vasp-xml": "OUTCAR"}  # of the same run: what cannot be read here may be there
ML_STEP = "free  energy ML TOTEN"  # of VASP's machine-learned force field; ASE reads no output with such steps
# What pw.x prints of a structure after its energy, or of the next one
RESULT_OF_ENERGY = re.compile(r"Forces acting on atoms|total   stress|ATOMIC_POSITIONS|Program PWSCF")
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
    said = re.search(r'name="NELM"[^>]*>\s*(\d+)', text)
    limit = int(said[1]) if said else None
    steps = [step.count("<scstep>") for step in text.split("<calculation")[1:]]
    if limit is None:
        return ["the file does not say NELM, the most iterations of the SCF"] * len(steps)
    return [f"{count} SCF iterations of at most NELM = {limit}" if count >= limit else None for count in steps]


def last_energies(text: str) -> str:
    """Return an output of pw.x in which each structure has one total energy, of which ASE would read the first.

    Before it pw.x may print those of its iterations (iprint), and with a hybrid functional that of an SCF without exact exchange and
    those of each round of it: the one of the hybrid has two exclamation marks.
    """
    pieces = re.split(r"(?m)^(?=!)", text)
    kept = [pieces[0]]
    for piece, following in zip(pieces[1:], [*pieces[2:], ""], strict=True):
        again = following.startswith(("!  ", "!! ")) and not RESULT_OF_ENERGY.search(piece)
        kept.append((" " if again else "!") + piece[1:])
    return re.sub(r"(?m)^!!(?=   total energy)", "! ", "".join(kept))


def espresso_energies(text: str) -> list[tuple[float, bool]]:
    """Return (energy in eV, SCF converged) of each total energy of a pw.x output, in its order.

    The last word before an energy is that of its SCF, but for one that follows the energy at once, before forces and
    before the next SCF: pw.x writes it there.
    """
    energies: list[tuple[float, bool]] = []
    said: bool | None = None
    just_after = False
    for mark in re.finditer(
        r"^!\s+total energy\s+=\s*(\S+)|convergence (has been|NOT) achieved|^\s*(?:Forces acting on atoms|iteration #)"
        r"|Self-consistent Calculation",
        text,
        re.M,
    ):
        if mark[1]:
            energies.append((float(mark[1]) * RYDBERG, bool(said)))
            said, just_after = None, True
        elif mark[2]:
            good = mark[2] == "has been"
            if just_after:
                energies[-1] = (energies[-1][0], good)
            else:
                said = good
        else:
            just_after = False
    return energies


def scf_problems(path: Path, form: str, energies_ev: list[float | None]) -> list[str | None]:
    """Return for each frame of an output, whose energies are given, why its SCF did not converge, or None."""
    text = path.read_text(errors="replace")
    if form == "vasp-out":
        problems = vasp_out_problems(text)
    elif form == "vasp-xml":
        problems = vasp_xml_problems(text)
    else:  # ASE leaves out structures without an energy
        said, problems = espresso_energies(last_energies(text)), []
        for energy in energies_ev:
            while said and (energy is None or abs(said[0][0] - energy) > 1e-6):
                said.pop(0)
            problems.append(None if said and said[0][1] else NOT_CONVERGED)
            said = said[1:]
    return [problems[index] if index < len(problems) else NOT_CONVERGED for index in range(len(energies_ev))]


def read(form: str, files: Mapping[str, Path], _settings: ImportSettings, _words: list[str]) -> dict[str, Source]:
    """Return the frames of each file."""
    frames = {name: list(read_by_ase(path, name, form)) for name, path in files.items()}
    return {name: Source(name, iter(frames[name]), len(frames[name])) for name in files}


def read_by_ase(path: Path, name: str, form: str) -> Iterator[ForeignFrame]:
    """Yield the frames of a file that ASE reads; the energy is the one that the forces are the slope of."""
    if form == "vasp-out" and ML_STEP in path.read_text(errors="replace"):
        said = "it holds steps of VASP's own learned force field (ML_LMLFF), which are no labels: give vasprun.xml, which has those of DFT apart"
        yield ForeignFrame(name, reason="unreadable", detail=said)
        return
    cut_off = False
    try:
        with reading(f"not a complete {form} file"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ASE's, about what it skips
            if form == "ase-db":
                with ase.db.connect(path, type="db", serial=True) as rows:
                    frames = [row.toatoms(add_additional_information=True) for row in rows.select()]
            else:
                frames, cut_off = structures_of(path, form)
            results = [{} if atoms.calc is None else atoms.calc.results for atoms in frames]
            energies = [values.get("free_energy", values.get("energy")) for values in results]
            silent = form in ("ase-traj", "ase-db")  # these say nothing of an SCF
            problems = [None] * len(frames) if silent else scf_problems(path, form, energies)
    except UserError as error:
        instead = f"; its {OTHER_FILE[form]} holds the same" if form in OTHER_FILE else ""
        yield ForeignFrame(name, reason="unreadable", detail=f"{error}{instead}")
        return
    if not frames:
        yield ForeignFrame(name, reason="unreadable", detail=f"no structure in this {form} file")
    for index, (atoms, values, problem) in enumerate(zip(frames, results, problems, strict=True)):
        frame = ForeignFrame(
            f"{name}: frame {index}", Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        )
        frame.info = (
            summed_charge(atoms.get_initial_charges()) | dict(atoms.info) | atoms.info.get("key_value_pairs", {})
        )
        frame.free_atom = lone_atom(len(atoms), frame.info | {"pbc": atoms.pbc})
        frame.energy_ev = energies[index]
        frame.forces_ev_a = values.get("forces")
        stress = values.get("stress")
        if stress is not None:
            stress = np.asarray(stress, dtype=float)
            frame.stress_ev_a3 = voigt_6_to_full_3x3_stress(stress) if stress.size == 6 else stress.reshape(3, 3)
        if problem is not None:
            frame.reason, frame.detail = "scf_not_converged", problem
        elif (free := energies[index]) is not None and abs(values.get("energy", free) - free) > SMEARING_EV * len(
            atoms
        ):
            said = "its free energy and that without smearing cannot both be right: is the file damaged?"
            frame.reason, frame.detail = "unreadable", said
        yield frame
    if cut_off:
        yield ForeignFrame(
            f"{name}: frame {len(frames)}", reason="truncated", detail="the output ends within this step"
        )


def structures_of(path: Path, form: str) -> tuple[list[Atoms], bool]:
    """Return the structures of a file, as ASE reads it, and whether it ends within a further one, as of a run that was killed.

    Of VASP's files ASE leaves such a one out; of an output of pw.x it reads nothing then.
    """
    if form != "espresso-out":
        return list(ase.io.iread(path, index=":", format="traj" if form == "ase-traj" else form)), False
    text = last_energies(path.read_text(errors="replace"))
    try:
        return list(ase.io.iread(io.StringIO(text), index=":", format=form)), False
    except (ValueError, IndexError):
        whole, _, last = text.rpartition("\n!    total energy")
        if not whole or "JOB DONE" in last:
            raise
        return list(ase.io.iread(io.StringIO(whole + "\n"), index=":", format=form)), True
