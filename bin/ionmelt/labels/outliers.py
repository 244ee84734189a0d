"""Frames whose energy is far from that of all frames like them: of another level of theory, or another state of the SCF."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ionmelt.labels.checks import Checks, Likeness
from ionmelt.labels.judgement import Refusal

# Frames are alike where they have the same atoms, and volume and mean square force differ by no more than this (relative):
# their energies are those of one liquid at one temperature and density.
LIKE_VOLUME, LIKE_FORCE = 0.03, 0.2
LIKE_LEAST = 10
LIKE_MOST = 1000  # frames of one composition that others are compared with
LIKE_SIGMAS = 15.0
# Energies of frames of the same atoms and level of theory are never this far off the median of all (eV an atom). Of three frames or more
# that is not the energy of the one that is off; of two it lies between them, and which of them is off cannot be told: neither is taken.
GROSS_EV = 10.0
# Energies of frames that are alike may differ by the larger of LIKE_EV and SWING_EV / sqrt(N) (eV an atom). The second is eight times
# the thermal fluctuation of N atoms at 500 K, k T sqrt(3 N / 2) / N.
LIKE_EV = 0.02
SWING_EV = 0.4


def energy_outliers(checks: Checks) -> dict[int, Refusal]:
    """Return the frames, by number, whose energy is far from that of all frames like them, with how far."""
    by_formula: dict[str, list[int]] = defaultdict(list)
    for frame, likeness in enumerate(checks.likenesses):
        by_formula[likeness.formula].append(frame)
    return {
        frames[index]: refusal
        for frames in by_formula.values()
        for index, refusal in unlike_the_rest([checks.likenesses[frame] for frame in frames]).items()
    }


def unlike_the_rest(frames: Sequence[Likeness]) -> dict[int, Refusal]:
    """Return those of some frames with the same atoms, by their index, whose energy is far from those of frames like them."""
    energy = np.array([frame.energy_ev for frame in frames])
    volume = np.log([frame.volume_A3 for frame in frames])
    force = np.log(np.maximum([frame.force_ev_a for frame in frames], 1e-12))
    least_ev = max(LIKE_EV, SWING_EV / np.sqrt(frames[0].n_atoms))
    some = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), LIKE_MOST)).astype(int))
    outliers = {}
    for index in range(len(frames)):
        like = (np.abs(volume[some] - volume[index]) < LIKE_VOLUME) & (np.abs(force[some] - force[index]) < LIKE_FORCE)
        others = np.sort(energy[some[like & (some != index)]])
        if len(others) < LIKE_LEAST:
            if abs(gap := energy[index] - np.median(energy)) > (GROSS_EV / 2 if len(frames) == 2 else GROSS_EV):
                said = (
                    f"its energy is {gap:+.3g} eV an atom off the middle of the {len(frames)} frames of the same atoms: "
                    "another level of theory or unit, or a damaged file?"
                )
                outliers[index] = Refusal("energy_outlier", said)
            continue
        middle, width = densest_half(others)
        beyond = energy[index] - middle
        if abs(beyond) > max(LIKE_SIGMAS * width / 1.35, least_ev):
            said = (
                f"its energy is {beyond:+.3g} eV an atom off the {len(others)} frames of the same atoms, volume and size "
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
