"""Frames of classical runs whose temperature and box swing."""

import sys
from collections.abc import Iterator, Sequence

import numpy as np
import openmm

from ionmelt.errors import is_resource
from ionmelt.frames.candidate import Candidate, Slot
from ionmelt.frames.settings import Oscillation
from ionmelt.frames.state import State, get_positions, seed_of, set_box

OSCILLATION_STRIDE, OSCILLATION_TIMESTEP_PS, OSCILLATION_FRICTION_PS = 10, 0.001, 5.0
# Temperature and box swing with incommensurate periods, so that they meet in all combinations.
TEMPERATURE_PERIOD_RATIO = (1 + 5**0.5) / 2


def oscillation(states: Sequence[State], given: Oscillation, seed: int) -> Iterator[Slot]:
    """Frames at even times of a classical run of each state whose temperature and box edge swing as sines."""
    for i, state in enumerate(states):
        frames = len(range(i, given.frames, len(states)))
        try:
            for candidate in swinging_run(state, given, frames, seed_of(seed, "oscillation", state.key)):
                yield [candidate]
        except openmm.OpenMMException as error:
            if is_resource(error):
                raise
            print(f"{state.key}: the oscillating run ended: {error}", file=sys.stderr)


def swinging_run(state: State, given: Oscillation, frames: int, seed: int) -> Iterator[Candidate]:
    """Run one oscillation and yield `frames` candidates; a period of the box is a group."""
    amplitude, period = given.box_amplitude, given.period_ps
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
        last = max(step + 1, round((frame + 0.5) / frames * given.length_ps / stride_ps))
        while step < last:
            step += 1
            phase = 2 * np.pi * step * stride_ps / period
            swing = np.sin(phase / TEMPERATURE_PERIOD_RATIO)
            bath_K = max(state.temperature_K + given.temperature_amplitude_K * swing, 1.0)
            integrator.setTemperature(bath_K)
            factor = start_edges[0] * (1 + amplitude * np.sin(phase)) / edges[0]
            positions, edges = state.topology.scaled(get_positions(context), edges, factor)
            set_box(context, positions, edges)
            integrator.step(OSCILLATION_STRIDE)
        whole = state.topology.wrapped(get_positions(context), edges)
        group = f"{state.key}-oscillation-{int(step * stride_ps / period)}"
        yield Candidate(whole, edges, group, {"temperature_K": round(bath_K, 3)})
