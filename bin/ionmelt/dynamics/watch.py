"""What ends a run before its time: broken bonds, collisions, a temperature or volume that runs away, a model that fails."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy
from ase import Atoms
from ase.data import covalent_radii

from ionmelt.dynamics.integrators import Dynamics
from ionmelt.dynamics.thermo import mean_kinetic_temperature
from ionmelt.errors import is_resource
from ionmelt.protons import HOLDERS, mobile_protons

# What counts as a broken run. A bond is broken when it is longer than this multiple of the sum of the covalent radii, and made when
# atoms of two different molecular ions or molecules come closer than the other multiple.
BOND_BROKEN = 1.6
BOND_MADE = 1.15
MIN_DISTANCE_A = 0.5
TEMPERATURE_FACTOR = 2.0
VOLUME_FACTOR = 2.0


@dataclass(frozen=True)
class Ended:
    """Why a run stopped before its end: a code of the `survival` table and what was seen."""

    end: str
    detail: str


# What calculators raise for a structure that they cannot compute, such as atoms on top of each other.
MODEL_ERRORS = (RuntimeError, ValueError, ArithmeticError)


def failed(error: Exception) -> Ended:
    """Return the end of a run whose calculator failed; a lack of memory or disk is raised: it says nothing of the run."""
    if is_resource(error):
        raise error
    text = str(error).strip() or type(error).__name__
    return Ended("error", f"{type(error).__name__}: {text.splitlines()[-1][:200]}")


class Watch:
    """Compare a running simulation with the liquid that it started from.

    Parameters: the starting frame with its cell; ``bonds`` (B, 2) and ``molecule`` (N,) of its topology. A mobile proton
    that has come to another of `HOLDERS` is on another molecule, and no bond is broken: `protons_away` is how many are, at the last check.
    """

    def __init__(self, atoms: Atoms, bonds: np.ndarray, molecule: np.ndarray, temperature_K: float) -> None:
        self.bonds = bonds
        self.limit_K = TEMPERATURE_FACTOR * temperature_K
        self.volume_A3 = atoms.get_volume()
        self.symbols = np.array(atoms.get_chemical_symbols())
        radii = covalent_radii[atoms.numbers]
        self.bond_limit = BOND_BROKEN * (radii[bonds[:, 0]] + radii[bonds[:, 1]])
        # Contacts of single-atom ions such as Li-O are as short as bonds, but are no bonds.
        self.bonded = np.isin(np.arange(len(atoms)), bonds)
        self.molecule = molecule
        self.contact = BOND_MADE * radii
        bonded_radii = radii[self.bonded]
        self.reach = max(MIN_DISTANCE_A, 2 * BOND_MADE * bonded_radii.max() if len(bonded_radii) else 0)
        self.holds, self.mobile = np.isin(self.symbols, HOLDERS), mobile_protons(self.symbols, bonds)
        self.proton_limit = BOND_BROKEN * radii
        if self.mobile.any():
            self.reach = max(self.reach, self.proton_limit[self.mobile].max() + self.proton_limit[self.holds].max())
        self.protons_away = 0

    def check(self, atoms: Atoms) -> Ended | None:
        """Return why the run must stop now, or None. Reads positions, cell and momenta only."""
        if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.get_momenta()).all()):
            return Ended("nan", "positions or momenta are not finite")
        temperature = mean_kinetic_temperature(atoms, 3 * len(atoms) - 3)
        if temperature > self.limit_K:
            return Ended("temperature", f"{temperature:.0f} K, the limit is {self.limit_K:.0f} K")
        ratio = atoms.get_volume() / self.volume_A3
        if not 1 / VOLUME_FACTOR < ratio < VOLUME_FACTOR:
            return Ended("volume", f"{ratio:.2f} of the starting volume")
        edges = atoms.cell.lengths()
        pairs, distance = self._close_pairs(atoms.positions, edges)
        if len(pairs) and distance.min() < MIN_DISTANCE_A:
            closest = int(np.argmin(distance))
            return Ended("min_distance", f"{self._name(*pairs[closest])} at {distance[closest]:.2f} A")
        lengths = self._lengths(atoms.positions, self.bonds, edges)
        i, j = pairs.T
        sharing = (self.mobile[i] & self.holds[j]) | (self.holds[i] & self.mobile[j])
        broken = np.flatnonzero(lengths > self.bond_limit)
        if len(broken) and self.mobile.any():
            on_another = sharing & (distance < self.proton_limit[i] + self.proton_limit[j])
            held = np.intersect1d(pairs[on_another], np.flatnonzero(self.mobile))
            hopped = np.isin(self.bonds[broken], held).any(axis=1)
            self.protons_away, broken = int(hopped.sum()), broken[~hopped]
        else:
            self.protons_away = 0
        if len(broken):
            worst = broken[np.argmax(lengths[broken] / self.bond_limit[broken])]
            return Ended("bond_broken", f"{self._name(*self.bonds[worst])} at {lengths[worst]:.2f} A")
        between = (self.molecule[i] != self.molecule[j]) & self.bonded[i] & self.bonded[j] & ~sharing
        made = np.flatnonzero(between & (distance < self.contact[i] + self.contact[j]))
        if len(made):
            i, j = pairs[made[0]]
            return Ended("bond_made", f"{self._name(i, j)} of two ions or molecules at {distance[made[0]]:.2f} A")
        return None

    def _name(self, i: int | np.integer, j: int | np.integer) -> str:
        return f"{self.symbols[i]}{i}-{self.symbols[j]}{j}"

    def _close_pairs(self, positions: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pairs (P, 2) of atoms nearer than any limit, sorted, and their distances in A.

        The box is orthorhombic; one so small that the reach passes half of an edge is searched pair by pair.
        """
        if self.reach < edges.min() / 2:
            wrapped = positions % edges
            wrapped = np.where(wrapped < edges, wrapped, 0)  # a rounding of the remainder may give the edge itself
            pairs = scipy.spatial.cKDTree(wrapped, boxsize=edges).query_pairs(self.reach, output_type="ndarray")
            pairs = pairs[np.lexsort(pairs.T[::-1])]
        else:
            pairs = np.argwhere(np.triu(np.ones((len(positions), len(positions)), bool), 1))
        return pairs, self._lengths(positions, pairs, edges)

    @staticmethod
    def _lengths(positions: np.ndarray, pairs: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Return minimum-image distances (P,) in A of pairs of atoms in an orthorhombic box."""
        delta = positions[pairs[:, 0]] - positions[pairs[:, 1]]
        delta -= edges * np.round(delta / edges)
        return np.sqrt((delta**2).sum(-1))


def strides(
    dynamics: Dynamics, steps: int, every: int, sample: Callable[[int], None], watch: Watch
) -> Iterator[tuple[int, Ended | None]]:
    """Advance in strides, sampling after each whole one; yield the step reached and why the run ended, if it did.

    What is left over at the end is no whole stride: a sample there would be nearer to the one before than all others are, and a
    series that is not even has no viscosity.
    A calculator that fails ends the run with its message, as any other end: a model that cannot go on is
    a result of this pipeline, not an accident of it.
    """
    atoms = dynamics.atoms
    done = 0
    while done < steps:
        stride = min(every, steps - done)
        try:
            with np.errstate(all="ignore"):
                dynamics.run(stride)
            ended = watch.check(atoms)
        except MODEL_ERRORS as error:
            ended = failed(error)
        done += stride
        if ended is None and stride == every:
            sample(done)
        yield done, ended
        if ended is not None:
            return
