"""Few frames out of many: those whose surroundings of the atoms differ most.

A frame is described by the smooth overlap of atomic positions (SOAP; Bartok, Kondor, Csanyi, Phys. Rev. B 87, 184115, 2013),
computed by featomic and averaged over the atoms of each element: no training is needed, and neither the order of atoms, nor
a rotation, nor the choice of the cell changes it. Frames are taken farthest point first (Gonzalez, Theor. Comput. Sci. 38, 293,
1985), which covers what was offered within twice the best radius that is possible.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from ase import Atoms

# Neighbours up to this distance count, which takes in the first shell of ions; the last part smoothly.
CUTOFF_A, SMOOTHING_A, WIDTH_A = 6.0, 1.0, 0.5
MAX_ANGULAR, MAX_RADIAL = 3, 3
# Frames nearer than this to one that was taken, in units of the spread of all, say the same again.
SIMILAR = 1e-3
ATOMS_AT_ONCE = 5000  # whose descriptors are held at a time: 14 kB an atom with seven elements


def descriptors(frames: Sequence[Atoms]) -> np.ndarray:
    """Return the descriptor (F, D) of each frame.

    The part of each central element is scaled to unit variance over the frames, so that neither the number of atoms of an
    element nor the size of its numbers decides; elements whose surroundings never differ give zeros.
    """
    spectra = averages(frames, sorted({int(z) for frame in frames for z in frame.numbers}))
    return scaled(spectra, scale(spectra))


def averages(frames: Sequence[Atoms], elements: Sequence[int]) -> np.ndarray:
    """Return the power spectrum of each frame (F, E, P, S), averaged over the atoms of each of E elements, not scaled.

    ``elements``: sorted atomic numbers, those of the frames among them; P are the pairs of elements around an atom.
    """
    from featomic import SoapPowerSpectrum

    calculator = SoapPowerSpectrum(
        cutoff={"radius": CUTOFF_A, "smoothing": {"type": "ShiftedCosine", "width": SMOOTHING_A}},
        density={"type": "Gaussian", "width": WIDTH_A},
        basis={
            "type": "TensorProduct",
            "max_angular": MAX_ANGULAR,
            "radial": {"type": "Gto", "max_radial": MAX_RADIAL},
        },
    )
    elements = list(elements)
    pairs = [(a, b) for i, a in enumerate(elements) for b in elements[i:]]
    size = (MAX_ANGULAR + 1) * (MAX_RADIAL + 1) ** 2
    spectra = np.zeros((len(frames), len(elements), len(pairs), size))
    at_once = max(1, ATOMS_AT_ONCE // max((len(frame) for frame in frames), default=1))
    for start in range(0, len(frames), at_once):
        some = [Atoms(f.numbers, f.positions, cell=f.cell, pbc=f.pbc) for f in frames[start : start + at_once]]
        for (centre, first, second), block in calculator.compute(some).items():
            sums = np.zeros((len(some), size))
            np.add.at(sums, np.asarray(block.samples["system"]), np.asarray(block.values))
            atoms = np.array([np.count_nonzero(frame.numbers == centre) for frame in some])
            where = elements.index(int(centre)), pairs.index((int(first), int(second)))
            spectra[start : start + len(some), where[0], where[1]] = sums / np.maximum(atoms, 1)[:, None]
    return spectra


def scale(spectra: np.ndarray) -> np.ndarray:
    """Return the factor (E,) that gives each element's part of averages (F, E, P, S) unit variance, 0 where it has none."""
    spread = np.sqrt(spectra.var(axis=0).sum(axis=(1, 2)))
    floor = 1e-9 * np.abs(spectra).max(initial=1.0)  # of elements that never differ, rounding is left
    return np.where(spread > floor, 1 / np.maximum(spread, floor), 0.0)


def scaled(spectra: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return averages (F, E, P, S) as descriptors (F, D), each element's part times its factor (E,)."""
    return (spectra * factors[None, :, None, None]).reshape(len(spectra), -1)


def farthest_points(x: np.ndarray, groups: Sequence[str], count: int, taken: Sequence[int] = ()) -> list[int]:
    """Return at most `count` rows of descriptors x (F, D), each the farthest from those before it and from nothing in `taken`.

    Rows of the groups that gave fewest come first, so that no part of a trajectory is left out and a split by groups has
    groups to split. Without `taken`, the first is the one nearest to the mean. `taken` are rows that were chosen
    before; `groups` has a name for each row, or "" for one that is not offered. Rows that say the same again (`SIMILAR`) are
    never taken.
    """
    nearest = np.full(len(x), math.inf)
    for row in taken:
        nearest = np.minimum(nearest, np.linalg.norm(x - x[row], axis=1))
    offered = np.array([group != "" for group in groups])
    limit = SIMILAR * math.sqrt(max(float(x.var(axis=0).sum()), 1e-30))
    gave: Counter[str] = Counter()
    picked: list[int] = []
    while len(picked) < count:
        rows = np.flatnonzero(offered & (nearest > limit)).tolist()
        if not rows:
            break
        fewest = min(gave[groups[row]] for row in rows)
        candidates = [row for row in rows if gave[groups[row]] == fewest]
        if picked or taken:
            pick = candidates[int(np.argmax(nearest[candidates]))]
        else:
            pick = candidates[int(np.argmin(np.linalg.norm(x[candidates] - x[offered].mean(axis=0), axis=1)))]
        picked.append(pick)
        gave[groups[pick]] += 1
        nearest = np.minimum(nearest, np.linalg.norm(x - x[pick], axis=1))
    return picked
