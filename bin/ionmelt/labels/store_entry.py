"""An entry of the label store: what is kept of a frame that has a usable label, as a line of JSON."""

import json
import math
from dataclasses import dataclass

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
        if type(self.scf_steps) not in (int, type(None)) or not isinstance(self.engine_version, str | None):
            raise TypeError("a count of steps and a version are no other numbers")
        if not 0 <= float(self.wall_s) < math.inf:
            raise ValueError("no time is below 0 or endless")
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
            raise ValueError(f"its {name} is {content.get(name)!r:.80}, not {value!r}")
    try:
        answer = Entry(**content).answer()
    except (TypeError, ValueError, OverflowError):
        raise ValueError("a field is missing or of another type") from None
    label = answer.label
    assert label.energy_ev is not None
    assert label.forces_ev_a is not None
    if problem := values_problem(label.energy_ev, label.forces_ev_a, label.stress_ev_a3, n_atoms):
        raise ValueError(f"its label cannot be used: {problem}")
    return answer
