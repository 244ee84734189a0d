"""A state of four ion pairs of LiBF4, whose springs are known and whose box breathes a little, and what is sampled of it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from ase import Atoms
from mdtraj.formats import DCDTrajectoryFile

from ionmelt.frames import state as frames_state
from ionmelt.frames.settings import SampleSettings
from ionmelt.topology import Topology

BOND_A = 1.40
PAIRS = 4
FRAMES = 60
TEMPERATURE_K = 430.0
SAMPLING = {
    "eq": {"frames": 12},
    "neq": {
        "volume_scan": {"frames": 8, "scale_min": 0.95, "scale_max": 1.15},
        "oscillation": {
            "frames": 6, "length_ps": 1.2, "period_ps": 0.4, "temperature_amplitude_K": 100.0,
            "box_amplitude": 0.05,
        },
        "packing": {"frames": 4, "density_min_fraction": 0.5, "density_max_fraction": 0.9, "strain": 0.05},
        "rattle": {"frames": 6, "sigma_A": 0.02},
    },
    "test_scan": {"scales": [1.0, 1.1, 0.97, 1.05]},
}  # fmt: skip
SETTINGS = {
    "id": "libf4",
    "liquid": "libf4",
    "seed": 7,
    "temperatures_K": [430.0],
    "sampling": SAMPLING,
    "chunk": 10,
}
TETRAHEDRON = np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * BOND_A / np.sqrt(3)


def topology() -> Topology:
    bf4 = {
        "name": "bf4", "smiles": "F[B-](F)(F)F", "charge": -1, "count": PAIRS,
        "elements": ["B", "F", "F", "F", "F"],
        "bonds": [[0, 1], [0, 2], [0, 3], [0, 4]], "masses_u": [10.81] + [18.998] * 4, "types": None,
    }  # fmt: skip
    lithium = {
        "name": "li", "smiles": "[Li+]", "charge": 1, "count": PAIRS, "elements": ["Li"], "bonds": [],
        "masses_u": [6.94], "types": None,
    }  # fmt: skip
    return Topology("libf4", [lithium, bf4])


def force_field(top: Topology, edges: np.ndarray) -> openmm.System:
    """Springs in the ions; charges and soft spheres between them."""
    system = openmm.System()
    bonds, pairs = openmm.HarmonicBondForce(), openmm.NonbondedForce()
    pairs.setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
    pairs.setCutoffDistance(0.42 * edges.min() / 10)
    charges = {"Li": 1.0, "B": 0.6, "F": -0.4}
    sigma_nm = {"Li": 0.15, "B": 0.30, "F": 0.28}
    for element, mass in zip(top.elements, top.masses_u, strict=True):
        system.addParticle(mass)
        pairs.addParticle(charges[element], sigma_nm[element], 0.4)
    for boron in np.flatnonzero(top.elements == "B"):
        for i in range(5):
            for j in range(i + 1, 5):
                length = np.linalg.norm(TETRAHEDRON[i] - TETRAHEDRON[j]) / 10
                bonds.addBond(int(boron + i), int(boron + j), length, 2e5 if i == 0 else 4e4)
                pairs.addException(int(boron + i), int(boron + j), 0, 0.1, 0)
    system.addForce(bonds)
    system.addForce(pairs)
    system.setDefaultPeriodicBoxVectors(*(openmm.Vec3(*row) for row in np.diag(edges) / 10))
    return system


def state_record(**changes: Any) -> str:
    """equilibration.json of a state of which it is not known whether it has converged."""
    record = {
        "id": "libf4-430K-r1", "liquid": "libf4", "replica": 1, "temperature_K": TEMPERATURE_K, "pressure_bar": 1.0,
        "force_field": "springs", "engine": "OpenMM", "cutoff_A": 4.0, "n_atoms": 24, "phases_ps": {"production": 1.0},
        "density_kg_m3": 700.0, "samples": 1, "converged": None, "reason": None,
    }  # fmt: skip
    unknown = dict.fromkeys(("standard_error_kg_m3", "n_effective", "correlation_time_ps", "drift_kg_m3"))
    return json.dumps(record | unknown | changes)


def write_state(path: Path) -> None:
    """Write a state folder: LiBF4 with its bonds held at 1.40 A, whose box breathes a little."""
    path.mkdir()
    top = topology()
    edges = np.array([9.6, 9.6, 9.6])
    sites = [np.array([x, y, z]) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    lithium = [site * 4.8 for site in sites if site.sum() % 2 == 0]
    boron = [site * 4.8 for site in sites if site.sum() % 2 == 1]
    positions = np.vstack([*lithium, *(site + TETRAHEDRON for site in boron)])
    system = force_field(top, edges)
    for bond in top.bonds:
        system.addConstraint(*(int(i) for i in bond), BOND_A / 10)
    integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE_K, 5.0, 0.001)
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(
        system,
        integrator,
        openmm.Platform.getPlatformByName("CPU"),
        {"Threads": "1", "DeterministicForces": "true"},
    )
    frames_state.set_box(context, positions, edges)
    openmm.LocalEnergyMinimizer.minimize(context, 10.0, 100)
    context.setVelocitiesToTemperature(TEMPERATURE_K, 1)
    rng = np.random.default_rng(0)
    with DCDTrajectoryFile(str(path / "trajectory.dcd"), "w") as file:
        for _ in range(FRAMES):
            integrator.step(100)
            breath = 1 + 0.005 * rng.normal()
            moved, box = top.scaled(top.whole(frames_state.get_positions(context), edges), edges, breath)
            file.write(
                moved[None].astype(np.float32),
                cell_lengths=box[None].astype(np.float32),
                cell_angles=np.full((1, 3), 90, np.float32),
            )
    top.save(path / "topology.json")
    (path / "equilibration.json").write_text(state_record())
    free = openmm.XmlSerializer.serialize(force_field(top, edges))
    (path / "system.xml").write_text(free)


def asked(sampling: dict[str, Any] = SAMPLING, **changes: Any) -> SampleSettings:
    """The settings with another section of sampling, in which what is not named is left out."""
    return SampleSettings.model_validate(SETTINGS | {"sampling": {"test_scan": None} | sampling} | changes)


def of(frames: Sequence[Atoms], recipe: str) -> list[Atoms]:
    return [frame for frame in frames if frame.info["recipe"] == recipe]
