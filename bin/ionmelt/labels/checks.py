"""Do energies, forces and stress of foreign frames belong together? By the work between neighbours, and by like frames.

Where frames follow each other closely, the energy changes by the work of forces and stress: units and signs are read from
a fit that a few bad frames cannot move, and frames whose energy no work explains are named.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from ase.units import Bohr, GPa, Hartree, Rydberg, bar, kcal, kJ, mol

from ionmelt.labels.foreign.blocks import ForeignFrame

# Frames are neighbours where no atom moves by more: then the energy changes by the mean force's work to some %.
NEIGHBOUR_A = 0.35
PAIRS_LEAST = 5
FITTED_MOST = 2000  # pairs that the fit looks at, evenly over all
TRIALS = 500
EXPLAINED = 0.9  # of the energy's changes, below which nothing is concluded
AGREEING = 0.6  # share of the pairs that must follow one fit, below which nothing is concluded from it
SLOPE_TOLERANCE = 0.2
OUTLIER_SIGMAS = 10.0
DIGITS_EV = 1e-3  # what the digits and the SCF of a file leave open, for a frame
# Frames are alike where they have the same atoms, and volume and mean square force differ by no more than this (relative):
# their energies are those of one liquid at one temperature and density.
LIKE_VOLUME, LIKE_FORCE = 0.03, 0.2
LIKE_LEAST = 10
LIKE_MOST = 1000  # frames of one composition that others are compared with
LIKE_SIGMAS = 15.0
LIKE_EV = 0.02  # an atom: within this, frames of one kind may differ; and by eight times their thermal swing,
SWING_EV = 0.4  # which for N atoms at 500 K is k T sqrt(3 N / 2), an atom this over eight and sqrt(N)


@dataclass
class Pair:
    """Two neighbouring frames: the change of energy, the work of forces and of stress (eV), and how sure the work is.

    `open_forces` and `open_stress` are how far the works by the first frame and by the second are apart, atom by atom.
    """

    first: int
    energy: float
    forces: float
    stress: float
    open_forces: float
    open_stress: float
    chain: int


@dataclass
class Checks:
    """What is kept of the frames: pairs of neighbours, and of each frame what like frames share. Frames are numbered."""

    pairs: list[Pair] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    formulas: list[str] = field(default_factory=list)
    # of each frame: energy (eV) and volume (A^3) an atom, root mean square force (eV/A), number of atoms
    summary: list[tuple[float, float, float, int]] = field(default_factory=list)

    def add(self, frame: ForeignFrame, before: ForeignFrame | None) -> None:
        """Add a frame, and the pair with the one before it in its file."""
        assert frame.atoms is not None
        assert frame.energy_ev is not None
        assert frame.forces_ev_a is not None
        n_atoms = len(frame.atoms)
        self.places.append(frame.where)
        self.formulas.append(frame.atoms.get_chemical_formula())
        rms = float(np.sqrt(np.mean(frame.forces_ev_a**2)))
        self.summary.append((frame.energy_ev / n_atoms, frame.atoms.get_volume() / n_atoms, rms, n_atoms))
        if before is not None and (pair := pair_of(before, frame)) is not None:
            pair.first = len(self.places) - 2
            following = self.pairs and self.pairs[-1].first + 1 == pair.first
            pair.chain = self.pairs[-1].chain + (not following) if self.pairs else 0
            self.pairs.append(pair)


def pair_of(a: ForeignFrame, b: ForeignFrame) -> Pair | None:
    """Return what two frames that follow each other in a file say of the work, if they are near enough to compare.

    The energy as a function of scaled positions s and cell h changes by -f . (h ds) + V stress : strain; both are
    taken at the middle, where the error is of third order. Frames without a stress have none of its work.
    """
    if a.atoms is None or b.atoms is None or not np.array_equal(a.atoms.numbers, b.atoms.numbers):
        return None
    if a.forces_ev_a is None or b.forces_ev_a is None or a.energy_ev is None or b.energy_ev is None:
        return None
    cells = a.atoms.cell.array, b.atoms.cell.array
    middle = (cells[0] + cells[1]) / 2
    step = b.atoms.get_scaled_positions(wrap=False) - a.atoms.get_scaled_positions(wrap=False)
    moved = (step - np.rint(step)) @ middle
    if np.linalg.norm(moved, axis=1).max() > NEIGHBOUR_A:
        return None
    strain = np.linalg.solve(middle, cells[1] - cells[0])
    strain = abs(np.linalg.det(middle)) * (strain + strain.T) / 2
    works = [-np.sum(forces * moved, axis=1) for forces in (a.forces_ev_a, b.forces_ev_a)]
    strained = [0.0 if x.stress_ev_a3 is None else float(np.sum(x.stress_ev_a3 * strain)) for x in (a, b)]
    if (a.stress_ev_a3 is None or b.stress_ev_a3 is None) and np.abs(cells[1] - cells[0]).max() > 1e-6:
        return None
    return Pair(
        first=0,
        energy=b.energy_ev - a.energy_ev,
        forces=float(np.sum(works[0] + works[1])) / 2,
        stress=sum(strained) / 2,
        open_forces=float(np.sum(np.abs(works[1] - works[0]))),
        open_stress=abs(strained[1] - strained[0]),
        chain=0,
    )


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


def unit_hint(slope: float) -> str:
    """Return which unit a slope of energy against work speaks for."""
    ratios = {
        "is the energy in Ha (give energy_unit: Ha)?": 1 / Hartree,
        "is the energy in Ry (give energy_unit: Ry)?": 1 / Rydberg,
        "is the energy in kcal/mol (give energy_unit: kcal/mol)?": mol / kcal,
        "is the energy in kJ/mol (give energy_unit: kJ/mol)?": mol / kJ,
        "are the forces in Ha/Bohr (give forces_unit: Ha/Bohr)?": Hartree / Bohr,
        "are the forces in Ry/Bohr (give forces_unit: Ry/Bohr)?": Rydberg / Bohr,
        "is the sign of the forces wrong (gradients)?": -1.0,
    }
    near = [text for text, ratio in ratios.items() if abs(slope / ratio - 1) < SLOPE_TOLERANCE]
    return near[0] if near else "are energies, forces and their units of the same calculation?"


def stress_hint(slope: float) -> str:
    """Return what a slope of energy against the work of the stress speaks for."""
    if abs(slope + 1) < SLOPE_TOLERANCE:
        return "is compression positive (give stress_sign: compression)?"
    ratios = {"GPa": GPa, "kbar": 1e3 * bar, "bar": bar, "Ha/Bohr^3": Hartree / Bohr**3}
    near = [name for name, ratio in ratios.items() if abs(abs(slope) / ratio - 1) < SLOPE_TOLERANCE]
    return f"is it in {near[0]} (give stress_unit: {near[0]})?" if near else "is stress_unit right?"


def check_work(checks: Checks) -> tuple[str, list[str], dict[int, str]]:
    """Return in words whether energy, forces and stress belong together, a line for each that does not, and what is off.

    The change of energy between neighbours is fitted to the work of forces and stress: both slopes must be 1. What is off
    are frames, by number, whose energy the work from the other frames of their stretch does not explain.
    """
    pairs = checks.pairs
    energy = np.array([pair.energy for pair in pairs])
    none = "no neighbouring frames to check units and signs with"
    if len(pairs) < PAIRS_LEAST or not np.any(energy):
        return none, [], {}
    forces, stress = (np.array([getattr(pair, name) for pair in pairs]) for name in ("forces", "stress"))
    swings = np.std(stress) > 0.02 * np.std(forces) and np.std(stress) > 0
    columns = np.stack([forces, stress], axis=1) if swings else forces[:, None]
    if not np.linalg.norm(columns, axis=0).all():
        return none, [], {}
    slopes, near = robust_slopes(columns, energy)
    left = energy - columns @ slopes
    said = f"{len(pairs)} pairs of neighbouring frames"
    varied = float(np.sum(energy[near] ** 2))
    explained = 1 - float(np.sum(left[near] ** 2)) / varied if varied else 0.0
    trusted = explained >= EXPLAINED and near.mean() >= AGREEING and near.sum() >= PAIRS_LEAST - 1
    if not trusted:
        slopes = np.ones(columns.shape[1])
        left = energy - columns @ slopes
    off = off_the_work(checks, left, np.abs(slopes), trusted)
    if not trusted:
        return f"{said} are too far apart to check units and signs with", [], off
    lines = []
    if abs(slopes[0] - 1) > SLOPE_TOLERANCE:
        lines.append(
            f"labels.energy_unit: over {said} the energy changes by {slopes[0]:.3g} times the work of the forces, "
            f"not 1: {unit_hint(float(slopes[0]))}"
        )
    # A wrong unit of the energy shows in both slopes: then the stress is measured by that of the forces.
    scale = float(slopes[0]) if lines and slopes[0] > 0 and "energy in" in lines[0] else 1.0
    if swings:
        spread = np.sum(left[near] ** 2) / max(near.sum() - 2, 1)
        error = float(np.sqrt(np.linalg.inv(columns[near].T @ columns[near])[1, 1] * spread))
        if abs(slopes[1] / scale - 1) > max(SLOPE_TOLERANCE, 4 * error / scale):
            lines.append(
                f"labels.stress_unit: over {said} the energy changes by {slopes[1]:.3g} times the work of the stress, "
                f"not {scale:.3g}: {stress_hint(float(slopes[1]) / scale)}"
            )
    what = "forces and stress" if swings else "forces (the cell does not change: the stress is not checked)"
    return f"{said}: the energy changes by {slopes[0]:.3f} times the work of the {what}", lines, off


def off_the_work(checks: Checks, left: np.ndarray, slopes: np.ndarray, trusted: bool) -> dict[int, str]:
    """Return the frames, by number, that are on another level than most of their stretch, with the place of the jump.

    A jump is a pair whose change of energy the work leaves open by more than the trapezoid can be wrong: `left` (n,) is
    in eV, and twice the difference of the works by either end (times their slopes) is allowed to it.
    """
    pairs = checks.pairs
    sigma = 1.4826 * float(np.median(np.abs(left))) if trusted else 0.0
    width = np.array(
        [slopes[0] * pair.open_forces + (slopes[1] * pair.open_stress if len(slopes) > 1 else 0) for pair in pairs]
    )
    allowed = np.maximum(OUTLIER_SIGMAS * sigma, (0.5 if trusted else 2.0) * width) + DIGITS_EV
    if not trusted:
        allowed += 0.5 * np.array([abs(pair.forces) + abs(pair.stress) for pair in pairs])
    stretches: dict[int, list[int]] = defaultdict(list)
    for index, pair in enumerate(pairs):
        stretches[pair.chain].append(index)
    off: dict[int, str] = {}
    for members in stretches.values():
        jumps = [index for index in members if abs(left[index]) > allowed[index]]
        if not jumps:
            continue
        levels, level = {pairs[members[0]].first: 0.0}, 0.0
        for index in members:
            level += float(left[index]) if index in jumps else 0.0
            levels[pairs[index].first + 1] = level
        least = min(abs(float(left[index])) for index in jumps)
        values = np.array(list(levels.values()))
        main = values[int(np.argmax([(np.abs(values - value) < least / 2).sum() for value in values]))]
        for frame, value in levels.items():
            if abs(value - main) >= least / 2:
                off[frame] = (
                    f"its energy is {value - main:+.3g} eV off what the work of the forces makes of the "
                    f"{int((np.abs(values - main) < least / 2).sum())} frames around it: another level of theory, or "
                    "another state of the SCF?"
                )
    return off


def unlike_the_rest(checks: Checks) -> dict[int, str]:
    """Return the frames, by number, whose energy is far from that of all frames like them, with how far."""
    by_formula: dict[str, list[int]] = defaultdict(list)
    for frame, formula in enumerate(checks.formulas):
        by_formula[formula].append(frame)
    off: dict[int, str] = {}
    for frames in by_formula.values():
        energy, volume, rms, atoms = np.array([checks.summary[frame] for frame in frames]).T
        volume, rms = np.log(volume), np.log(np.maximum(rms, 1e-12))
        some = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), LIKE_MOST)).astype(int))
        for index, frame in enumerate(frames):
            like = (np.abs(volume[some] - volume[index]) < LIKE_VOLUME) & (np.abs(rms[some] - rms[index]) < LIKE_FORCE)
            others = np.sort(energy[some[like & (some != index)]])
            if len(others) < LIKE_LEAST:
                continue
            half = len(others) // 2 + 1  # the shortest stretch that holds half of them
            widths = others[half - 1 :] - others[: len(others) - half + 1]
            start = int(np.argmin(widths))
            middle = float(np.median(others[start : start + half]))
            beyond = energy[index] - middle
            if abs(beyond) > max(LIKE_SIGMAS * float(widths[start]) / 1.35, LIKE_EV, SWING_EV / np.sqrt(atoms[0])):
                off[frame] = (
                    f"its energy is {beyond:+.3g} eV an atom off the {len(others)} frames of the same atoms, volume and size "
                    "of forces: another level of theory, or another state of the SCF?"
                )
    return off
