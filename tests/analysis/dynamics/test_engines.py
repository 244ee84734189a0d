"""The neighbour list with a skin, and replicas that are computed together, without any learned model."""

import ast
import importlib.util
import threading
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from ase import Atoms

from ionmelt.dynamics.engines import ENGINES, PLAIN, DynamicsEngine, choice, forces, neighbours
from ionmelt.dynamics.engines.choice import choose
from ionmelt.dynamics.engines.forces import EngineCalculator, Result
from ionmelt.dynamics.engines.neighbours import Neighbours
from ionmelt.dynamics.engines.together import Together
from ionmelt.dynamics.settings import Md


def by_hand(positions: np.ndarray, cell: np.ndarray, cutoff: float) -> list[tuple]:
    """All pairs within the cut-off, from the images of a box in the 27 around it."""
    images = np.array([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)]) @ cell
    wrapped = positions - np.floor(positions @ np.linalg.inv(cell)) @ cell
    pairs = []
    for i, position in enumerate(wrapped):
        for j, other in enumerate(wrapped):
            vectors = other + images - position
            distance = np.linalg.norm(vectors, axis=1)
            pairs += [(i, j, *np.round(v, 6)) for v in vectors[(distance < cutoff) & (distance > 1e-9)]]
    return sorted(pairs)


def test_a_skin_misses_no_pair_while_atoms_move_and_the_box_breathes(monkeypatch: pytest.MonkeyPatch) -> None:
    built = Mock(side_effect=neighbours.all_pairs)
    monkeypatch.setattr(neighbours, "all_pairs", built)
    rng = np.random.default_rng(1)
    cell = np.diag([9.0, 8.0, 10.0])
    positions = rng.random((40, 3)) @ cell
    velocities = rng.normal(scale=0.02, size=positions.shape)
    with_skin = Neighbours(3.0, 0.5)
    for step in range(120):
        positions = positions + velocities
        scale = 1 + 0.002 * np.sin(step / 5)
        positions, cell = positions * scale, cell * scale
        i, j, vectors = with_skin(positions, cell)
        assert sorted(zip(i, j, *np.round(vectors, 6).T, strict=True)) == by_hand(positions, cell, 3.0)
    assert 3 < built.call_count < 60


def test_forces_and_stress_from_pairs_are_derivatives() -> None:
    # a spring between each pair: E = sum over pairs, both ways, of |v|^2 / 2
    rng = np.random.default_rng(2)
    cell, positions = np.eye(3) * 7.0, rng.random((10, 3)) * 7

    def energy(x: np.ndarray, h: np.ndarray) -> float:
        return float((Neighbours(3.0)(x, h)[2] ** 2).sum() / 2)

    i, j, vectors = Neighbours(3.0)(positions, cell)
    result = forces.result_of(0.0, vectors, i, j, vectors, 10, 343.0)
    step = 1e-6
    for atom, axis in ((0, 0), (4, 2)):
        moved = [positions.copy(), positions.copy()]
        for sign, x in zip((1, -1), moved, strict=True):
            x[atom, axis] += sign * step
        slope = (energy(moved[0], cell) - energy(moved[1], cell)) / (2 * step)
        assert result.forces[atom, axis] == pytest.approx(-slope, abs=1e-5)
    for component, (a, b) in enumerate(zip(*forces.VOIGT, strict=True)):
        strains = [np.eye(3), np.eye(3)]
        for sign, strain in zip((1, -1), strains, strict=True):
            strain[a, b] += sign * step / 2
            strain[b, a] += sign * step / 2
        ends = [energy(positions @ s, cell @ s) for s in strains]
        assert result.stress[component] == pytest.approx((ends[0] - ends[1]) / (2 * step) / 343, abs=1e-6)


class Counting:
    """An engine that fails on frames that hold a number above 100, and remembers how many it was given."""

    name, device = "counting", "cpu"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def forget(self, slot: int) -> None:
        pass

    def compute(self, frames, slots):
        self.calls.append(len(frames))
        if any((positions > 100).any() for positions, _ in frames):
            raise ValueError("too far")
        return [Result(float(positions.sum()), -positions, np.zeros(6)) for positions, _ in frames]


def test_replicas_share_calls_and_one_that_breaks_leaves_the_others() -> None:
    engine = Counting()
    together = Together(engine, 3)
    results: dict[int, list[float]] = {0: [], 1: [], 2: []}

    def replica(slot: int) -> None:
        calculator: EngineCalculator = together.calculator(slot)
        atoms = Atoms("Ar", positions=[[slot, 0, 0]], cell=[9] * 3, pbc=True)
        atoms.calc = calculator
        try:
            for step in range(4):
                atoms.positions[0, 1] = step if (slot, step) != (1, 2) else 500
                results[slot].append(atoms.get_potential_energy())
        except ValueError as error:
            results[slot].append(str(error))  # type: ignore[arg-type]
        finally:
            together.leave(slot)

    threads = [threading.Thread(target=replica, args=(slot,)) for slot in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == {0: [0, 1, 2, 3], 1: [1, 2, "too far"], 2: [2, 3, 4, 5]}
    # three together, then each alone after the failure of the three, then two together
    assert engine.calls == [3, 3, 3, 1, 1, 1, 2]


@pytest.mark.parametrize("error", [KeyError("lost"), MemoryError("no room")])
def test_no_replica_waits_for_an_engine_that_fails_in_another_way(error: Exception) -> None:
    """Who computes for all is told as the others are, whatever was raised: of the model (a KeyError) or of the machine."""

    class Failing(Counting):
        def compute(self, frames, slots):
            if any((positions > 100).any() for positions, _ in frames):
                raise error
            return super().compute(frames, slots)

    together, ends = Together(Failing(), 2), {}

    def replica(slot: int) -> None:
        atoms = Atoms("Ar", positions=[[slot, 0, 0]], cell=[9] * 3, pbc=True)
        atoms.calc = together.calculator(slot)
        try:
            for step in range(4):
                atoms.positions[0, 1] = step if (slot, step) != (1, 2) else 500
                ends[slot] = atoms.get_potential_energy()
        except (RuntimeError, MemoryError) as raised:
            ends[slot] = str(raised)
        finally:
            together.leave(slot)

    threads = [threading.Thread(target=replica, args=(slot,), daemon=True) for slot in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)
    assert ends[0] == 3 and str(error.args[0]) in ends[1]


def test_each_row_of_the_table_names_a_file_that_makes_the_engine() -> None:
    for row in ENGINES:
        spec = importlib.util.find_spec(row.module)
        assert spec is not None and spec.origin is not None, row
        tree = ast.parse(Path(spec.origin).read_text())
        makes = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "make"]
        arguments = (
            ["system", "topology", "timestep_fs", "threads", "masses_u"]
            if row.own_integrators
            else ["name", "calculator", "weights", "atoms"]
        )
        assert [[argument.arg for argument in function.args.args] for function in makes] == [arguments], row.module
    assert len({(row.framework, row.name) for row in ENGINES}) == len(ENGINES)


def test_a_study_may_ask_for_every_engine_of_the_table() -> None:
    for name in ("auto", PLAIN, *(row.name for row in ENGINES)):
        assert Md(engine=name).engine == name
    with pytest.raises(ValueError, match="'fused'"):
        Md(engine="fusd")


def test_an_engine_is_here_where_its_package_and_device_are() -> None:
    needy = DynamicsEngine("a", "f", "m", package="no_such_package")
    gpu = DynamicsEngine("b", "f", "m", package="numpy", needs_gpu=True)
    assert [needy.is_here("cuda"), gpu.is_here("cpu"), gpu.is_here("cuda")] == [False, False, True]
    cpu = DynamicsEngine("c", "f", "m", package="numpy", needs_cpu=True)
    assert [cpu.is_here("cpu"), cpu.is_here("cuda")] == [True, False]


class Clock:
    """A clock that only engines advance."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Slow(Counting):
    """An engine that takes a while by a clock."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def compute(self, frames, slots):
        self.clock.now += self.seconds
        return super().compute(frames, slots)


@pytest.mark.parametrize(
    ("device", "seconds", "best", "tried"),
    [
        ("cuda", (0.02, 0.0132, 0.05), "second", ["first", "second", "plain"]),
        ("cuda", (0.02, 0.0134, 0.05), "first", ["first", "second", "plain"]),
        ("cuda", (0.02, 0.0134, 0.01), "plain", ["first", "second", "plain"]),
        # on a CPU, what else the machine does while one is tried changes nothing
        ("cpu", (0.02, 0.0001, 0.0001), "first", ["first", "plain"]),
    ],
)
def test_another_engine_is_taken_where_it_is_much_faster_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, device: str, seconds: tuple[float, ...], best: str, tried: list[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr(choice, "time", clock)
    atoms = Atoms("Ar", positions=[[1, 0, 0]], cell=[9] * 3, pbc=True)
    made = dict(zip(("first", "second", "plain"), (Slow(clock, number) for number in seconds), strict=True))
    made["plain"].device = device
    rows = [DynamicsEngine(name, "f", "m") for name in ("first", "second")]
    engine, probes = choose(rows, lambda row: made[row.name], made["plain"], atoms)
    assert engine is made[best]
    assert [probe.engine for probe in probes] == tried
