"""The label store: every label that was ever finished, for all later runs to take instead of paying again.

One small JSON file a frame, ROOT/THEORY_ID/XX/FRAME_ID.json with XX the first two digits of the frame's id. An entry
holds numbers in full precision and the sha256 of its own content, so that what was cut off, altered or put in the
wrong place is noticed and redone. Files appear whole or not at all: any number of tasks may write at once.
"""

import json
import os
import secrets
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from ionmelt.files import digest
from ionmelt.frame import Label, values_problem

FORMAT = 1


@dataclass
class Answer:
    """A frame's label, what it took and which engine gave it.

    `wall_s` and `label.scf_steps` of an answer from the store are those of the run that labelled it. The differences
    (label less the same from a cold start: energy in eV, largest component of the forces in eV/A) are there where
    that was tried.
    """

    label: Label
    wall_s: float
    version: str | None
    cold_energy_difference_ev: float | None = None
    cold_max_force_difference_ev_a: float | None = None
    from_store: bool = False


def say(text: str) -> None:
    """Print a line to standard error; a disk too full to take it must not end the work."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Entry:
    """What the store keeps of a frame that has a usable label, in the order in which it stands in the file."""

    format: int
    frame_id: str
    theory_id: str
    n_atoms: int
    energy_ev: float
    forces_ev_a: list[list[float]]
    stress_ev_a3: list[list[float]]
    scf_steps: int | None
    guess: str | None
    engine_version: str | None
    wall_s: float
    cold_energy_difference_ev: float | None
    cold_max_force_difference_ev_a: float | None

    @classmethod
    def of(cls, atoms: Atoms, theory: str, answer: Answer) -> "Entry":
        """Return the entry of a frame."""
        label = answer.label
        assert label.reason is None
        assert label.energy_ev is not None
        assert label.forces_ev_a is not None
        assert label.stress_ev_a3 is not None
        return cls(
            format=FORMAT,
            frame_id=atoms.info["frame_id"],
            theory_id=theory,
            n_atoms=len(atoms),
            energy_ev=float(label.energy_ev),
            forces_ev_a=np.asarray(label.forces_ev_a, dtype=float).tolist(),
            stress_ev_a3=np.asarray(label.stress_ev_a3, dtype=float).tolist(),
            scf_steps=label.scf_steps,
            guess=label.guess,
            engine_version=answer.version,
            wall_s=float(answer.wall_s),
            cold_energy_difference_ev=answer.cold_energy_difference_ev,
            cold_max_force_difference_ev_a=answer.cold_max_force_difference_ev_a,
        )

    def answer(self) -> Answer:
        """Return the answer that is kept; raises `TypeError` or `ValueError` where a number is none."""
        energy, forces, stress = (
            float(self.energy_ev),
            np.array(self.forces_ev_a, float),
            np.array(self.stress_ev_a3, float),
        )
        label = Label(energy, forces, stress, converged=True, scf_steps=self.scf_steps, guess=self.guess)
        return Answer(
            label,
            wall_s=float(self.wall_s),
            version=self.engine_version,
            cold_energy_difference_ev=self.cold_energy_difference_ev,
            cold_max_force_difference_ev_a=self.cold_max_force_difference_ev_a,
            from_store=True,
        )


def entry_text(atoms: Atoms, theory: str, answer: Answer) -> str:
    """Return the entry of a frame that has a usable label, as JSON."""
    content = vars(Entry.of(atoms, theory, answer))
    return json.dumps(content | {"sha256": digest(content)}, allow_nan=False) + "\n"


def parse_entry(data: bytes, frame_id: str, theory: str, n_atoms: int) -> Answer:
    """Return the answer that an entry of this frame holds; raises `ValueError` with what is wrong with it."""
    try:
        content = json.loads(data)
        claimed = content.pop("sha256")
        right = claimed == digest(content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError("it is cut off or altered") from None
    if not right:
        raise ValueError("its content does not fit its sha256")
    for name, value in (("format", FORMAT), ("frame_id", frame_id), ("theory_id", theory), ("n_atoms", n_atoms)):
        if content.get(name) != value:
            raise ValueError(f"its {name} is {content.get(name)!r}, not {value!r}")
    try:
        answer = Entry(**content).answer()
    except (TypeError, ValueError):
        raise ValueError("a field is missing or of another type") from None
    label = answer.label
    assert label.energy_ev is not None
    assert label.forces_ev_a is not None
    if problem := values_problem(label.energy_ev, label.forces_ev_a, label.stress_ev_a3, n_atoms):
        raise ValueError(f"its label cannot be used: {problem}")
    return answer


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all, also for those who write the same one; raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with partial.open("x") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


class Store:
    """The entries of one level of theory.

    Parameters
    ----------
    root : the store's folder, where this task can see it.
    theory : ``theory_id`` of all labels.
    spare : folder of the same layout for new entries where `root` cannot be written; they are copied from there.
    staged : entries of `root` that were copied to here, FRAME_ID.json each.
    """

    def __init__(self, root: Path | None, theory: str, spare: Path | None = None, staged: Iterable[Path] = ()) -> None:
        self.theory = theory
        self.roots = [folder for folder in (root, spare) if folder is not None]
        self.staged = {path.stem: path for path in staged}

    def entry_path(self, root: Path, frame_id: str) -> Path:
        """Return where a frame's entry is."""
        return root / self.theory / frame_id[:2] / f"{frame_id}.json"

    def get(self, atoms: Atoms) -> Answer | None:
        """Return the stored answer of a frame; an entry that is not right is said, and counts as none."""
        frame_id = atoms.info["frame_id"]
        paths = [self.entry_path(root, frame_id) for root in self.roots]
        for path in [*paths, *([self.staged[frame_id]] if frame_id in self.staged else [])]:
            try:
                data = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                say(f"label store: {path}: cannot be read ({error.strerror}); the frame is labelled again")
                continue
            try:
                return parse_entry(data, frame_id, self.theory, len(atoms))
            except ValueError as error:
                say(f"label store: {path}: {error}; the frame is labelled again")
        return None

    def put(self, atoms: Atoms, answer: Answer) -> None:
        """Keep an answer. A folder that cannot be written is said once and left; the label itself is not lost."""
        text = entry_text(atoms, self.theory, answer)
        while self.roots:
            try:
                write_whole(self.entry_path(self.roots[0], atoms.info["frame_id"]), text)
            except OSError as error:
                say(f"label store {self.roots[0]}: cannot be written ({error.strerror}); this task leaves it")
                del self.roots[0]
            else:
                return

    def discard(self, atoms: Atoms) -> None:
        """Take back an answer that this task put there."""
        for root in self.roots:
            with suppress(OSError):
                self.entry_path(root, atoms.info["frame_id"]).unlink(missing_ok=True)
