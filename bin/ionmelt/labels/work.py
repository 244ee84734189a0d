"""Do energies, forces and stress of foreign frames belong together? By the work between frames that follow each other closely.

There the energy changes by the work of forces and stress: units and signs are read from a fit that a few bad frames
cannot move, and frames whose energy no work explains are named.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ionmelt.labels.checks import Checks, Pair
from ionmelt.labels.foreign.units import ENERGY_UNITS_EV, FORCES_UNITS_EV_A, STRESS_UNITS_EV_A3
from ionmelt.labels.judgement import Refusal

PAIRS_LEAST = 5
FITTED_MOST = 2000  # pairs that the fit looks at, evenly over all
TRIALS = 500
EXPLAINED = 0.9  # of the energy's changes, below which nothing is concluded
AGREEING = 0.6  # share of the pairs that must follow one fit, below which nothing is concluded from it
SLOPE_TOLERANCE = 0.2
OUTLIER_SIGMAS = 10.0
# Forces of the step before or after: in so many pairs or more, what their work misses is in this share of them to one side, and
# in the middle this much of the difference of the works at both ends. In sound trajectories that is 0.03 and less.
ONE_SIDED_LEAST, ONE_SIDED_SHARE, ONE_SIDED_WIDTH = 16, 0.9, 0.2
DIGITS_EV = 1e-3  # what the digits and the SCF of a file leave open, for a frame


@dataclass(frozen=True)
class WorkCheck:
    """Whether energy, forces and stress belong together, in words; a line for each that does not; frames that are off, by number."""

    said: str
    errors: list[str] = field(default_factory=list)
    jumps: dict[int, Refusal] = field(default_factory=dict)
    told: bool = False  # units and signs of energy and forces were seen to be right
    told_stress: bool = False  # and those of the stress


def check_work(checks: Checks) -> WorkCheck:
    """Fit the change of energy between neighbours to the work of forces and stress, whose slopes must be 1.

    What is off are frames whose energy the work from the other frames of their stretch does not explain.
    """
    fit = WorkFit.of(checks.pairs)
    if fit is None:
        return WorkCheck("no neighbouring frames to check units and signs with")
    jumps = off_the_work(checks.pairs, fit)
    said = f"{len(checks.pairs)} pairs of neighbouring frames"
    one_sided = of_another_step(checks.pairs, said)
    if not fit.trusted:
        return WorkCheck(f"{said} are too far apart to check units and signs with", one_sided, jumps)
    n_atoms = int(np.median([likeness.n_atoms for likeness in checks.likenesses]))
    errors = fit.wrong_units(said, n_atoms) or one_sided
    what = "forces and stress" if fit.swings else "forces (the cell changes too little to check the stress)"
    said = f"{said}: the energy changes by {fit.slopes[0]:.3f} times the work of the {what}"
    return WorkCheck(said, errors, jumps, told=True, told_stress=fit.swings)


def of_another_step(pairs: Sequence[Pair], said: str) -> list[str]:
    """Return a line where the work misses the energy's changes to one side: forces or energies are of the step before or after.

    Where they are of their positions, what the trapezoid misses is a small part of the difference of the works by either end, to
    either side.
    """
    widths = np.array([pair.open_forces + pair.open_stress for pair in pairs])
    missed = np.array([pair.energy - pair.forces - pair.stress for pair in pairs])[widths > 0] / widths[widths > 0]
    if len(missed) < ONE_SIDED_LEAST or abs(middle := float(np.median(missed))) < ONE_SIDED_WIDTH:
        return []
    if np.mean(np.sign(missed) == np.sign(middle)) < ONE_SIDED_SHARE:
        return []
    return [
        f"labels.frames: over {said} the energy changes by the work of the forces and {middle:+.2f} times what this work differs by at "
        "the two frames, not 0 times: are energies and forces those of these positions, or of the step before or after?"
    ]


# --- The fit --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WorkFit:
    """The changes of energy (n,) of pairs of frames, in eV, fitted to the work of the forces, and of the stress where it is not tiny.

    `columns` (n, k) are these works and `slopes` (k,) what they count; of the forces alone, `energy` is what the work of the stress
    leaves. `near` (n,) are the pairs that follow the fit. Where it explains too little it is not `trusted`, and the slopes are 1.
    """

    energy: np.ndarray
    columns: np.ndarray
    slopes: np.ndarray
    near: np.ndarray
    trusted: bool

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> "WorkFit | None":
        """Return the fit to some pairs; None where they are too few, or nothing changes."""
        energy = np.array([pair.energy for pair in pairs])
        if len(pairs) < PAIRS_LEAST or not np.any(energy):
            return None
        works = np.array([(pair.forces, pair.stress) for pair in pairs])
        swings = stress_swings(works)
        fit = cls.to(works, energy) if swings else None
        if fit is None or not stress_swings(works[fit.near]):
            # Too few pairs tell of the stress, as where the cell changes from one run to the next: its work is taken as it is.
            fit = cls.to(works[:, :1], energy - works[:, 1])
        if fit is None or fit.trusted or swings or not np.any(works[:, 1]):
            return fit
        # The stress does next to no work, and yet the work of the forces is not all: is it in another unit?
        with_stress = cls.to(works, energy)
        return with_stress if with_stress is not None and with_stress.trusted else fit

    @classmethod
    def to(cls, columns: np.ndarray, energy: np.ndarray) -> "WorkFit | None":
        """Return the fit of energies (n,) to some works (n, k); None where one of them is nothing at all."""
        if not np.linalg.norm(columns, axis=0).all():
            return None
        slopes, near = robust_slopes(columns, energy)
        left = energy[near] - columns[near] @ slopes
        varied = float(np.sum(energy[near] ** 2))
        explained = 1 - float(np.sum(left**2)) / varied if varied else 0.0
        trusted = explained >= EXPLAINED and near.mean() >= AGREEING and near.sum() >= PAIRS_LEAST - 1
        return cls(energy, columns, slopes if trusted else np.ones(columns.shape[1]), near, bool(trusted))

    @property
    def swings(self) -> bool:
        """Whether the stress does work: the cell changes."""
        return self.columns.shape[1] == 2

    @property
    def left(self) -> np.ndarray:
        """The changes of energy (n,) less the fitted work (eV)."""
        return self.energy - self.columns @ self.slopes

    def wrong_units(self, said: str, n_atoms: int) -> list[str]:
        """Return a line for each slope that is not 1, and what may be wrong; `said` names the pairs that were fitted, of so many atoms."""
        lines = []
        scale = 1.0
        if abs(self.slopes[0] - 1) > SLOPE_TOLERANCE:
            slope = float(self.slopes[0])
            lines.append(
                f"labels.energy_unit: over {said} the energy changes by {slope:.3g} times the work of the forces, "
                f"not 1: {unit_hint(slope, n_atoms)}"
            )
            # A wrong unit of the energy shows in both slopes: then the stress is measured by that of the forces.
            scale = slope if wrong_energies(slope, n_atoms) else 1.0
        if self.swings and abs(self.slopes[1] / scale - 1) > max(SLOPE_TOLERANCE, 4 * self.stress_error() / scale):
            lines.append(
                f"labels.stress_unit: over {said} the energy changes by {self.slopes[1]:.3g} times the work of the stress, "
                f"not {scale:.3g}: {stress_hint(float(self.slopes[1]) / scale)}"
            )
        return lines

    def stress_error(self) -> float:
        """Return the standard error of the slope of the stress."""
        columns, left = self.columns[self.near], self.left[self.near]
        spread = np.sum(left**2) / max(self.near.sum() - 2, 1)
        return float(np.sqrt(np.linalg.inv(columns.T @ columns)[1, 1] * spread))


def stress_swings(works: np.ndarray) -> bool:
    """Tell whether the work of the stress is not tiny, of works (n, 2) of forces and stress."""
    forces, stress = np.std(works, axis=0)
    return bool(stress > 0.02 * forces and stress > 0)


def robust_slopes(columns: np.ndarray, energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the slopes (k,) of energies (n,) against columns (n, k), and which points (n,) follow them.

    Least median of squares over fits to k points each, then least squares of the points near the best of them: up to
    almost half of the points may be anything.
    """
    n, k = columns.shape
    some = np.unique(np.linspace(0, n - 1, min(n, FITTED_MOST)).astype(int))
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, len(some), size=(TRIALS, k))
    trials = np.linalg.pinv(columns[some][chosen]) @ energy[some][chosen][..., None]
    left = np.abs(energy[some][None, :] - (trials[..., 0] @ columns[some].T))
    best = int(np.argmin(np.median(left, axis=1)))
    slopes = trials[best, :, 0]
    near = np.ones(n, dtype=bool)
    for _ in range(5):
        left_all = np.abs(energy - columns @ slopes)
        scale = 1.4826 * float(np.median(left_all)) * (1 + 5 / max(n - k, 1))
        near = left_all <= max(4 * scale, 1e-9 * float(np.abs(energy).max()))
        slopes, *_ = np.linalg.lstsq(columns[near], energy[near], rcond=None)
    return slopes, near


def wrong_energies(slope: float, n_atoms: int) -> list[tuple[float, str]]:
    """Return what energies may be that were taken for those of all atoms in eV, each with how near (1 is it) the slope is to that."""
    hints = [
        (slope * ev, f"is the energy in {unit} (give energy_unit: {unit})?") for unit, ev in ENERGY_UNITS_EV.items()
    ]
    hints.append((slope * n_atoms, "is it the energy an atom? that of all together is needed;"))
    return [(ratio, hint) for ratio, hint in hints if abs(ratio - 1) < SLOPE_TOLERANCE]


def unit_hint(slope: float, n_atoms: int) -> str:
    """Return what a slope of energy against work speaks for, what is nearest first."""
    hints = wrong_energies(slope, n_atoms)
    hints += [
        (slope / ev_a, f"are the forces in {unit} (give forces_unit: {unit})?")
        for unit, ev_a in FORCES_UNITS_EV_A.items()
    ]
    hints.append((-slope, "is the sign of the forces wrong (gradients)?"))
    fitting = sorted((abs(ratio - 1), hint) for ratio, hint in hints if abs(ratio - 1) < SLOPE_TOLERANCE)
    return " ".join(hint for _, hint in fitting) or "are energies, forces and their units of the same calculation?"


def stress_hint(slope: float) -> str:
    """Return what a slope of energy against the work of the stress speaks for."""
    if abs(slope + 1) < SLOPE_TOLERANCE:
        return "is compression positive (give stress_sign: compression)?"
    for unit, ev_a3 in STRESS_UNITS_EV_A3.items():
        if abs(abs(slope) / ev_a3 - 1) < SLOPE_TOLERANCE:
            return f"is it in {unit} (give stress_unit: {unit})?"
    return "is stress_unit right?"


# --- Frames off the others ------------------------------------------------------------------------------


def off_the_work(pairs: Sequence[Pair], fit: WorkFit) -> dict[int, Refusal]:
    """Return the frames, by number, that are on another level than most of their stretch, with the height of the jump.

    A jump is a pair whose change of energy the work leaves open by more than the trapezoid can be wrong.
    """
    left = fit.left
    jumps = np.abs(left) > allowed_ev(pairs, fit)
    stretches: dict[int, list[int]] = defaultdict(list)
    for index, pair in enumerate(pairs):
        stretches[pair.chain].append(index)
    off: dict[int, Refusal] = {}
    for members in stretches.values():
        if jumps[members].any():
            steps = np.where(jumps[members], left[members], 0.0)
            levels = np.concatenate([[0.0], np.cumsum(steps)])
            first = pairs[members[0]].first
            least = float(np.abs(steps[steps != 0]).min())
            off |= {first + index: refusal for index, refusal in off_the_level(levels, least / 2, fit.trusted).items()}
    return off


def allowed_ev(pairs: Sequence[Pair], fit: WorkFit) -> np.ndarray:
    """Return by how much (n,) in eV the work may miss the change of energy of each pair.

    Half the difference of the works by either end of a pair, times their slopes, is how wrong the trapezoid can be; where the
    fit is not trusted, twice that difference and half the work.
    """
    slopes = [*np.abs(fit.slopes), 1.0]
    width = np.array([slopes[0] * pair.open_forces + slopes[1] * pair.open_stress for pair in pairs])
    if fit.trusted:
        sigma = 1.4826 * float(np.median(np.abs(fit.left)))
        return np.maximum(OUTLIER_SIGMAS * sigma, 0.5 * width) + DIGITS_EV
    return 2.0 * width + DIGITS_EV + 0.5 * np.array([abs(pair.forces) + abs(pair.stress) for pair in pairs])


def off_the_level(levels: np.ndarray, apart: float, trusted: bool) -> dict[int, Refusal]:
    """Return which of some levels of energy (eV), by index, are at least so far `apart` from the one that most are on.

    Where the work of most frames is not `trusted` to be right, forces and stress may be what is wrong.
    """
    why = "another level of theory, or another state of the SCF?"
    if not trusted:
        why = (
            f"forces of atoms in another order or of other axes, a stress whose six numbers are in another order, {why}"
        )
    ordered = np.sort(levels)
    close = np.searchsorted(ordered, levels + apart, "left") - np.searchsorted(ordered, levels - apart, "right")
    main = int(np.argmax(close))
    beyond = levels - levels[main]
    return {
        int(index): Refusal(
            "energy_jump",
            f"its energy is {beyond[index]:+.3g} eV off what the work of the forces makes of the {close[main]} frames around "
            f"it: {why}",
        )
        for index in np.flatnonzero(np.abs(beyond) >= apart)
    }
