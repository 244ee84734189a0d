"""Frames whose energy is far from that of all frames like them: of another level of theory, or another state of the SCF."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from ase.formula import Formula

from ionmelt.labels.checks import Checks, Likeness
from ionmelt.labels.judgement import Refusal

# Frames are alike where they have the same composition, and volume and mean square force differ by no more than this (relative):
# their energies are those of one liquid at one temperature and density.
LIKE_VOLUME, LIKE_FORCE = 0.03, 0.2
LIKE_LEAST = 10
LIKE_MOST = 1000  # frames of one composition that others are compared with
LIKE_SIGMAS = 15.0
# Energies of frames of the same composition and level of theory are never this far off the median of all (eV an atom). Of three frames or more
# that is not the energy of the one that is off; of two it lies between them, and which of them is off cannot be told: neither is taken.
GROSS_EV = 10.0
# Energies of frames that are alike may differ by the larger of LIKE_EV and SWING_EV / sqrt(N) (eV an atom). The second is eight times
# the thermal fluctuation of N atoms at 500 K, k T sqrt(3 N / 2) / N.
LIKE_EV = 0.02
SWING_EV = 0.4
# Between boxes of different sizes, where a small one may be ordered otherwise (eV an atom): levels of theory that differ by
# a term, such as dispersion, may be nearer
OTHER_SIZE_EV = 0.25


def energy_outliers(checks: Checks) -> dict[int, Refusal]:
    """Return the frames, by number, whose energy is far from that of all frames like them, with how far.

    Energies an atom are compared within a composition, whatever the size of the box: first all of them, then like frames of
    the same size, and of any size.
    """
    by_formula: dict[str, list[int]] = defaultdict(list)
    for frame, likeness in enumerate(checks.likenesses):
        by_formula[likeness.formula].append(frame)
    by_composition: dict[str, list[list[int]]] = defaultdict(list)
    for formula, frames in by_formula.items():
        by_composition[str(Formula(formula).reduce()[0])].append(frames)
    outliers: dict[int, Refusal] = {}
    for sizes in by_composition.values():
        every = sorted(frame for frames in sizes for frame in frames)
        outliers |= at(every, far_off([checks.likenesses[frame] for frame in every]))
        for frames in sizes:
            outliers |= at(frames, unlike_the_rest([checks.likenesses[frame] for frame in frames], LIKE_EV))
        if len(sizes) > 1:
            outliers |= at(every, unlike_the_rest([checks.likenesses[frame] for frame in every], OTHER_SIZE_EV))
    return outliers


def at(frames: Sequence[int], refusals: dict[int, Refusal]) -> dict[int, Refusal]:
    """Return refusals by the number of the frame, that were given by its place among some frames."""
    return {frames[index]: refusal for index, refusal in refusals.items()}


def far_off(frames: Sequence[Likeness]) -> dict[int, Refusal]:
    """Return those of some frames of one composition, by their index, whose energy no frame of that composition can have."""
    energy = np.array([frame.energy_ev for frame in frames])
    gaps = energy - np.median(energy)
    return {
        int(index): Refusal(
            "energy_outlier",
            f"its energy is {gaps[index]:+.3g} eV an atom off the middle of the {len(frames)} frames of the same composition: "
            "another level of theory or unit, or a damaged file?",
        )
        for index in np.flatnonzero(np.abs(gaps) > (GROSS_EV / 2 if len(frames) == 2 else GROSS_EV))
    }


def unlike_the_rest(frames: Sequence[Likeness], least_ev: float) -> dict[int, Refusal]:
    """Return those of some frames of one composition, by their index, whose energy is far from those of frames like them."""
    energy = np.array([frame.energy_ev for frame in frames])
    volume = np.log([frame.volume_A3 for frame in frames])
    force = np.log(np.maximum([frame.force_ev_a for frame in frames], 1e-12))
    least_ev = max(least_ev, SWING_EV / np.sqrt(min(frame.n_atoms for frame in frames)))
    some = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), LIKE_MOST)).astype(int))
    outliers = {}
    for index in range(len(frames)):
        like = (np.abs(volume[some] - volume[index]) < LIKE_VOLUME) & (np.abs(force[some] - force[index]) < LIKE_FORCE)
        others = np.sort(energy[some[like & (some != index)]])
        if len(others) < LIKE_LEAST:
            continue
        middle, width = densest_half(others)
        beyond = energy[index] - middle
        if abs(beyond) > max(LIKE_SIGMAS * width / 1.35, least_ev):
            said = (
                f"its energy is {beyond:+.3g} eV an atom off the {len(others)} frames of the same composition, volume and size "
                "of forces: another level of theory, or another state of the SCF?"
            )
            outliers[index] = Refusal("energy_outlier", said)
    return outliers


def densest_half(values: np.ndarray) -> tuple[float, float]:
    """Return the median and the width of the shortest stretch of sorted values that holds half of them."""
    half = len(values) // 2 + 1
    widths = values[half - 1 :] - values[: len(values) - half + 1]
    start = int(np.argmin(widths))
    return float(np.median(values[start : start + half])), float(widths[start])
