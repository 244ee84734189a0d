"""The choice of a model's engine: each that is here is tried for a few steps, and its forces are compared with the plain calculator's."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from ionmelt.dynamics.engines import PLAIN, DynamicsEngine, engines_of
from ionmelt.dynamics.engines.forces import DispersedEngine, ForceEngine, Frame, PlainEngine
from ionmelt.dynamics.record import Probe
from ionmelt.errors import UserError, is_resource
from ionmelt.models.calculators import bare_calculator, load_calculator
from ionmelt.models.card import read_card
from ionmelt.models.dispersion import added_dispersion
from ionmelt.models.framework import Loading

# A fast engine whose forces differ by more than this from those of the plain one is not used (eV/A).
FORCE_TOLERANCE_EV_A = 5e-4
# Some models do not agree better with themselves: forces of a compressed DeePMD model in single precision change by some 4e-4 eV/A where
# all atoms are moved alike. No other engine can agree better with that one, so that this many times the change is tolerated, up to a limit.
OWN_CHANGES, MOST_TOLERANCE_EV_A = 3.0, 5e-3
MOVES = ((0.37, 0.11, 0.73), (0.83, 0.59, 0.29), (0.53, 0.97, 0.17))  # in edges of the box
PROBE_STEPS = 3
MARGIN = 1.5  # how many times faster than the preferred engine another must be, on a GPU

Maker = Callable[[DynamicsEngine], ForceEngine]


def rounded(value: float) -> float:
    """Return a number with three digits."""
    return float(f"{value:.3g}")


class Reference:
    """The plain engine's forces of a frame, and how far those of another may be from them."""

    def __init__(self, plain: ForceEngine, frame: Frame) -> None:
        self.plain, self.frame = plain, frame
        self.forces = plain.compute([frame], [0])[0].forces
        # Of the plain forces (eV/A) where all atoms are moved alike; measured where it matters
        self.change: float | None = None

    def tolerance(self, difference: float) -> float:
        """Return how far forces may be from the plain ones (eV/A), of which the largest difference is this."""
        if difference <= FORCE_TOLERANCE_EV_A:
            return FORCE_TOLERANCE_EV_A
        if self.change is None:
            positions, cell = self.frame
            moved = [self.plain.compute([(positions + np.array(move) @ cell, cell)], [0])[0].forces for move in MOVES]
            self.change = float(np.abs(np.array(moved) - self.forces).max())
        return max(FORCE_TOLERANCE_EV_A, min(OWN_CHANGES * self.change, MOST_TOLERANCE_EV_A))


def seconds_a_step(engine: ForceEngine, frame: Frame, steps: int = PROBE_STEPS) -> float:
    """Return the shortest time of some steps in s, rounded, after one that warms up (the forces were computed before)."""
    times = []
    for step in range(steps + 1):
        start = time.perf_counter()
        engine.compute([(frame[0] + 1e-4 * step, frame[1])], [0])
        times.append(time.perf_counter() - start)
    engine.forget(0)
    return rounded(min(times[1:]))


def probe(
    name: str, make: Callable[[], ForceEngine], reference: Reference, asked_for: bool
) -> tuple[ForceEngine | None, Probe]:
    """Return an engine, or None where it cannot be used, and what its trial gave.

    A lack of memory is raised where the engine was asked for by name.
    """
    difference = None
    try:
        engine = make()
        largest = float(np.abs(engine.compute([reference.frame], [0])[0].forces - reference.forces).max())
        difference = rounded(largest) if np.isfinite(largest) else None
        limit = reference.tolerance(largest)
        if not largest <= limit:
            return None, Probe(name, None, difference, f"forces differ by more than {rounded(limit):g} eV/A")
        return engine, Probe(name, seconds_a_step(engine, reference.frame), difference)
    except Exception as error:  # an engine of a user's image may fail in any way: the others are there
        if asked_for and is_resource(error):
            raise
        return None, Probe(name, None, difference, f"{type(error).__name__}: {gist(error)}")


def gist(error: Exception) -> str:
    """Return the line of an error that says what is wrong: the first, or the last where TorchScript tells its own calls before."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    return lines[-1 if "Traceback of TorchScript" in str(error) else 0][:150]


def choose(
    rows: Sequence[DynamicsEngine], make: Maker, plain: ForceEngine, atoms: Atoms, wanted: str = "auto"
) -> tuple[ForceEngine, list[Probe]]:
    """Return the engine to use and what the trial of each gave.

    Engines that fail, or whose forces differ from the plain engine's by more than is tolerated, are out. Of the
    rest ``auto`` takes the first, on a GPU unless another is `MARGIN` times as fast. Raises `UserError` where the engine
    that is wanted cannot be used.
    """
    reference = Reference(plain, (atoms.positions.copy(), atoms.cell.array.copy()))
    usable, probes = tried(rows, make, reference, wanted)
    if wanted not in ("auto", PLAIN, *usable):
        names = ["auto", PLAIN, *(row.name for row in rows)]
        why = probes[0].reason if probes else f"it is none of {', '.join(names)}, which are here"
        raise UserError(f"md.engine: {wanted!r} cannot be used: {why}")
    if not usable or wanted in ("auto", PLAIN):
        usable[PLAIN] = plain
        probes.append(Probe(PLAIN, seconds_a_step(plain, reference.frame, steps=1), rounded(reference.change or 0.0)))
    if wanted != "auto":
        return usable[wanted], probes
    return usable[next(iter(usable)) if plain.device == "cpu" else fastest(probes, list(usable))], probes


def tried(
    rows: Sequence[DynamicsEngine], make: Maker, reference: Reference, wanted: str
) -> tuple[dict[str, ForceEngine], list[Probe]]:
    """Return the engines that can be used, by name, and what the trial of each gave.

    Tried is the one that is wanted, or (auto) all: on a CPU until one can be used.
    """
    usable: dict[str, ForceEngine] = {}
    probes: list[Probe] = []
    for row in rows:
        superfluous = bool(usable) and reference.plain.device == "cpu"
        if wanted == row.name or (wanted == "auto" and not superfluous):
            engine, result = probe(row.name, partial(make, row), reference, wanted != "auto")
            probes.append(result)
            if engine is not None:
                usable[row.name] = engine
    return usable, probes


def fastest(probes: Sequence[Probe], usable: Sequence[str]) -> str:
    """Return the first engine that can be used, or one that is `MARGIN` times as fast."""
    times = {result.engine: result.s_a_step or 0.0 for result in probes}
    best = usable[0]
    for name in usable:
        if times[name] < times[best] / MARGIN:
            best = name
    return best


def load_engine(
    model: Path, state: Path, threads: int, atoms: Atoms, wanted: str = "auto"
) -> tuple[Calculator | ForceEngine, list[Probe]]:
    """Return the engine of a model folder, and what the trials gave.

    A model of a framework without engines comes as its calculator. An engine that the framework does not have means auto.
    """
    card = read_card(model)
    rows = engines_of(card.framework)
    if not rows:
        return load_calculator(model, state, threads, hydrostatic=True), []
    if wanted not in (PLAIN, *(row.name for row in rows)):
        wanted = "auto"
    import torch

    torch.set_flush_denormal(True)
    weights = card.weights_file(model)
    # Where the framework lets choose the precision, forces are compared with those in double precision.
    calculator: Any = bare_calculator(Loading(model, card, state, threads, double=True))
    plain = PlainEngine(calculator, atoms)
    here = [row for row in rows if row.is_here(plain.device)]
    engine, probes = choose(here, lambda row: row.make(row.name, calculator, weights, atoms), plain, atoms, wanted)
    dispersion = added_dispersion(card.settings.dispersion)
    if engine is plain and dispersion is None and getattr(calculator, "stress_is_dear", False):
        # an engine gives the stress in every step, a calculator where it is asked for
        return load_calculator(model, state, threads, hydrostatic=True), probes
    return (engine if dispersion is None else DispersedEngine(engine, dispersion, atoms)), probes
