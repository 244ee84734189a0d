"""Integrators that are the same for every model: constant pressure, and constant volume.

NPT is BAOAB Langevin with a Langevin-Hoover barostat (Leimkuhler and Matthews, J. Chem. Phys. 138,
174102, 2013; Quigley and Probert, J. Chem. Phys. 120, 11432, 2004), NVT is velocity Verlet with stochastic
velocity rescaling (Bussi, Donadio and Parrinello, J. Chem. Phys. 126, 014101, 2007), which hardly
disturbs diffusion. Both are ASE's.
"""

import json
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.bussi import Bussi
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.velocitydistribution import Stationary, thermalize_momenta

# The barostat's mass is chosen for this bulk modulus, typical of ionic liquids (1.5 to 3 GPa); it sets
# the period of the volume's oscillation and nothing that is measured.
BULK_MODULUS = 2.0 * units.GPa
# Steps between two moves of a Monte Carlo barostat's volume: independent volumes a CPU second with a move every 25, 10, 5 and 2 steps were 1.11, 1.10,
# 1.81 and 2.31 on 48 atoms of LiBF4 (1200 K, 2 fs), and 1.06, 0.68, 1.58 (not 2) on 140 of PYR14BF4 (480 K, 4 fs).
BAROSTAT_STEPS = 5


def draw_velocities(atoms: Atoms, temperature_K: float, rng: np.random.Generator) -> None:
    """Draw Maxwell-Boltzmann momenta with no net momentum, in place."""
    thermalize_momenta(atoms, temperature_K, rng=rng)
    Stationary(atoms, preserve_temperature=False)


def barostat_mass(volume_A3: float, period_fs: float) -> float:
    """Return the mass (ASE units) for which the volume oscillates with a period in fs at `BULK_MODULUS`.

    The strain of the cell edge feels the force constant 9 V B, so W = 9 V B (period / 2 pi)^2.
    """
    return 9 * volume_A3 * BULK_MODULUS * (period_fs * units.fs / (2 * np.pi)) ** 2


def npt(
    atoms: Atoms,
    *,
    timestep_fs: float,
    temperature_K: float,
    pressure_bar: float,
    thermostat_fs: float,
    barostat_fs: float,
    rng: np.random.Generator,
) -> LangevinBAOAB:
    """Return isotropic constant-pressure dynamics; momenta must have been drawn."""
    return LangevinBAOAB(
        atoms,
        timestep_fs * units.fs,
        temperature_K=temperature_K,
        externalstress=-pressure_bar * units.bar,
        hydrostatic=True,
        T_tau=thermostat_fs * units.fs,
        P_tau=barostat_fs * units.fs,
        P_mass=barostat_mass(atoms.get_volume(), barostat_fs),
        rng=rng,
    )


def nvt(
    atoms: Atoms, *, timestep_fs: float, temperature_K: float, thermostat_fs: float, rng: np.random.Generator
) -> Bussi:
    """Return constant-volume dynamics; momenta must have been drawn and sum to zero.

    The centre of mass stays at rest, so the thermostat acts on 3N - 3 degrees of freedom.
    """
    dynamics = Bussi(atoms, timestep_fs * units.fs, temperature_K, thermostat_fs * units.fs, rng=rng)
    dynamics.ndof = 3 * len(atoms) - 3
    dynamics.target_kinetic_energy = 0.5 * dynamics.temp * dynamics.ndof
    return dynamics


# What the integrators keep between steps besides positions, momenta and cell. Forces are computed again.
KEPT = ("p_eps", "gamma_mod", "force_eps", "barostat_mass", "transferred_energy")


class Dynamics(Protocol):
    """What advances atoms: ASE's dynamics, or those of an engine."""

    atoms: Atoms

    def run(self, steps: int) -> Any:
        """Advance by a number of steps."""


@runtime_checkable
class OwnDynamics(Dynamics, Protocol):
    """Dynamics of an engine, whose state is more than that of ASE's."""

    def save(self) -> dict[str, np.ndarray]:
        """Return the state that is not in the atoms."""

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a saved state."""


class OwnIntegrators(Calculator):
    """The calculator of an engine that runs the dynamics itself, and reports what the last step gave."""

    device = "cpu"

    def dynamics(self, atoms: Atoms, **conditions: Any) -> OwnDynamics:
        """Return the dynamics of atoms whose calculator this is.

        Conditions: `timestep_fs`, `temperature_K`, `pressure_bar` (None holds the volume), `thermostat_fs`, `seed`.
        """
        raise NotImplementedError


def get_state(dynamics: Any) -> dict[str, np.ndarray]:
    """Return everything that the next step depends on, as arrays that `set_state` takes."""
    atoms = dynamics.atoms
    state = {
        "positions": atoms.positions.copy(),
        "momenta": atoms.get_momenta(),
        "cell": atoms.cell.array.copy(),
    }
    if isinstance(dynamics, OwnDynamics):
        return state | dynamics.save()
    state["rng"] = np.array(json.dumps(dynamics.rng.bit_generator.state))
    return state | {name: np.array(getattr(dynamics, name)) for name in KEPT if hasattr(dynamics, name)}


def set_atoms(atoms: Atoms, state: Mapping[str, np.ndarray]) -> None:
    """Give atoms the positions, momenta and cell of a state, and forget what was computed of them."""
    atoms.set_cell(state["cell"], scale_atoms=False)
    atoms.positions[:] = state["positions"]
    atoms.set_momenta(state["momenta"])
    if atoms.calc is not None:
        atoms.calc.reset()  # neighbours too are found again, so that a run and its second half start alike


def set_state(dynamics: Any, state: Mapping[str, np.ndarray]) -> None:
    """Give new dynamics, made from atoms after `set_atoms`, the rest of a state."""
    if isinstance(dynamics, OwnDynamics):
        dynamics.load(state)
        return
    dynamics.rng.bit_generator.state = json.loads(str(state["rng"]))
    for name in KEPT:
        if name in state:
            setattr(dynamics, name, state[name].item())
    if "barostat_mass" in state:
        # The size of the barostat's noise goes with its mass, which is not that of new dynamics made at another volume.
        dynamics.set_temperature(dynamics.temperature_K)
