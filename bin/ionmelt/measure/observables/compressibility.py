"""Isothermal compressibility from the fluctuations of the volume at constant pressure."""

import math
from dataclasses import replace

from ionmelt.constants import BOLTZMANN_J_K
from ionmelt.distributions import chi2_quantile
from ionmelt.measure.arrays import Array
from ionmelt.measure.measurement import Observable
from ionmelt.measure.numbers import Row, steadiness
from ionmelt.measure.series import Estimate, series_mean
from ionmelt.measure.simulation import ANGSTROM_M, Run, with_needed
from ionmelt.tables.columns import CHECK, REAL, RUN_MODEL, STEADY

PER_PA_TO_PER_GPA = 1e9


def variance(x: Array) -> tuple[Estimate, Estimate]:
    """Return (mean, variance) of a correlated series (n,), evenly sampled; the reasons of both are with the variance.

    The variance is the mean of the squared deviations, a correlated series itself, so that its error and its tests are
    those of `series_mean`. Deviations from the mean of the same samples are too small by one part in as many as there
    are effective samples of the mean.
    """
    mean = series_mean(x)
    squares = series_mean((x[mean.start :] - x[mean.start :].mean()) ** 2)
    scale = 1 / (1 - 1 / mean.n_effective) if mean.n_effective > 1 else math.nan
    reasons = [f"volume: {mean.reason}"] * bool(mean.reason) + [f"its fluctuations: {squares.reason}"] * bool(
        squares.reason
    )
    needed = max((x for x in (mean.needed, squares.needed + mean.start) if math.isfinite(x)), default=math.nan)
    return mean, Estimate(
        mean=squares.mean * scale,
        standard_error=squares.standard_error * scale,
        n_effective=squares.n_effective,
        start=mean.start + squares.start,
        converged=not reasons,
        reason="; ".join(reasons) or None,
        needed=needed,
        change=squares.change,
        sound=not reasons,
        at_least=mean.at_least or squares.at_least,
    )


def interval(value: float, error: float) -> tuple[float, float]:
    """Return the 95 % interval of a variance with a standard error: that of a chi^2 variable with the same ratio of both."""
    if not (error > 0 and value > 0):
        return math.nan, math.nan
    dof = 2 * (value / error) ** 2
    low, high = (value * dof / chi2_quantile(p, dof) for p in (0.975, 0.025))
    return low, high


def compressibility(volume_A3: Array, temperature_K: float) -> Estimate:
    """Return the isothermal compressibility in 1/GPa from volumes (n,) at constant pressure, evenly sampled.

    kappa = <dV^2> / (kT <V>) (Frenkel and Smit, Understanding Molecular Simulation, 2002, Sec. 5.4); the barostat must
    sample the ensemble, as that of RUN_MD does. The mean volume is known far better than its variance.
    """
    mean, spread = variance(volume_A3)
    factor = PER_PA_TO_PER_GPA * ANGSTROM_M**3 / (BOLTZMANN_J_K * temperature_K * mean.mean)
    return replace(spread, mean=spread.mean * factor, standard_error=spread.standard_error * factor)


def measure(run: Run) -> list[Row]:
    """Return the row from the NPT part of thermo.parquet, up to the first value not finite."""
    npt = run.thermo.filter(phase="npt")
    if not len(npt):
        return [run.lacking("npt")]
    time, volume = run.series("npt", "time_ps", "volume_A3").T
    if not len(time):
        return [run.verdict(False, "the volume was not recorded")]
    kappa = compressibility(volume, run.record.temperature_K)
    low, high = interval(kappa.mean, kappa.standard_error)
    needed_ps = kappa.needed * (time[-1] - time[0]) / max(len(time) - 1, 1)
    row = {
        "compressibility_1_gpa": kappa.mean,
        "standard_error_1_gpa": kappa.standard_error,
        "ci95_low_1_gpa": low,
        "ci95_high_1_gpa": high,
        "equilibrated_ps": time[min(kappa.start, len(time) - 1)],
        "needed_ps": needed_ps,
    } | steadiness(kappa.change, kappa.sound)
    return [row | run.verdict(kappa.converged, with_needed(kappa.reason, needed_ps, "npt", kappa.at_least))]


OBSERVABLE = Observable(
    name="compressibility",
    column="compressibility_1_gpa",
    unit="1/GPa",
    title="Compressibility",
    words="the compressibility",
    noun="a compressibility",
    shown=(1.0, "1/GPa"),
    phase="npt",
    units={"1/GPa": 1.0, "1/MPa": 1e3, "1/Pa": 1e9, "1/bar": 1e4},
    possible=(1e-3, 1e2),
    arrhenius=False,
    measure=measure,
    row="a run: its isothermal compressibility at constant pressure",
    meanings={"compressibility_1_gpa": "isothermal compressibility"},
    columns={
        "compressibility_1_gpa": REAL, "standard_error_1_gpa": REAL, "ci95_low_1_gpa": REAL, "ci95_high_1_gpa": REAL,
        **CHECK, "equilibrated_ps": REAL, "needed_ps": REAL, **RUN_MODEL, **STEADY,
    },
)  # fmt: skip
