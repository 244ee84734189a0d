#!/usr/bin/env python3
"""What a study will cost, from figures measured on two CPU cores without a GPU.

An estimate to decide by, good to a factor of a few: it is there so that a plan of years is refused before it
starts. Times are CPU core-seconds; a power law carries each figure from the atoms it was measured with to
those of the plan. Larger basis sets than the DZVP that was measured cost more.
"""

from dataclasses import dataclass
from math import log
from typing import Any

CORES = 2  # that every figure below was measured on


@dataclass(frozen=True)
class Law:
    """Wall seconds of one evaluation, seconds * (atoms / at)^power."""

    seconds: float
    at: int
    power: float

    def core_s(self, atoms: int) -> float:
        """Return the core-seconds of one evaluation with this many atoms."""
        return CORES * self.seconds * (atoms / self.at) ** self.power


def through(at: int, seconds: float, at_2: int, seconds_2: float) -> Law:
    """Return the law through two measured points."""
    return Law(seconds, at, log(seconds_2 / seconds) / log(at_2 / at))


# Energy, forces and stress of one frame. tblite 0.8.0: 70 and 280 atoms.
# CP2K 2023.1, PBE-D3, DZVP: one and two PYR14BF4 pairs.
CP2K = through(35, 60.0, 70, 150.0)
LABELS = {
    "GFN1-xTB": through(70, 0.4, 280, 7.0),
    "GFN2-xTB": through(70, 1.4, 280, 12.0),
    "cp2k": CP2K,
    "pyscf": Law(128.0, 35, CP2K.power),  # PySCF 2.14, one PYR14BF4 pair; the power is CP2K's
}

MACE_ATOM_STEPS_S = 1031.0  # MD of 32x0e+32x1o, r 4.5 A, float32
MACE_TRAIN_ATOM_S = 70.0 / (250 * 70)  # s for one atom in one gradient step of the same model
MACE_FLOAT64 = 3.0  # float64 is slower by about this
DEEPMD_ATOM_STEPS_S = 6674.0  # MD of se_e2_a, compressed
DEEPMD_TRAIN_ATOM_S = 110.0 / (1000 * 70)
OPENMM_ATOM_STEPS_S = 1800 / 0.028  # CL&P, 12 A
OPENMM_STEP_S = 1e-3  # no step is faster, however few the atoms
CLASSICAL_NPT_EVALUATIONS = 3  # energy and forces, and two energies for the pressure


def mace_size(model: dict[str, Any]) -> float:
    """Return about how much slower a MACE model is than the one measured, from its size."""
    size = model["channels"] / 32 * (model["max_L"] + 1) ** 2 / 4 * (model["r_max_A"] / 4.5) ** 3
    return max(size * model["interactions"] / 2 * (MACE_FLOAT64 if model["dtype"] == "float64" else 1.0), 0.1)


def openmm_core_s(atoms: int, steps: float) -> float:
    """Return the core-seconds of classical MD."""
    return CORES * steps * max(atoms / OPENMM_ATOM_STEPS_S, OPENMM_STEP_S)


def md_core_s(model: dict[str, Any], atoms: int, steps: float) -> float:
    """Return the core-seconds of molecular dynamics with a model."""
    framework = model["framework"]
    if framework == "xtb":
        return steps * LABELS[model["method"]].core_s(atoms)
    if framework == "classical":
        return CLASSICAL_NPT_EVALUATIONS * openmm_core_s(atoms, steps)
    speed = DEEPMD_ATOM_STEPS_S if framework == "deepmd" else MACE_ATOM_STEPS_S / mace_size(model)
    return CORES * steps * atoms / speed


def training_core_s(model: dict[str, Any], frames: float, atoms: float) -> float:
    """Return the core-seconds of one training on `frames` frames of `atoms` atoms each."""
    if model["framework"] == "deepmd":
        return CORES * model["steps"] * model["batch_size"] * atoms * DEEPMD_TRAIN_ATOM_S
    return CORES * model["epochs"] * frames * atoms * MACE_TRAIN_ATOM_S * mace_size(model)


def table(stages: dict[str, tuple[int, str, float]], budget_core_hours: float) -> dict[str, Any]:
    """Return the estimate as the plan holds it, from {stage: (count, of what, core-seconds)}."""
    rows = [
        {"stage": stage, "count": count, "unit": unit, "core_hours": float(f"{core_s / 3600:.3g}")}
        for stage, (count, unit, core_s) in stages.items()
    ]
    total = sum(core_s for _, _, core_s in stages.values()) / 3600
    return {
        "basis": f"measured on {CORES} CPU cores without a GPU; good to a factor of a few",
        "budget_core_hours": budget_core_hours,
        "total_core_hours": float(f"{total:.3g}"),
        "stages": rows,
    }


def text(estimate: dict[str, Any]) -> str:
    """Return the estimate as a short table to print."""
    lines = [f"{'stage':<12}{'count':>8}  {'':<10}{'core-hours':>12}"]
    for row in estimate["stages"]:
        lines.append(f"{row['stage']:<12}{row['count']:>8}  {row['unit']:<10}{row['core_hours']:>12g}")
    lines.append(f"{'total':<12}{'':>8}  {'':<10}{estimate['total_core_hours']:>12g}")
    lines.append(f"budget_core_hours is {estimate['budget_core_hours']:g}; {estimate['basis']}")
    return "\n".join(lines)
