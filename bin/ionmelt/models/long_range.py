"""How far a model sees: the energy of two ions, and of two neutral pairs of ions, as they are moved apart in vacuum.

A model with a cut-off has no energy that changes beyond it, while charges attract each other at any distance. The energies are
relative to those at the farthest distance, and stand beside what Coulomb's law gives for the ions' charges at their centres of mass.
A classical force field knows whole boxes alone: of it these are the energies of its own charges, without images or a cut-off.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.data import covalent_radii

from ionmelt.liquid.calculator import ClassicalCalculator
from ionmelt.models.vacuum import energy
from ionmelt.topology import Topology

DISTANCES_A = np.round(np.geomspace(3.0, 30.0, 16), 3)
TOUCHING = 1.2  # ions whose atoms are nearer than this many times the sum of covalent radii are not moved so close
TAIL_A = 10.0  # ions that are farther apart than this are to follow Coulomb's law
BLIND = 0.1  # a model that sees less than this share of Coulomb's change is blind
SIZES = (0.5, 2.0)  # shares of Coulomb's change that are of the right size: force fields with scaled charges have 0.6
MOST_PAIRS = 4  # kinds of pairs of a liquid that are looked at
CHARGE = "force_field_charge_e"  # array of atoms
COULOMB_EV_A = units.Hartree * units.Bohr  # e^2 / (4 pi epsilon_0)


@dataclass(frozen=True)
class Separation:
    """A row of long_range.parquet, without the columns of the model.

    Energies (eV) are relative to those at the farthest distance. `blind_beyond_A`: the distance from which on the model sees less
    than a tenth of what Coulomb's law has left, null where it sees to the last but one, or has no energies. `coulomb_share`: the median
    of the energy over Coulomb's, of the distances of `TAIL_A` and more. `sight`: ``blind``, ``wrong sign``, ``wrong size`` or ``right``.
    """

    liquid: str
    pair: str
    ions: int  # that are moved: 2, or 4 for two pairs
    distance_A: float
    energy_ev: float | None
    coulomb_ev: float
    blind_beyond_A: float | None = None
    coulomb_share: float | None = None
    sight: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Sight:
    """What is said of a model by its energies (`Separation`)."""

    blind_beyond_A: float | None = None
    coulomb_share: float | None = None
    sight: str | None = None


class PointCharges(Calculator):
    """The charges of a force field, which the atoms have as the array `CHARGE`, by Coulomb's law."""

    implemented_properties = ["energy"]  # noqa: RUF012  (ASE's interface)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute the energy (eV)."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None  # ASE has set it
        charges = self.atoms.get_array(CHARGE)
        i, j = np.triu_indices(len(self.atoms), 1)
        apart = self.atoms.get_all_distances()[i, j]
        self.results["energy"] = float(COULOMB_EV_A * np.sum(charges[i] * charges[j] / apart))


@dataclass(frozen=True)
class Body:
    """What is moved as one: atoms, with the charges (K,) (e) of its ions and where these are (K, 3) (A)."""

    atoms: Atoms
    charges_e: np.ndarray
    centres_A: np.ndarray

    def moved(self, by_A: np.ndarray) -> "Body":
        """Return it somewhere else."""
        atoms = self.atoms.copy()
        atoms.positions += by_A
        return replace(self, atoms=atoms, centres_A=self.centres_A + by_A)

    def with_(self, other: "Body") -> "Body":
        """Return both as one, about their middle."""
        atoms = self.atoms + other.atoms
        charges = np.concatenate([self.charges_e, other.charges_e])
        both = Body(atoms, charges, np.concatenate([self.centres_A, other.centres_A]))
        return both.moved(-both.centres_A.mean(axis=0))


def touching(a: Body, b: Body) -> bool:
    """Tell whether two bodies are too close to each other."""
    apart = np.linalg.norm(a.atoms.positions[:, None] - b.atoms.positions[None], axis=-1)
    radii = covalent_radii[a.atoms.numbers][:, None] + covalent_radii[b.atoms.numbers][None]
    return bool((apart < TOUCHING * radii).any())


def coulomb_ev(a: Body, b: Body) -> float:
    """Return the energy of the charges of one body with those of another (eV)."""
    apart = np.linalg.norm(a.centres_A[:, None] - b.centres_A[None], axis=-1)
    return float(COULOMB_EV_A * (a.charges_e[:, None] * b.charges_e[None] / apart).sum())


def bodies(state: Path, charges_e: np.ndarray | None = None) -> tuple[Topology, dict[str, Body]]:
    """Return the topology of a state folder, and one ion of each kind as it is in the frame that runs start from.

    `charges_e` (N,) (e): what a force field gives the atoms of the box.
    """
    topology = Topology.load(state / "topology.json")
    start = ase.io.read(state / "start.extxyz")
    assert isinstance(start, Atoms)  # one frame
    positions = topology.whole(start.positions, start.cell.array)
    centres = topology.centres(positions)
    ions = {}
    for name in dict.fromkeys(topology.molecule_ion.tolist()):
        first = int(np.flatnonzero(topology.molecule_ion == name)[0])
        atoms = topology.molecule == first
        ion = Atoms(topology.elements[atoms].tolist(), positions[atoms] - centres[first])
        if charges_e is not None:
            ion.set_array(CHARGE, charges_e[atoms])
        ions[name] = Body(ion, topology.charges_e[[first]], np.zeros((1, 3)))
    return topology, ions


def separations(calculator: Calculator, a: Body, b: Body) -> Iterator[tuple[float, float | None, float, str | None]]:
    """Yield distance (A), energy (eV) or None with its reason, and Coulomb's energy (eV), of two bodies that are moved apart."""
    for distance in DISTANCES_A:
        other = b.moved(np.array([distance, 0.0, 0.0]))
        if touching(a, other):
            continue
        both = a.with_(other)
        value, reason = energy(calculator, both.atoms, round(both.charges_e.sum()))
        yield float(distance), value, coulomb_ev(a, other), reason


def sight(distances_A: Sequence[float], seen_ev: Sequence[float], coulomb_ev: Sequence[float]) -> Sight:
    """Return what is said of energies that are relative to those at the last distance, beside Coulomb's.

    A model is blind from the first distance on at which it sees less than `BLIND` of Coulomb's change, and in the median of those
    beyond: neither a zero on the way nor a bump far out is sight.
    """
    distances, shares = np.array(distances_A[:-1]), np.array(seen_ev[:-1]) / np.array(coulomb_ev[:-1])
    little = (d for k, d in enumerate(distances) if max(abs(shares[k]), abs(np.median(shares[k:]))) < BLIND)
    blind = next(little, None)
    tail = float(np.median(shares[distances >= TAIL_A]))
    if blind is not None:
        return Sight(float(blind), tail, "blind")
    size = "right" if SIZES[0] <= tail <= SIZES[1] else "wrong size"
    return Sight(None, tail, "wrong sign" if tail < 0 else size)


def curve(calculator: Calculator, liquid: str, pair: str, a: Body, b: Body) -> list[Separation]:
    """Return the rows of two bodies that are moved apart; where the model has no energy at one distance, nothing is said of its sight."""
    points = list(separations(calculator, a, b))
    distances, values, law, reasons = zip(*points, strict=True)
    ions, last = len(a.charges_e) + len(b.charges_e), values[-1]
    seen = [None if value is None or last is None else value - last for value in values]
    expected = [value - law[-1] for value in law]
    numbers = [value for value in seen if value is not None]
    said = sight(distances, numbers, expected) if len(numbers) == len(seen) else Sight()
    why = [reason or ("no energy at the farthest" if last is None else None) for reason in reasons]
    return [
        Separation(
            liquid, pair, ions, distance, value, coulomb, said.blind_beyond_A, said.coulomb_share, said.sight, reason
        )
        for distance, value, coulomb, reason in zip(distances, seen, expected, why, strict=True)
    ]


def nearest_pair(cation: Body, anion: Body) -> Body:
    """Return a cation and an anion as one, as close as they may be."""
    distances = [d for d in DISTANCES_A if not touching(cation, anion.moved(np.array([d, 0.0, 0.0])))]
    return cation.with_(anion.moved(np.array([distances[0], 0.0, 0.0])))


def curves(calculators: Calculator | Mapping[str, Calculator], states: Sequence[Path]) -> Iterator[Separation]:
    """Yield what a model sees of the ions of each liquid: pairs of a cation and an anion, and two pairs of the first kind.

    `calculators`: of a classical force field one for each liquid, else the model's.
    """
    for state in states:
        calculator, charges_e = calculators, None
        if isinstance(calculators, Mapping):
            of_box = calculators[Topology.load(state / "topology.json").liquid]
            assert isinstance(of_box, ClassicalCalculator)
            calculator, charges_e = PointCharges(), of_box.charges_e
            if charges_e is None:
                continue
        assert isinstance(calculator, Calculator)
        topology, ions = bodies(state, charges_e)
        cations = [name for name, ion in ions.items() if ion.charges_e.sum() > 0]
        anions = [name for name, ion in ions.items() if ion.charges_e.sum() < 0]
        for cation, anion in list(itertools.product(cations, anions))[:MOST_PAIRS]:
            yield from curve(calculator, topology.liquid, f"{cation}-{anion}", ions[cation], ions[anion])
        if cations and anions:
            pair = nearest_pair(ions[cations[0]], ions[anions[0]])
            yield from curve(calculator, topology.liquid, f"{cations[0]}-{anions[0]}", pair, pair)
