"""The columns of thermo.parquet, and the units of what stands in them."""

import polars as pl
from ase import Atoms, units

EV_KJ_MOL = units.mol / units.kJ  # eV in kJ/mol
DENSITY_KG_M3 = 1.66053906660e3  # u/A^3 in kg/m3 (CODATA 2018)
# The components of the pressure tensor, with their place in ASE's stress (Voigt).
PRESSURE = {f"pressure_{name}_bar": component for component, name in enumerate(("xx", "yy", "zz", "yz", "xz", "xy"))}
# The columns of thermo.parquet, of the equilibration and of every run. The pressure is null where no stress was
# computed, its components also where only the isotropic stress was.
THERMO = {
    "phase": pl.String, "step": pl.Int64, "time_ps": pl.Float64, "potential_energy_ev": pl.Float64,
    "kinetic_energy_ev": pl.Float64, "temperature_K": pl.Float64, "pressure_bar": pl.Float64,
    "volume_A3": pl.Float64, "density_kg_m3": pl.Float64,
} | dict.fromkeys(PRESSURE, pl.Float64)  # fmt: skip


def mean_kinetic_temperature(atoms: Atoms, degrees_of_freedom: int) -> float:
    """Return the kinetic temperature in K for a number of degrees of freedom."""
    return 2 * atoms.get_kinetic_energy() / (degrees_of_freedom * units.kB)
