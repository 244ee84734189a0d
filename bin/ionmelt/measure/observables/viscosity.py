"""Shear viscosity from the pressure tensor."""

import math

import numpy as np
import polars as pl

from ionmelt.constants import BOLTZMANN_J_K
from ionmelt.measure import slope
from ionmelt.measure.arrays import Array
from ionmelt.measure.measurement import Observable
from ionmelt.measure.numbers import Row
from ionmelt.measure.observables.fits import FIT, fit, fit_verdict, interval
from ionmelt.measure.simulation import ANGSTROM_M, Run, finite
from ionmelt.measure.slope import DiffusionEstimate
from ionmelt.tables.columns import CHECK, REAL, RUN_MODEL

BAR_PA = 1e5


def shear_components(pressure: Array) -> Array:
    """Return the 5 independent components (n, 5) of the traceless pressure tensor from (n, 6): xx yy zz yz xz xy.

    They are orthonormal: in an isotropic liquid all fluctuate alike and independently.
    """
    xx, yy, zz, yz, xz, xy = np.asarray(pressure, dtype=float).T
    return np.column_stack([yz, xz, xy, (xx - yy) / 2, (2 * zz - xx - yy) / math.sqrt(12)])


def viscosity(
    pressure_bar: Array, dt_s: float, volume_m3: float, temperature_K: float, threads: int = 1
) -> DiffusionEstimate:
    """Return the shear viscosity in Pa s from an evenly sampled pressure tensor (n, 6) at constant volume.

    The Green-Kubo integral in its Einstein-Helfand form (Helfand, Phys. Rev. 119 (1960) 1; Alder, Gass and
    Wainwright, J. Chem. Phys. 53 (1970) 3813): the time integral of each component of `shear_components` walks with
    a mean squared displacement of 2 (kT / V) eta t. The cut is the fitted window of `slope.diffusion`: it starts
    at three times the lag from which the integral looks straight, so that the stress has forgotten itself, and
    stops where fewer than 20 displacements do not overlap. Components are not centred: a mean stress that does not
    decay shows as "superdiffusive", which is what it is.
    """
    shear = shear_components(pressure_bar) * BAR_PA
    impulse = np.cumsum((shear[1:] + shear[:-1]) / 2, axis=0) * dt_s
    walk = np.concatenate([np.zeros((1, 5)), impulse])[:, None, :]
    factor = volume_m3 / (BOLTZMANN_J_K * temperature_K)
    return slope.diffusion(walk, dt_s, threads).scaled(factor)


def evenly_sampled(times: Array) -> bool:
    """Return whether times (n,) are equally spaced, to a thousandth."""
    steps = np.diff(times)
    return len(steps) > 0 and bool(np.ptp(steps) < 1e-3 * steps.mean())


def measure(run: Run) -> list[Row]:
    """Return the row from the pressure tensor of NVT, where it was recorded."""
    columns = [f"pressure_{name}_bar" for name in ("xx", "yy", "zz", "yz", "xz", "xy")]
    nvt = run.thermo.filter(pl.col("phase") == "nvt")
    if run.record.nvt_planned_ps == 0 or not len(nvt):
        return [run.lacking("nvt")]
    if not set(columns) <= set(nvt.columns) or not len(nvt := nvt.drop_nulls(columns)):
        return [run.verdict(False, "the pressure tensor was not recorded")]
    rows = finite(nvt.select("time_ps", "volume_A3", *columns).to_numpy().astype(float))
    time, volume = rows[:, 0], rows[:, 1]
    if len(rows) < 2 or not evenly_sampled(time):
        return [run.verdict(False, "the pressure tensor was not recorded at even times")]
    step_s = float(time[-1] - time[0]) / (len(time) - 1) * 1e-12
    volume_m3 = float(volume.mean()) * ANGSTROM_M**3
    eta = viscosity(rows[:, 2:], step_s, volume_m3, run.record.temperature_K, run.threads)
    return [{"viscosity_pa_s": eta.D} | interval(eta, "pa_s") | fit(eta) | fit_verdict(run, eta)]


OBSERVABLE = Observable(
    name="viscosity",
    column="viscosity_pa_s",
    unit="Pa.s",
    title="Viscosity",
    words="the viscosity",
    noun="a viscosity",
    shown=(1e3, "mPa·s"),
    phase="nvt",
    of_motion=True,
    units={"Pa.s": 1.0, "mPa.s": 1e-3, "cP": 1e-3},
    possible=(1e-5, 1e12),
    measure=measure,
    row="a run: its shear viscosity",
    columns={
        "viscosity_pa_s": REAL, "standard_error_pa_s": REAL, "ci95_low_pa_s": REAL, "ci95_high_pa_s": REAL, **CHECK,
        "needed_ps": REAL, **RUN_MODEL, **FIT,
    },
)  # fmt: skip
