"""The path through the frames of a chunk along which each is labelled from the result of its neighbour.

A share of the frames, chosen by hash, is labelled again from a cold start. Where the two differ the frame has more than one
self-consistent solution, and nobody can say whether the lower of the two is the lowest: it gets no label
(``guess_dependent``), the frames before it in the chain are tried in the same way until one agrees, and the next
frame starts cold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree

from ionmelt.frame import Label
from ionmelt.labels.store_entry import Answer
from ionmelt.labels.worker import Worker

# Largest differences between a label from a guess and one from a cold start: of a force component, and of the frame's energy.
FORCE_TOLERANCE_EV_A = 1e-4 * Hartree / Bohr
ENERGY_TOLERANCE_EV = 1e-3
WINDOW = 500  # candidates for the next frame; the search takes time in proportion to frames times candidates


# --- The order -----------------------------------------------------------------------------------------


def chain_order(frames: Sequence[Atoms]) -> list[int]:
    """Return an order of the frames in which each starts near the one before: a greedy path, the same every time.

    Frames of one sequence of elements follow each other; the first of them begins. The next is the nearest among the
    `WINDOW` frames that come first in the chunk and are left. The distance is the root mean square of the atoms'
    minimum-image displacements, in the mean cell, and of the difference of the cells.
    """
    families: dict[bytes, list[int]] = {}
    for index, atoms in enumerate(frames):
        families.setdefault(atoms.numbers.tobytes(), []).append(index)
    order = []
    for family in families.values():
        cells = np.array([frames[index].cell.array for index in family])
        scaled = np.array([frames[index].cell.scaled_positions(frames[index].positions) for index in family])
        mean_cell = cells.mean(axis=0)
        left = list(range(1, len(family)))
        path = [0]
        while left:
            near = left[:WINDOW]
            step = scaled[near] - scaled[path[-1]]
            moved = (step - np.round(step)) @ mean_cell
            strained = cells[near] - cells[path[-1]]
            distance = (moved**2).sum(axis=2).mean(axis=1) + (strained**2).sum(axis=(1, 2)) / 3
            path.append(left.pop(int(np.argmin(distance))))
        order += [family[number] for number in path]
    return order


def is_spot_check(atoms: Atoms, fraction: float) -> bool:
    """Tell whether a frame is one of those that are labelled twice: by its hash, so that every run agrees."""
    return int(atoms.info["frame_id"][:8], 16) < fraction * 16**8


# --- The chain -----------------------------------------------------------------------------------------


def compared(answer: Answer, cold: Label) -> Answer:
    """Return an answer with its differences from a cold start, and ``guess_dependent`` where they are too large.

    A cold start that does not converge says nothing about the label.
    """
    label = answer.label
    if cold.reason is not None or label.reason is not None:
        return answer
    assert label.energy_ev is not None
    assert cold.energy_ev is not None
    assert label.forces_ev_a is not None
    assert cold.forces_ev_a is not None
    energy = float(label.energy_ev - cold.energy_ev)
    force = float(np.abs(label.forces_ev_a - cold.forces_ev_a).max())
    if abs(energy) > ENERGY_TOLERANCE_EV or force > FORCE_TOLERANCE_EV_A:
        label = replace(label, reason="guess_dependent")
    return replace(answer, label=label, cold_energy_difference_ev=energy, cold_max_force_difference_ev_a=force)


def label_chain(frames: Sequence[Atoms], worker: Worker, fraction: float) -> Iterator[tuple[int, Answer]]:
    """Label frames along a chain and yield (index, answer); a later answer for a frame replaces the earlier.

    `fraction` of the frames are compared with a cold start. Where a frame fails, the frames before it in the chain are compared too,
    backwards until one agrees: those between started from a state that may have been wrong.
    """
    chained: dict[int, Answer] = {}  # since the last label that a cold start confirmed
    cut = False
    for index in chain_order(frames):
        answer = worker.answer(frames[index], cold=cut)
        cut = False
        if answer.label.reason is not None or answer.label.guess != "chained":
            yield index, answer
            if answer.label.reason is None:
                chained.clear()
            continue
        if is_spot_check(frames[index], fraction):
            answer = compared(answer, worker.answer(frames[index], cold=True).label)
        yield index, answer
        if answer.label.reason is not None:
            cut = True
            for earlier, before in reversed(chained.items()):
                again = compared(before, worker.answer(frames[earlier], cold=True).label)
                yield earlier, again
                if again.cold_max_force_difference_ev_a is not None and again.label.reason is None:
                    break
        if answer.cold_max_force_difference_ev_a is None:
            chained[index] = answer
        else:
            chained.clear()
