"""Fast engines for molecular dynamics behind one interface: frames in, energy, forces and stress out.

An engine takes several frames of the same atoms at once (replicas) and is called by one ASE calculator, so that every
framework runs under the same integrators. Neighbours come from a list with a skin, which is built again when an atom
has gone half of it and of which only those within the cut-off are used: the skin changes no number.
"""

import importlib.util
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import primitive_neighbor_list

from ionmelt.dynamics.md import MODEL_ERRORS
from ionmelt.errors import UserError, is_resource
from ionmelt.models import calculators

SKIN_A = 0.6
# A fast engine whose forces differ by more than this from those of the plain one is not used (eV/A).
FORCE_TOLERANCE_EV_A = 5e-4
PROBE_STEPS = 3
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])

Frame = tuple[np.ndarray, np.ndarray]  # positions (N, 3) and cell (3, 3) in A


@dataclass(frozen=True)
class Result:
    """What an engine computes of one frame: energy (eV), forces (N, 3) (eV/A), stress (6,) (eV/A^3, ASE's Voigt)."""

    energy: float
    forces: np.ndarray
    stress: np.ndarray


class Engine(Protocol):
    """What computes frames of the atoms that it was made for."""

    name: str
    device: str

    def compute(self, frames: Sequence[Frame], slots: Sequence[int]) -> list[Result]:
        """Compute frames; a frame's slot says whose neighbour list it may use."""

    def forget(self, slot: int) -> None:
        """Forget the neighbour list of a slot."""


def all_pairs(positions: np.ndarray, cell: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return i, j (P,) and cell shifts (P, 3) of all pairs within the cut-off, both ways round, sorted by i."""
    if importlib.util.find_spec("matscipy"):
        from matscipy.neighbours import neighbour_list

        i, j, shift = neighbour_list("ijS", positions=positions, cell=cell, pbc=np.ones(3, bool), cutoff=cutoff)
    elif importlib.util.find_spec("vesin"):
        from vesin import NeighborList

        i, j, shift = NeighborList(cutoff=cutoff, full_list=True).compute(positions, cell, True, "ijS")
    else:
        i, j, shift = primitive_neighbor_list("ijS", [True] * 3, cell, positions, cutoff)
    i, j, shift = np.asarray(i, np.int64), np.asarray(j, np.int64), np.asarray(shift, np.int64)
    order = np.lexsort((*shift.T, j, i))  # whoever found them: sums over neighbours go in one order
    return i[order], j[order], shift[order]


class Neighbours:
    """The pairs within a cut-off of a box that moves little from step to step."""

    def __init__(self, cutoff_A: float, skin_A: float = SKIN_A, kinds: np.ndarray | None = None) -> None:
        """With `kinds` (N,), an atom's pairs are sorted by the kind of the other, then by distance when they were found."""
        self.cutoff, self.skin, self.kinds = cutoff_A, skin_A, kinds
        self._built: Frame | None = None
        self.builds = 0

    def forget(self) -> None:
        """Build the list anew at the next call."""
        self._built = None

    def _holds(self, positions: np.ndarray, cell: np.ndarray) -> bool:
        """Whether no pair within the cut-off can be missing: atoms moved little once the box's strain is taken off."""
        if self._built is None:
            return False
        old, old_cell = self._built
        strain = np.linalg.solve(old_cell, cell)
        moved = np.sqrt(((positions - old @ strain) ** 2).sum(1).max())
        # A pair left out was farther than cut-off + skin; the strain brings it nearer by its smallest stretch at most.
        return bool(np.linalg.svd(strain, compute_uv=False)[-1] * (self.cutoff + self.skin) - 2 * moved > self.cutoff)

    def __call__(self, positions: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return i, j (P,) and the vectors from i to j (P, 3) of all pairs within the cut-off, sorted by i."""
        if not self._holds(positions, cell):
            i, j, shift = all_pairs(positions, cell, self.cutoff + self.skin)
            if self.kinds is not None:
                apart = positions[j] - positions[i] + shift @ cell
                order = np.lexsort(((apart**2).sum(1), self.kinds[j], i))
                i, j, shift = i[order], j[order], shift[order]
            self._pairs = i, j, shift
            self._built = positions.copy(), cell.copy()
            self.builds += 1
        i, j, shift = self._pairs
        vectors = positions[j] - positions[i] + shift @ cell
        near = np.einsum("pc,pc->p", vectors, vectors) < self.cutoff**2
        return i[near], j[near], vectors[near]


def result_of(
    energy: float, pair_forces: np.ndarray, i: np.ndarray, j: np.ndarray, vectors: np.ndarray, n: int, volume: float
) -> Result:
    """Return energy, forces and stress from dE/d(vector from i to j) (P, 3) of every pair."""
    forces = np.stack(
        [np.bincount(i, g, minlength=n) - np.bincount(j, g, minlength=n) for g in np.ascontiguousarray(pair_forces.T)],
        axis=1,
    )
    virial = vectors.T @ pair_forces
    return Result(energy, forces, (virial + virial.T)[VOIGT] / (2 * volume))


# --- MACE ----------------------------------------------------------------------------------------------

BUCKETS = 12  # atoms with about as many neighbours are computed together, in arrays without holes


def fused_convolution(product: Any, layout: list[tuple[int, int]]) -> Any:
    """Return a module that computes the sum over neighbours of e3nn's tensor product `product`, faster on a CPU.

    The product of one edge, sum over m1, m2 of C(m1, m2, m3) x(m1, channel) Y(m2) w(channel), is summed over
    the edges of an atom as one matrix product a path: [C Y] (edge m1, m3) with [x w] (edge m1, channel). The
    products of single edges, which are what costs time, are never written. `layout` says where the edges of each
    bucket lie: (atoms, edges an atom), one after another. Raises ValueError for a product of another form.
    """
    import torch
    from e3nn import o3

    instructions = [ins for ins in product.instructions if ins.path_weight]
    if any(ins.connection_mode != "uvu" or not ins.has_weight for ins in instructions):
        raise ValueError("a tensor product of another form")
    if any(mul != 1 for mul, _ in product.irreps_in2):
        raise ValueError("edges with channels")
    sizes = [ins.path_shape[0] * ins.path_shape[1] for ins in product.instructions]
    dims_in = [part.stop - part.start for part in product.irreps_in1.slices()]
    dims_edge = [part.stop - part.start for part in product.irreps_in2.slices()]

    class Fused(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for place, ins in enumerate(product.instructions):
                irreps = (
                    product.irreps_in1[ins.i_in1].ir,
                    product.irreps_in2[ins.i_in2].ir,
                    product.irreps_out[ins.i_out].ir,
                )
                coupling = ins.path_weight * o3.wigner_3j(*(ir.l for ir in irreps), dtype=torch.float64)
                # (m2, m1 m3): a product with the spherical harmonics of the edges
                self.register_buffer(f"c{place}", coupling.permute(1, 0, 2).flatten(1).contiguous())

        def forward(self, node_feats: Any, edge_attrs: Any, weights: Any, edge_index: Any) -> Any:
            # Pieces come from split, never from slices: the gradient of a slice is an array full of zeros.
            edges = [atoms * width for atoms, width in layout]
            gathered = []
            for x, (mul, ir) in zip(node_feats.split(dims_in, 1), product.irreps_in1, strict=True):
                x = x.reshape(-1, mul, ir.dim).transpose(1, 2).contiguous()
                gathered.append(x.index_select(0, edge_index[0]))  # (edges, m1, channel)
            harmonics, w = edge_attrs.split(dims_edge, 1), weights.split(sizes, 1)
            outs: list[list[Any]] = [[] for _ in product.irreps_out]
            for place, ins in enumerate(product.instructions):
                mul, first = product.irreps_in1[ins.i_in1]
                last = product.irreps_out[ins.i_out].ir
                coupled = (harmonics[ins.i_in2] @ getattr(self, f"c{place}")).split(edges)  # (edges, m1 m3)
                right = (gathered[ins.i_in1] * w[place][:, None, :]).split(edges)
                sums = [
                    torch.bmm(  # (atoms, m3, channel)
                        c.view(atoms, width * first.dim, last.dim).transpose(1, 2),
                        xw.view(atoms, width * first.dim, mul),
                    )
                    for c, xw, (atoms, width) in zip(coupled, right, layout, strict=True)
                ]
                outs[ins.i_out].append(torch.cat(sums).transpose(1, 2).flatten(1))
            parts = []
            for out in outs:
                total = out[0]
                for more in out[1:]:
                    total = total + more
                parts.append(total)
            return torch.cat(parts, dim=1)

    return Fused()


class MaceEngine:
    """A MACE model called directly, in single precision, with its convolutions fused (see `fused_convolution`)."""

    def __init__(self, plain: Any, atoms: Atoms, fused: bool = True, cueq: bool = False) -> None:
        """Take the model from a MACECalculator, which is left as it is."""
        import copy

        import torch
        from mace.calculators import MACECalculator

        self.torch = torch
        self.device = str(plain.device).split(":")[0]
        self.name = "cueq" if cueq else "fused" if fused else "direct"
        own = MACECalculator(
            models=copy.deepcopy(plain.models[0]),
            device=self.device,
            default_dtype="float32",
            enable_cueq=cueq,
            head=plain.head,
        )
        self.model = own.models[0].eval()
        self.cutoff = float(own.r_max)
        self.layout: list[tuple[int, int]] = []
        self.fused = fused
        if fused:
            for block in self.model.interactions:
                if hasattr(block, "conv_fusion"):
                    raise ValueError("convolutions that are fused already")
                block.conv_tp = fused_convolution(block.conv_tp, self.layout).to(self.device).float()
                block.conv_fusion = True
        one = own._atoms_to_batch(atoms).to_dict()
        self.n = len(atoms)
        self.attributes, self.head = one["node_attrs"].float(), one["head"]
        self.lists: dict[int, Neighbours] = {}

    def forget(self, slot: int) -> None:
        """Forget the neighbour list of a slot."""
        self.lists.pop(slot, None)

    def compute(self, frames: Sequence[Frame], slots: Sequence[int]) -> list[Result]:
        """Compute frames of the model's atoms, all in one call of the model."""
        torch, n, count = self.torch, self.n, len(frames)
        parts = []
        for place, (slot, (positions, cell)) in enumerate(zip(slots, frames, strict=True)):
            i, j, vectors = self.lists.setdefault(slot, Neighbours(self.cutoff))(positions, cell)
            parts.append((i + place * n, j + place * n, vectors))
        i, j, vectors = (np.concatenate(column) for column in zip(*parts, strict=True))
        # MACE sums over the edges from senders j to receivers i; an edge's vector goes from sender to receiver.
        if self.fused:
            order, where, total = self._buckets(np.bincount(i, minlength=n * count))
            new = np.empty(n * count, np.int64)
            new[order] = np.arange(n * count)
            senders, receivers = np.zeros(total, np.int64), np.zeros(total, np.int64)
            held = np.tile([2 * self.cutoff, 0.0, 0.0], (total, 1))  # holes: beyond the cut-off, where all is zero
            senders[where], receivers[where], held[where] = new[j], new[i], -vectors
        else:
            order, where = np.arange(n * count), np.arange(len(i))
            senders, receivers, held = j, i, -vectors
        graph = np.repeat(np.arange(count), n)
        rows = torch.from_numpy(order % n).to(self.device)
        shifts = torch.from_numpy(held.astype(np.float32)).to(self.device).requires_grad_(True)
        data = {
            "node_attrs": self.attributes.index_select(0, rows),
            "positions": torch.zeros(n * count, 3, device=self.device),
            "edge_index": torch.from_numpy(np.stack([senders, receivers])).to(self.device),
            "shifts": shifts,
            "unit_shifts": shifts.detach(),
            "cell": torch.zeros(3 * count, 3, device=self.device),
            "batch": torch.from_numpy(graph[order]).to(self.device),
            "ptr": torch.arange(0, n * count + 1, n, device=self.device),
            "head": self.head.repeat(count),
        }
        out = self.model(data, compute_force=False)
        (gradient,) = torch.autograd.grad(out["interaction_energy"].sum(), shifts)
        pair = -gradient.cpu().numpy().astype(float)[where]
        atomic = np.empty(n * count)
        atomic[order] = out["node_energy"].detach().cpu().numpy()
        results, start = [], 0
        for place, (_, cell) in enumerate(frames):
            i, j, vectors = parts[place]
            own = pair[start : start + len(i)]
            start += len(i)
            energy = float(atomic[place * n : (place + 1) * n].sum())
            volume = abs(np.linalg.det(cell))
            results.append(result_of(energy, own, i - place * n, j - place * n, vectors, n, volume))
        return results

    def _buckets(self, degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Order atoms by their number of neighbours and lay their edges out, some atoms at a time as wide as the widest.

        Returns the order of the atoms, the place of each edge (sorted by atom), and how many places there are.
        """
        order = np.argsort(degrees, kind="stable")
        self.layout.clear()
        first_edge = np.empty(len(degrees), np.int64)
        total = 0
        for bucket in np.array_split(order, min(BUCKETS, len(order))):
            width = max(1, int(degrees[bucket].max()))
            first_edge[bucket] = total + width * np.arange(len(bucket))
            self.layout.append((len(bucket), width))
            total += len(bucket) * width
        atoms = np.repeat(np.arange(len(degrees)), degrees)
        nth = np.arange(len(atoms)) - np.repeat(np.cumsum(degrees) - degrees, degrees)
        return order, first_edge[atoms] + nth, total


# --- DeePMD --------------------------------------------------------------------------------------------


class DeepmdEngine:
    """A frozen DeePMD model (PyTorch) given its neighbours, which it would otherwise look for at each call.

    The neighbours of each type fill the places that the descriptor has for it, as DeePMD's own search does: the
    nearest, where there are more than places.
    """

    def __init__(self, plain: Any, weights: Path, atoms: Atoms) -> None:
        """Load the model's file again; `plain` is DeePMD's ASE calculator of it."""
        import torch

        self.torch = torch
        self.name = "direct"
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = torch.jit.load(str(weights), map_location=self.device).eval()
        if self.model.mixed_types() or self.model.has_message_passing():
            raise ValueError("a descriptor of another kind")
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        self.cutoff, self.sel = float(self.model.get_rcut()), np.array(self.model.get_sel())
        types = plain.type_dict
        self.types = np.array([types[symbol] for symbol in atoms.get_chemical_symbols()])
        self.n = len(atoms)
        self.lists: dict[int, Neighbours] = {}

    def forget(self, slot: int) -> None:
        """Forget the neighbour list of a slot."""
        self.lists.pop(slot, None)

    def _places(self, i: np.ndarray, j: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which pairs have a place, and its column: sorted by atom, type and distance.

        The order matters: a compressed model skips what follows the first neighbour that it cannot tell from none.
        """
        group = i * len(self.sel) + self.types[j]
        order = np.argsort(group + np.einsum("pc,pc->p", vectors, vectors) / (1.01 * self.cutoff**2), kind="stable")
        sizes = np.bincount(group, minlength=self.n * len(self.sel))
        nth = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        kind = self.types[j[order]]
        kept = nth < self.sel[kind]
        return order[kept], (nth + (np.cumsum(self.sel) - self.sel)[kind])[kept]

    def compute(self, frames: Sequence[Frame], slots: Sequence[int]) -> list[Result]:
        """Compute frames of the model's atoms, all in one call of the model.

        Each neighbour is a copy of its own, at the place that the pair's vector gives: the gradient with respect to the
        copies is the force of the pairs, and no coordinate is far from the atom it belongs to.
        """
        torch, n = self.torch, self.n
        parts, neighbours, copies, kinds = [], [], [], []
        first = n * len(frames)
        for slot, (positions, cell) in zip(slots, frames, strict=True):
            i, j, vectors = self.lists.setdefault(slot, Neighbours(self.cutoff, kinds=self.types))(positions, cell)
            chosen, column = self._places(i, j, vectors)
            i, j, vectors = i[chosen], j[chosen], vectors[chosen]
            table = np.full((n, self.sel.sum()), -1)
            table[i, column] = first + np.arange(len(i))
            first += len(i)
            neighbours.append(table)
            copies.append(vectors)
            kinds.append(self.types[j])
            parts.append((i, j, vectors))
        atoms = n * len(frames)
        held = np.concatenate([np.zeros((atoms, 3)), *copies])
        types = np.concatenate([np.tile(self.types, len(frames)), *kinds])
        place = torch.from_numpy(held[None]).to(self.device).requires_grad_(True)
        out = self.model.atomic_model.forward_common_atomic(
            place,
            torch.from_numpy(types[None]).to(self.device),
            torch.from_numpy(np.concatenate(neighbours)[None]).to(self.device),
        )
        energy = out["energy"].reshape(len(frames), n)
        (gradient,) = torch.autograd.grad(energy.sum(), place)
        pair = gradient[0, atoms:].cpu().numpy().astype(float)
        energies = energy.detach().sum(1, dtype=torch.float64).cpu().numpy()
        results, start = [], 0
        for (i, j, vectors), (_, cell), value in zip(parts, frames, energies, strict=True):
            some = pair[start : start + len(i)]
            start += len(i)
            results.append(result_of(float(value), some, i, j, vectors, n, abs(np.linalg.det(cell))))
        return results


class DispersedEngine:
    """An engine with the dispersion added that the model lacks, frame by frame, by ASE's calculator of it."""

    def __init__(self, engine: Engine, dispersion: Calculator, atoms: Atoms) -> None:
        self.engine, self.added = engine, PlainEngine(dispersion, atoms)
        self.name, self.device = engine.name, engine.device

    def forget(self, slot: int) -> None:
        """Forget the neighbour list of a slot."""
        self.engine.forget(slot)
        self.added.forget(slot)

    def compute(self, frames: Sequence[Frame], slots: Sequence[int]) -> list[Result]:
        """Compute frames of the engine's atoms."""
        parts = zip(self.engine.compute(frames, slots), self.added.compute(frames, slots), strict=True)
        return [Result(a.energy + b.energy, a.forces + b.forces, a.stress + b.stress) for a, b in parts]


# --- One calculator for all, and the choice ------------------------------------------------------------


class PlainEngine:
    """An ASE calculator as it is."""

    name = "plain"

    def __init__(self, calculator: Calculator, atoms: Atoms) -> None:
        self.calculator, self.atoms = calculator, atoms.copy()
        self.device = str(getattr(calculator, "device", "cpu")).split(":")[0]

    def forget(self, slot: int) -> None:
        """Forget what the calculator holds."""
        self.calculator.reset()

    def compute(self, frames: Sequence[Frame], slots: Sequence[int]) -> list[Result]:
        """Compute frames one after another."""
        results = []
        for positions, cell in frames:
            self.atoms.set_cell(cell, scale_atoms=False)
            self.atoms.positions[:] = positions
            self.calculator.calculate(self.atoms, ["energy", "forces", "stress"], list(all_changes))
            found = self.calculator.results
            results.append(Result(float(found["energy"]), np.asarray(found["forces"]), np.asarray(found["stress"])))
        return results


class EngineCalculator(Calculator):
    """The ASE calculator of one replica: its frames go to an engine, alone or (`Together`) with those of others."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  (ASE's interface)

    def __init__(self, engine: Engine, slot: int = 0, compute: Callable[[Frame], Result] | None = None) -> None:
        super().__init__()
        self.engine, self.slot, self.device = engine, slot, engine.device
        self._compute = compute or (lambda frame: engine.compute([frame], [slot])[0])

    def reset(self) -> None:
        """Forget results and neighbours."""
        super().reset()
        self.engine.forget(self.slot)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute energy (eV), forces (eV/A) and stress (eV/A^3, Voigt)."""
        super().calculate(atoms, properties, system_changes)
        with calculators.as_model_error():
            found = self._compute((self.atoms.positions, self.atoms.cell.array))
        self.results = {"energy": found.energy, "forces": found.forces, "stress": found.stress}


class Together:
    """Replicas, each in a thread of its own, whose frames are computed in one call of the model.

    A call waits until every replica that is still running has given its frame; the last to come computes for all.
    A replica that has ended leaves, and the others go on.
    """

    def __init__(self, engine: Engine, replicas: int) -> None:
        self.engine = engine
        self._active = set(range(replicas))
        self._frames: dict[int, Frame] = {}
        self._results: dict[int, Result | Exception] = {}
        self._change = threading.Condition()

    def calculator(self, slot: int) -> EngineCalculator:
        """Return the calculator of a replica."""
        return EngineCalculator(self.engine, slot, lambda frame: self._compute(slot, frame))

    def leave(self, slot: int) -> None:
        """Go on without a replica."""
        with self._change:
            self._active.discard(slot)
            self._work()

    def _work(self) -> None:
        """Compute when all frames are there; whoever calls holds the lock."""
        if not self._frames or set(self._frames) != self._active:
            return
        slots = sorted(self._frames)
        try:
            found: Sequence[Result | Exception] = self.engine.compute([self._frames[slot] for slot in slots], slots)
        except MODEL_ERRORS:
            found = [self._alone(slot) for slot in slots]  # one bad structure must not end the others
        self._results.update(zip(slots, found, strict=True))
        self._frames.clear()
        self._change.notify_all()

    def _alone(self, slot: int) -> Result | Exception:
        try:
            return self.engine.compute([self._frames[slot]], [slot])[0]
        except MODEL_ERRORS as error:
            return error

    def _compute(self, slot: int, frame: Frame) -> Result:
        with self._change:
            self._frames[slot] = (frame[0].copy(), frame[1].copy())
            self._work()
            while slot not in self._results:
                self._change.wait()
            result = self._results.pop(slot)
        if isinstance(result, Exception):
            raise result
        return result


Maker = Callable[[], Engine]


def mace_engines(plain: Any, weights: Path, atoms: Atoms) -> dict[str, Maker]:
    """Return what may run a MACE model here, the usual choice first. `plain` is MACE's calculator in double precision."""
    found: dict[str, Maker] = {}
    if importlib.util.find_spec("symmetrix"):

        def symmetrix() -> Engine:
            from symmetrix import Symmetrix

            species = sorted({int(z) for z in atoms.numbers})
            engine = PlainEngine(Symmetrix(str(weights), dtype="float32", species=species), atoms)
            engine.name = "symmetrix"
            return engine

        found["symmetrix"] = symmetrix
    if str(plain.device).startswith("cuda") and importlib.util.find_spec("cuequivariance_torch"):
        found["cueq"] = lambda: MaceEngine(plain, atoms, fused=False, cueq=True)
    found["fused"] = lambda: MaceEngine(plain, atoms)
    found["direct"] = lambda: MaceEngine(plain, atoms, fused=False)
    return found


# On a CPU the fused convolutions are never slower: the others are tried only where those cannot be used, so that the
# choice, and with it every bit of a run, does not depend on what else the machine does.
FALLBACK_ON_CPU = "direct"
MARGIN = 1.5  # how many times faster than the usual choice another must be


def seconds_a_step(engine: Engine, frame: Frame, steps: int = PROBE_STEPS) -> float:
    """Return the shortest time of some steps in s, rounded, after one that warms up (the forces were computed before)."""
    times = []
    for step in range(steps + 1):
        start = time.perf_counter()
        engine.compute([(frame[0] + 1e-4 * step, frame[1])], [0])
        times.append(time.perf_counter() - start)
    engine.forget(0)
    return float(f"{min(times[1:]):.3g}")


def choose(makers: dict[str, Maker], plain: Engine, atoms: Atoms, wanted: str = "auto") -> tuple[Engine, list[dict]]:
    """Return the engine to use and what the probe of each found: time of a step, forces against the plain engine.

    Engines that fail, or whose forces differ from the plain engine's by more than `FORCE_TOLERANCE_EV_A`, are out. Of the
    rest ``auto`` takes the first unless another is `MARGIN` times as fast. Raises `UserError` where the engine that is
    wanted cannot be used.
    """
    frame = (atoms.positions.copy(), atoms.cell.array.copy())
    reference = plain.compute([frame], [0])[0]
    usable: dict[str, Engine] = {}
    times: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for name, make in makers.items():
        spare = name == FALLBACK_ON_CPU and plain.device == "cpu" and usable
        if wanted not in ("auto", name) or (wanted == "auto" and spare):
            continue
        row: dict[str, Any] = {"engine": name, "s_a_step": None, "max_force_difference_ev_a": None, "reason": None}
        rows.append(row)
        try:
            engine = make()
            difference = float(np.abs(engine.compute([frame], [0])[0].forces - reference.forces).max())
            if np.isfinite(difference):
                row["max_force_difference_ev_a"] = float(f"{difference:.3g}")
            if not difference <= FORCE_TOLERANCE_EV_A:
                row["reason"] = f"forces differ by more than {FORCE_TOLERANCE_EV_A:g} eV/A"
                continue
            times[name] = row["s_a_step"] = seconds_a_step(engine, frame)
        except Exception as error:  # an engine of a user's image may fail in any way: the others are there
            if wanted != "auto" and is_resource(error):
                raise
            row["reason"] = f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0][:150]}"
            continue
        usable[name] = engine
    if wanted not in ("auto", "plain", *usable):
        why = rows[0]["reason"] if rows else f"it is none of {', '.join(['auto', 'plain', *makers])}, which are here"
        raise UserError(f"md.engine: {wanted!r} cannot be used: {why}")
    if not usable or wanted in ("auto", "plain"):
        usable["plain"], times["plain"] = plain, seconds_a_step(plain, frame, steps=1)
        rows.append({"engine": "plain", "s_a_step": times["plain"], "max_force_difference_ev_a": 0.0, "reason": None})
    best = wanted if wanted in usable else next(iter(usable))
    for name in usable if wanted == "auto" else ():
        if times[name] < times[best] / MARGIN:
            best = name
    return usable[best], rows


# The engines that a framework may have, apart from plain; which of them are there depends on the machine.
ENGINES = {"mace": ("symmetrix", "cueq", "fused", "direct"), "deepmd": ("direct",)}


def load_engine(
    model: Path, state: Path, threads: int, atoms: Atoms, wanted: str = "auto"
) -> tuple[Calculator | Engine, list[dict]]:
    """Return the engine of a model folder, and what the probe found.

    A classical or xtb model's calculator comes as it is. An engine that the model's framework does not have means auto.
    """
    card = calculators.read_card(model)
    framework = card["framework"]
    if framework not in ENGINES:
        return calculators.load_calculator(model, state, threads, hydrostatic=True), []
    if wanted not in (*ENGINES[framework], "plain"):
        wanted = "auto"
    import torch

    torch.set_flush_denormal(True)
    weights = calculators.weights_file(model, card)
    dtype = "float64" if framework == "mace" else None
    calculator: Any = calculators.bare_calculator(model, card, state, threads, hydrostatic=False, dtype=dtype)
    if framework == "mace":
        makers = mace_engines(calculator, weights, atoms)
    else:
        makers = {"direct": lambda: DeepmdEngine(calculator, weights, atoms)}
    engine, probe = choose(makers, PlainEngine(calculator, atoms), atoms, wanted)
    dispersion = calculators.added_dispersion(card["settings"].get("dispersion"))
    return (engine if dispersion is None else DispersedEngine(engine, dispersion, atoms)), probe
