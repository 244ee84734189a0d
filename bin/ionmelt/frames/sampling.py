"""Choose the frames of one liquid to be labelled: equilibrated ones, and ones pushed away from equilibrium.

Recipes of kind eq: equilibrium. Recipes of kind neq: volume_scan, oscillation, packing, rattle, clusters, ions, and test_scan
(for testing only). Frames with unphysical contacts or bonds and duplicates are refused, counted and replaced
where the recipe can make others. With a `pool` above 1 each recipe makes so many times the frames, and those are taken whose
surroundings differ most from each other and from those of the recipes before (ionmelt/frames/selection.py).

Writes the frames in chunks, OUT/LIQUID-000.extxyz and so on (and their ids, OUT/LIQUID-000.txt), with similar frames
next to each other, and a table with a row for each recipe: what was asked for, kept and refused. The same input gives the same bytes.

Groups. A trajectory is cut into blocks of consecutive frames, and every frame that is taken or made from one,
whatever the recipe, is in the block's group: no split that keeps groups together can part a frame from its
displaced or scaled copy. The last part of each trajectory is left alone, but for test_scan.
"""

import argparse
import logging
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import openmm
import polars as pl
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii, vdw_radii
from ase.neighborlist import neighbor_list
from mdtraj.formats import DCDTrajectoryFile
from openmm import unit

from ionmelt import errors as errors_module
from ionmelt import files, task
from ionmelt.errors import UserError, reading
from ionmelt.files import read_json
from ionmelt.frame import CHARGE_KEY, make_frame, overlaps, write_frames
from ionmelt.frames import selection
from ionmelt.tables.frames import SAMPLING
from ionmelt.topology import Topology

TRIES = 20  # candidates for one frame before it is given up
MAX_BLOCKS, MIN_BLOCKS = 10, 3
HELD_OUT_FRACTION = 0.1  # most of a trajectory that is left alone before test_scan's frame

# Ions do not come closer than this fraction of the sum of their atoms' radii.
CONTACT_FRACTION = 0.6
# Metal cations have no shell of their own: radii of Shannon, Acta Cryst. A 32, 751 (1976), coordination 6.
CATION_RADII_A = {
    "Li": 0.76,
    "Na": 1.02,
    "K": 1.38,
    "Rb": 1.52,
    "Cs": 1.67,
    "Mg": 0.72,
    "Ca": 1.00,
    "Zn": 0.74,
}
DEFAULT_RADIUS_A = 2.0  # where ASE has no van der Waals radius
BOND_RANGE = (0.7, 1.4)  # bond lengths, in sums of covalent radii

# Equilibration holds bonds to hydrogen fixed. A model must know how they vibrate, so frames taken from its
# trajectory run on without constraints, with friction strong enough to heat those bonds within this time.
THAW_STEPS, THAW_TIMESTEP_PS, THAW_FRICTION_PS = 200, 0.0005, 50.0

OSCILLATION_STRIDE, OSCILLATION_TIMESTEP_PS, OSCILLATION_FRICTION_PS = 10, 0.001, 5.0
# Temperature and box swing with incommensurate periods, so that they meet in all combinations.
TEMPERATURE_PERIOD_RATIO = (1 + 5**0.5) / 2

PACKING_CONTACT_A, PACKING_LOOPS, RELAX_ITERATIONS = 1.9, 30, 200
PACKMOL_TIME_S = 600


@dataclass
class Candidate:
    """A structure that a recipe proposes: positions (N, 3) and box edges (3,) in A, ions whole.

    `topology` is of the ions in it, where they are not those of the liquid's box.
    """

    positions: np.ndarray
    edges: np.ndarray
    group: str
    info: dict[str, float] = field(default_factory=dict)
    topology: Topology | None = None


Slot = Iterable[Candidate]  # what may fill one place among the requested frames, best first


class State:
    """An equilibrated liquid: its topology, its trajectory and, with a force field, its OpenMM system.

    Attributes: `key`, `temperature_K`, `replica`, `topology`; `equilibrated`, whether its density has converged (None: not
    known); `positions` (F, N, 3) and `edges` (F, 3) in A;
    `inefficiency` of the volume, in frames; `usable`, the number of frames that recipes may use; `blocks`.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.key = folder.name
        self.seed = seed
        names = ("topology.json", "trajectory.dcd", "equilibration.json")
        missing = [f"{folder}: {name} is missing" for name in names if not (folder / name).is_file()]
        if missing:
            raise UserError(*missing)
        self.topology = Topology.load(folder / "topology.json")
        record = read_json(folder / "equilibration.json")
        self.temperature_K, self.replica = float(record["temperature_K"]), int(record["replica"])
        self.equilibrated: bool | None = record.get("converged")
        with reading(folder / "trajectory.dcd", "DCD"), DCDTrajectoryFile(str(folder / "trajectory.dcd")) as file:
            positions, edges, angles = file.read()
        if len(positions) < 2:
            raise UserError(f"{folder}/trajectory.dcd: has {len(positions)} frames; at least 2 are needed")
        if np.abs(angles - 90).max() > 1e-3:
            raise UserError(f"{folder}/trajectory.dcd: the cell must be orthorhombic")
        self.edges = edges.astype(float)
        self.positions = np.array(
            [self.topology.wrapped(p, e) for p, e in zip(positions.astype(float), self.edges, strict=True)]
        )
        self.inefficiency = statistical_inefficiency(self.edges.prod(axis=1))
        count = len(positions)
        self.usable = count - max(1, min(int(np.ceil(self.inefficiency)), int(HELD_OUT_FRACTION * count)))
        self.blocks = min(MAX_BLOCKS, max(MIN_BLOCKS, int(count / self.inefficiency)), self.usable)
        path = folder / "system.xml"
        self.system_xml = path.read_text() if path.is_file() else None
        self._thaw: openmm.Context | None = None
        self._thawed: dict[int, np.ndarray] = {}

    @property
    def numbers(self) -> np.ndarray:
        """Atomic numbers (N,)."""
        return np.array([atomic_numbers[element] for element in self.topology.elements])

    @property
    def bath(self) -> dict[str, float]:
        """What a frame says of the temperature that it was made at (K)."""
        return {"temperature_K": self.temperature_K}

    def group(self, index: int) -> str:
        """Return the group of a frame of the trajectory: that of its block."""
        return f"{self.key}-eq-{index * self.blocks // self.usable}"

    @property
    def groups(self) -> set[str]:
        """The groups of the frames of the trajectory."""
        return {self.group(index) for index in range(self.usable)}

    def frame(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positions (N, 3) and edges (3,) of a frame, its bonds to hydrogen set free.

        What comes back depends on the trajectory and the seed alone, and not on which recipe asks, or when.
        """
        if self.system_xml is None:
            return self.positions[index], self.edges[index]
        if index not in self._thawed:
            if self._thaw is None:
                self._thaw = self.context(self.edges.min(), THAW_TIMESTEP_PS, THAW_FRICTION_PS)
            self._thawed[index] = self.thaw(
                self._thaw,
                self.positions[index],
                self.edges[index],
                number(self.seed, "thaw", self.key, index),
            )
        return self._thawed[index], self.edges[index]

    def context(self, smallest_edge_A: float, timestep_ps: float, friction_ps: float) -> openmm.Context:
        """Return an OpenMM context whose box may shrink to an edge: if it must, the cut-off is lowered."""
        assert self.system_xml is not None
        system = openmm.XmlSerializer.deserialize(self.system_xml)
        longest = 0.49 * smallest_edge_A / 10
        for force in system.getForces():
            if isinstance(force, openmm.NonbondedForce | openmm.CustomNonbondedForce):
                cutoff = min(force.getCutoffDistance().value_in_unit(unit.nanometer), longest)
                force.setCutoffDistance(cutoff)
                if force.getUseSwitchingFunction():
                    switch = force.getSwitchingDistance().value_in_unit(unit.nanometer)
                    force.setSwitchingDistance(min(switch, 0.9 * cutoff))
        integrator = openmm.LangevinMiddleIntegrator(self.temperature_K, friction_ps, timestep_ps)
        platform = openmm.Platform.getPlatformByName("CPU")
        return openmm.Context(system, integrator, platform, {"Threads": "1", "DeterministicForces": "true"})

    def thaw(self, context: openmm.Context, positions: np.ndarray, edges: np.ndarray, seed: int) -> np.ndarray:
        """Run a moment without constraints from new velocities at the state's temperature."""
        context.getIntegrator().setRandomNumberSeed(seed)
        context.reinitialize()
        set_box(context, positions, edges)
        context.setVelocitiesToTemperature(self.temperature_K, seed)
        context.getIntegrator().step(THAW_STEPS)
        return self.topology.wrapped(get_positions(context), edges)


def set_box(context: openmm.Context, positions: np.ndarray, edges: np.ndarray) -> None:
    """Give an OpenMM context a box and positions in A."""
    context.setPeriodicBoxVectors(*(openmm.Vec3(*row) for row in np.diag(edges) / 10))
    context.setPositions(positions / 10)


def get_positions(context: openmm.Context) -> np.ndarray:
    """Return the positions (N, 3) of an OpenMM context in A."""
    return context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom)


def statistical_inefficiency(series: np.ndarray) -> float:
    """Return how many frames make one independent one (Chodera, J. Chem. Theory Comput. 12, 1799, 2016)."""
    logging.getLogger("pymbar").setLevel(logging.ERROR)  # it greets at length when loaded
    from pymbar import timeseries

    if len(series) < 3 or np.ptp(series) < 1e-6 * abs(series.mean()):
        return 1.0
    return float(timeseries.statistical_inefficiency(series))


def number(*parts: int | str) -> int:
    """Return a positive 31-bit seed that depends on all parts."""
    words = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in parts]
    return int(np.random.SeedSequence(words).generate_state(1)[0] % (2**31 - 1)) + 1


# --- Recipes: each yields one slot for each frame wanted ---------------------------------------------------


def equilibrium(states: Sequence[State], given: dict[str, Any], seed: int) -> Iterator[Slot]:
    """Evenly spaced frames of each trajectory, which is as far apart as they can be."""
    for state in states:
        for index in chosen(state, given["frames"]):
            positions, edges = state.frame(index)
            known = {} if state.equilibrated is None else {"equilibrated": state.equilibrated}
            yield [Candidate(positions, edges, state.group(index), state.bath | known)]


def chosen(state: State, frames: int) -> list[int]:
    """Return the indices of evenly spaced frames; all usable frames where fewer than `frames` are."""
    count = min(frames, state.usable)
    return [int((2 * i + 1) * state.usable / (2 * count)) for i in range(count)]


def volume_scan(states: Sequence[State], given: dict[str, Any], seed: int) -> Iterator[Slot]:
    """Trajectory frames with rigid ions, scaled by factors spread evenly over the range given."""
    low, high, frames = given["scale_min"], given["scale_max"], given["frames"]

    def slot(i: int) -> Iterator[Candidate]:
        state = states[i % len(states)]
        rng = np.random.default_rng(number(seed, "volume_scan", state.key, i))
        while True:
            index = int(rng.integers(state.usable))
            scale = round(low + (high - low) * (i + rng.random()) / frames, 6)
            positions, edges = state.topology.scaled(*state.frame(index), scale)
            yield Candidate(positions, edges, state.group(index), state.bath | {"scale": scale})

    yield from map(slot, range(frames))


def rattle(states: Sequence[State], given: dict[str, Any], seed: int) -> Iterator[Slot]:
    """Trajectory frames with every coordinate displaced by a Gaussian random number."""

    def slot(i: int) -> Iterator[Candidate]:
        state = states[i % len(states)]
        rng = np.random.default_rng(number(seed, "rattle", state.key, i))
        while True:
            index = int(rng.integers(state.usable))
            positions, edges = state.frame(index)
            displaced = positions + rng.normal(scale=given["sigma_A"], size=positions.shape)
            yield Candidate(displaced, edges, state.group(index), state.bath)

    yield from map(slot, range(given["frames"]))


def clusters(states: Sequence[State], given: dict[str, Any], seed: int) -> Iterator[Slot]:
    """Neutral clusters cut from trajectory frames, from a pair upwards, alone in a box with room around them."""
    largest, vacuum = given["pairs_max"], given["vacuum_A"]

    def slot(i: int) -> Iterator[Candidate]:
        state = states[i % len(states)]
        rng = np.random.default_rng(number(seed, "clusters", state.key, i))
        for _ in range(TRIES):
            index = int(rng.integers(state.usable))
            positions, edges = state.frame(index)
            ions, shifts = cluster(state.topology, positions, edges, 2 * (1 + i % largest), rng)
            if not len(ions):
                continue
            top = state.topology.part(ions)
            atoms = np.flatnonzero(np.isin(state.topology.molecule, ions))
            inside = (positions + shifts[state.topology.molecule])[atoms]
            yield Candidate(*alone(inside, vacuum), state.group(index), state.bath | {"ions": len(ions)}, top)

    yield from map(slot, range(given["frames"]))


def alone(positions: np.ndarray, vacuum_A: float) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (N, 3) in the middle of a box and its edges (3,), with so much room beyond them in each direction."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    return positions - low + vacuum_A / 2, np.round(high - low + vacuum_A, 6)


def single_ions(states: Sequence[State], given: dict[str, Any], seed: int) -> Iterator[Slot]:
    """Ions cut from trajectory frames, each kind in turn; an ion that is one atom has one frame.

    Their charge is in the frame: they are labelled without images (ionmelt/frame.py).
    """
    top = states[0].topology
    sizes = {str(name): int((top.ion == name).sum() / (top.molecule_ion == name).sum()) for name in np.unique(top.ion)}
    atoms = [name for name, size in sizes.items() if size == 1]
    others = [name for name, size in sizes.items() if size > 1]
    wanted = [*atoms, *(others[i % len(others)] for i in range(given["frames"] - len(atoms)) if others)]

    def slot(i: int) -> Iterator[Candidate]:
        state = states[i % len(states)]
        rng = np.random.default_rng(number(seed, "ions", state.key, i))
        copies = np.flatnonzero(state.topology.molecule_ion == wanted[i])
        while True:
            index, chosen = int(rng.integers(state.usable)), rng.choice(copies, size=1)
            top = state.topology.part(chosen)
            positions, _ = state.frame(index)
            placed = alone(positions[state.topology.molecule == chosen[0]], given["vacuum_A"])
            info = state.bath | {CHARGE_KEY: round(top.charges_e.sum())}
            yield Candidate(*placed, state.group(index), info, top)

    yield from map(slot, range(min(given["frames"], len(wanted))))


def cluster(
    topology: Topology, positions: np.ndarray, edges: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ions of a neutral cluster (indices, sorted) and the shift (M, 3) in A that brings each ion to it.

    It starts from a random ion and takes the nearest that brings the charge towards zero, until it has at least `size`
    ions and no charge; no ions are returned where a box cannot give that.
    """
    centres, charges = topology.centres(positions), topology.charges_e
    shifts = np.zeros_like(centres)
    chosen = [int(rng.integers(len(centres)))]
    while len(chosen) < size or charges[chosen].sum() != 0:
        charge = charges[chosen].sum()
        others = [i for i in range(len(centres)) if i not in chosen and charges[i] * charge <= 0]
        if not others:
            return np.array([], dtype=int), shifts
        # nearest to any ion of the cluster, through the boundaries
        apart = centres[others][:, None] - (centres + shifts)[chosen][None]
        images = -np.rint(apart / edges) * edges
        distances = np.linalg.norm(apart + images, axis=2)
        row, column = np.unravel_index(int(np.argmin(distances)), distances.shape)
        shifts[others[row]] = images[row, column]
        chosen.append(others[row])
    return np.array(sorted(chosen), dtype=int), shifts


def oscillation(states: Sequence[State], given: dict[str, Any], seed: int) -> Iterator[Slot]:
    """Frames at even times of a classical run of each state whose temperature and box edge swing as sines."""
    for i, state in enumerate(states):
        frames = len(range(i, given["frames"], len(states)))
        try:
            for candidate in swinging_run(state, given, frames, number(seed, "oscillation", state.key)):
                yield [candidate]
        except openmm.OpenMMException as error:
            if errors_module.is_resource(error):
                raise
            print(f"{state.key}: the oscillating run ended: {error}", file=sys.stderr)


def swinging_run(state: State, given: dict[str, Any], frames: int, seed: int) -> Iterator[Candidate]:
    """Run one oscillation and yield `frames` candidates; a period of the box is a group."""
    amplitude, period = given["box_amplitude"], given["period_ps"]
    positions, start_edges = state.frame(0)
    context = state.context((1 - amplitude) * start_edges.min(), OSCILLATION_TIMESTEP_PS, OSCILLATION_FRICTION_PS)
    integrator = context.getIntegrator()
    integrator.setRandomNumberSeed(seed)
    context.reinitialize()
    set_box(context, positions, start_edges)
    context.setVelocitiesToTemperature(state.temperature_K, seed)
    stride_ps = OSCILLATION_STRIDE * OSCILLATION_TIMESTEP_PS
    edges, step = start_edges, 0
    for frame in range(frames):
        last = max(step + 1, round((frame + 0.5) / frames * given["length_ps"] / stride_ps))
        while step < last:
            step += 1
            phase = 2 * np.pi * step * stride_ps / period
            swing = np.sin(phase / TEMPERATURE_PERIOD_RATIO)
            bath_K = max(state.temperature_K + given["temperature_amplitude_K"] * swing, 1.0)
            integrator.setTemperature(bath_K)
            factor = start_edges[0] * (1 + amplitude * np.sin(phase)) / edges[0]
            positions, edges = state.topology.scaled(get_positions(context), edges, factor)
            set_box(context, positions, edges)
            integrator.step(OSCILLATION_STRIDE)
        whole = state.topology.wrapped(get_positions(context), edges)
        group = f"{state.key}-oscillation-{int(step * stride_ps / period)}"
        yield Candidate(whole, edges, group, {"temperature_K": round(bath_K, 3)})


def packing(states: Sequence[State], given: dict[str, Any], seed: int) -> Iterator[Slot]:
    """Random packings of the trajectory's ions in strained boxes of random density, relaxed for a moment."""
    low, high, frames = given["density_min_fraction"], given["density_max_fraction"], given["frames"]
    contexts: dict[str, openmm.Context] = {}

    def slot(i: int) -> Iterator[Candidate]:
        state = states[i % len(states)]
        volume = state.edges.prod(axis=1).mean()
        if state.key not in contexts:
            smallest = (volume / high) ** (1 / 3) * (1 - given["strain"]) / (1 + given["strain"])
            contexts[state.key] = state.context(smallest, THAW_TIMESTEP_PS, THAW_FRICTION_PS)
        context = contexts[state.key]
        rng = np.random.default_rng(number(seed, "packing", state.key, i))
        for _ in range(TRIES):
            fraction = low + (high - low) * (i + rng.random()) / frames
            stretch = 1 + rng.uniform(-given["strain"], given["strain"], size=3)
            edges = np.round((volume / fraction / stretch.prod()) ** (1 / 3) * stretch, 6)
            packed = pack(state, edges, rng)
            if packed is None:
                continue
            set_box(context, packed, edges)
            openmm.LocalEnergyMinimizer.minimize(context, 10.0, RELAX_ITERATIONS)
            relaxed = get_positions(context)
            try:
                warm = state.thaw(context, relaxed, edges, int(rng.integers(1, 2**31)))
            except openmm.OpenMMException as error:
                if errors_module.is_resource(error):
                    raise
                continue
            info = state.bath | {"density_fraction": round(fraction, 6)}
            yield Candidate(warm, edges, f"{state.key}-packing-{i}", info)

    yield from map(slot, range(frames))


def pack(state: State, edges: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Return positions (N, 3) of ions at random places, each with its shape in a random frame, by packmol.

    A packing that packmol does not finish is returned as it is, for the minimisation to mend; None is none.
    """
    topology = state.topology
    lines = [
        f"tolerance {PACKING_CONTACT_A}",
        "filetype xyz",
        "output packed.xyz",
        f"seed {int(rng.integers(1, 2**31))}",
        "pbc " + " ".join(f"{edge:.6f}" for edge in edges),
        f"nloop {PACKING_LOOPS}",
        "movebadrandom",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for molecule in range(len(topology.molecule_ion)):
            ion = topology.molecule == molecule
            shape = state.positions[int(rng.integers(state.usable))][ion]
            atoms = Atoms(topology.elements[ion], shape - shape.mean(axis=0))
            ase.io.write(Path(folder, f"{molecule}.xyz"), atoms)
            lines += [f"structure {molecule}.xyz", "number 1", "end structure"]
        script = Path(folder, "pack.inp")
        script.write_text("\n".join(lines) + "\n")
        binary = Path(sys.executable).parent / "packmol"
        with script.open() as stdin:  # packmol rewinds its input: a pipe fails
            done = subprocess.run(
                [str(binary) if binary.is_file() else "packmol"],
                stdin=stdin,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=PACKMOL_TIME_S,
                check=False,
            )
        errors_module.check_program(
            f"packmol ended with exit code {done.returncode}", done.returncode, done.stdout + done.stderr
        )
        output = Path(folder, "packed.xyz")
        if not output.exists():
            return None
        positions = np.loadtxt(output, skiprows=2, usecols=(1, 2, 3), ndmin=2)
    return topology.wrapped(positions, edges)


def test_scan(states: Sequence[State], given: dict[str, Any], seed: int) -> Iterator[Slot]:
    """Scale the last frame of the first state, which nothing else is made from, with frozen ions."""
    state = states[0]
    parent = state.frame(len(state.positions) - 1)
    for scale in sorted(given["scales"]):
        positions, edges = state.topology.scaled(*parent, scale)
        yield [Candidate(positions, edges, f"{state.key}-test_scan", state.bath | {"scan_scale": float(scale)})]


Recipe = Callable[[Sequence[State], dict[str, Any], int], Iterator[Slot]]
RECIPES: dict[str, Recipe] = {
    "equilibrium": equilibrium,
    "volume_scan": volume_scan,
    "oscillation": oscillation,
    "packing": packing,
    "rattle": rattle,
    "clusters": clusters,
    "ions": single_ions,
    "test_scan": test_scan,
}
NEED_FORCE_FIELD = ("oscillation", "packing")

# --- What is kept ------------------------------------------------------------------------------------------


def contact_radii(numbers: np.ndarray) -> np.ndarray:
    """Return the radius (N,) in A of each atom towards atoms of other ions."""
    radii = np.where(np.isnan(vdw_radii[numbers]), DEFAULT_RADIUS_A, vdw_radii[numbers])
    for element, radius in CATION_RADII_A.items():
        radii[numbers == atomic_numbers[element]] = radius
    return radii


def refusal(frame: Atoms, topology: Topology) -> str | None:
    """Return why a frame is unphysical: ``contact`` (of ions, or overlapping atoms), ``bond``, or None."""
    i, j = topology.bonds.T
    lengths = np.linalg.norm(frame.positions[i] - frame.positions[j], axis=1)
    ratios = lengths / (covalent_radii[frame.numbers[i]] + covalent_radii[frame.numbers[j]])
    if len(ratios) and not (BOND_RANGE[0] < ratios.min() and ratios.max() < BOND_RANGE[1]):
        return "bond"
    a, b, shift = neighbor_list("ijS", frame, CONTACT_FRACTION * contact_radii(frame.numbers))
    # Ions are whole, so a neighbour of the same ion in another cell is an image of it.
    if np.any((topology.molecule[a] != topology.molecule[b]) | shift.any(axis=1)) or overlaps(frame):
        return "contact"
    return None


def collect(
    liquid: str, recipe: str, kind: str, slots: Iterable[Slot], topology: Topology, seen: set[str]
) -> tuple[list[Atoms], dict[str, int]]:
    """Fill each slot with its first candidate that is neither refused nor in `seen`; count the others."""
    counts = {"refused_duplicate": 0, "refused_contact": 0, "refused_bond": 0}
    frames = []
    for slot in slots:
        for candidate in islice(slot, TRIES):
            top = candidate.topology or topology
            frame = make_frame(
                np.array([atomic_numbers[element] for element in top.elements]), candidate.positions, candidate.edges,
                top.molecule, top.ion, liquid=liquid, kind=kind, recipe=recipe, group=candidate.group, **candidate.info,
            )  # fmt: skip
            reason = "duplicate" if frame.info["frame_id"] in seen else refusal(frame, top)
            if reason is None:
                seen.add(frame.info["frame_id"])
                frames.append(frame)
                break
            counts[f"refused_{reason}"] += 1
    return frames, counts


def requests(sampling: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield recipe, kind and parameters of all that a sampling section asks for."""
    given = {
        "equilibrium": sampling.get("eq"),
        **(sampling.get("neq") or {}),
        "test_scan": sampling.get("test_scan"),
    }
    for recipe in RECIPES:
        if given.get(recipe):
            yield recipe, "eq" if recipe == "equilibrium" else "neq", given[recipe]


@dataclass
class Offer:
    """What a recipe made, `wanted` frames of which are asked for (of each state, where the recipe is equilibrium)."""

    recipe: str
    wanted: int
    frames: list[Atoms]
    row: dict[str, Any]


def take(offers: Sequence[Offer], states: Sequence[State]) -> list[list[Atoms]]:
    """Return the frames of each offer that differ most, in the order of the offers; those of test_scan are all taken."""
    pool = [frame for offer in offers if offer.recipe != "test_scan" for frame in offer.frames]
    x = selection.descriptors(pool)
    first = 0
    taken: list[int] = []
    kept = []
    for offer in offers:
        if offer.recipe == "test_scan":
            kept.append(offer.frames)
            continue
        own = range(first, first + len(offer.frames))
        first += len(offer.frames)
        found: list[int] = []
        # Each state gives its share of the equilibrium frames.
        made = {frame.info["group"] for frame in offer.frames}
        for mine in [s.groups for s in states] if offer.recipe == "equilibrium" else [made]:
            groups = [f.info["group"] if i in own and f.info["group"] in mine else "" for i, f in enumerate(pool)]
            found += selection.farthest_points(x, groups, offer.wanted, taken + found)
        taken += found
        kept.append([pool[i] for i in sorted(found)])
    return kept


def sample(settings: dict[str, Any], states: Sequence[State]) -> tuple[list[Atoms], list[dict[str, Any]]]:
    """Return the frames of a liquid, neighbours alike, and the rows of the table of recipes."""
    liquid = settings["liquid"]
    states = sorted(states, key=lambda state: (state.temperature_K, state.replica))
    wanted = list(requests(settings["sampling"]))
    errors = [
        f"{s.key}: is a state of {s.topology.liquid}, not {liquid}" for s in states if s.topology.liquid != liquid
    ]
    if any(state.system_xml is None for state in states):
        errors += [
            f"sampling.neq.{recipe}: needs a classical force field, and {liquid} has force_field xtb; "
            "leave the recipe out, or give the liquid one"
            for recipe, _, _ in wanted
            if recipe in NEED_FORCE_FIELD
        ]
    if errors:
        raise UserError(*errors)
    frames: list[Atoms] = []
    rows = []
    seen: set[str] = set()
    pool = settings["sampling"].get("pool", 1)
    offers: list[Offer] = []
    for recipe, kind, given in wanted:
        requested = len(given["scales"]) if recipe == "test_scan" else given["frames"]
        row = {"liquid": liquid, "recipe": recipe, "kind": kind, "requested": requested}
        many = given if recipe == "test_scan" else given | {"frames": pool * given["frames"]}
        slots = RECIPES[recipe](states, many, settings["seed"])
        made, counts = collect(liquid, recipe, kind, slots, states[0].topology, seen)
        if recipe == "equilibrium":
            row["requested"] *= len(states)
            row["spacing_frames"] = min(state.usable / len(chosen(state, many["frames"])) for state in states)
            row["inefficiency_frames"] = max(state.inefficiency for state in states)
            known = [state.equilibrated for state in states]
            row["equilibrated"] = None if None in known else all(known)
        offers.append(Offer(recipe, requested, made, row | counts))
    for offer, kept in zip(offers, take(offers, states) if pool > 1 else [o.frames for o in offers], strict=True):
        order = list(dict.fromkeys(frame.info["group"] for frame in kept))
        frames += sorted(kept, key=lambda frame: order.index(frame.info["group"]))
        rows.append(offer.row | {"kept": len(kept), "offered": len(offer.frames)})
    if not frames:
        raise UserError(f"sampling: no frame of {liquid} was kept: " + ", ".join(f"{row}" for row in rows))
    return frames, rows


def write_chunk(folder: Path, name: str, frames: Sequence[Atoms]) -> None:
    """Write frames to label, and their ids: NAME.extxyz and NAME.txt."""
    write_frames(folder / f"{name}.extxyz", frames)
    (folder / f"{name}.txt").write_text("".join(f"{frame.info['frame_id']}\n" for frame in frames))


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--id", required=True, help="key of this task")
    parser.add_argument("--settings", required=True, type=Path, help="samples/LIQUID.json of the plan")
    parser.add_argument("--states", required=True, nargs="+", type=Path, help="state folders of the liquid")
    parser.add_argument("--out", required=True, type=Path, help="folder for the chunks")
    parser.add_argument("--counts", required=True, type=Path, help="table of recipes (Parquet)")
    args = parser.parse_args(argv)

    def work() -> None:
        settings = files.read_json(args.settings)
        frames, rows = sample(settings, [State(folder, settings["seed"]) for folder in args.states])
        args.out.mkdir(parents=True, exist_ok=True)
        for i, start in enumerate(range(0, len(frames), settings["chunk"])):
            write_chunk(args.out, f"{settings['liquid']}-{i:03d}", frames[start : start + settings["chunk"]])
        files.write_table(pl.DataFrame(rows, schema=SAMPLING), args.counts)

    return task.run("SAMPLE_FRAMES", work, task_id=args.id, reads=[args.settings, *args.states])
