"""Ionic conductivity, and its ratio to that of independent ions."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ionmelt.constants import BOLTZMANN_J_K, ELEMENTARY_CHARGE_C
from ionmelt.measure import series, slope
from ionmelt.measure.arrays import Array
from ionmelt.measure.measurement import Measurement, Observable
from ionmelt.measure.numbers import Row
from ionmelt.measure.observables.diffusion import self_diffusion
from ionmelt.measure.observables.fits import FIT, fit, fit_verdict, interval
from ionmelt.measure.simulation import ANGSTROM_M, Run
from ionmelt.measure.slope import DiffusionEstimate
from ionmelt.tables.columns import CHECK, FLAG, REAL, RUN_MODEL, TEXT


@dataclass(frozen=True)
class Ratio:
    """A positive number with its 95 % interval."""

    value: float
    ci95_low: float
    ci95_high: float


def einstein_conductivity(
    moment_e_m: Array, dt_s: float, volume_m3: float, temperature_K: float, threads: int = 1
) -> DiffusionEstimate:
    """Return the conductivity in S/m from the charge-weighted displacement of all ions.

    ``moment_e_m`` (frames, 3) is the sum of charge times unwrapped, drift-free position, in e m; its mean squared
    displacement grows as 6 V kT sigma t / e^2 (Einstein-Helfand; Frenkel and Smit, Understanding Molecular
    Simulation, 2002, Sec. 4.4.1). One walker has few independent displacements: "not converged" is usual.
    """
    factor = ELEMENTARY_CHARGE_C**2 / (volume_m3 * BOLTZMANN_J_K * temperature_K)
    return slope.diffusion(moment_e_m[:, None], dt_s, threads).scaled(factor)


def onsager(
    first_m: Array, second_m: Array, charges: tuple[float, float], dt_s: float, volume_m3: float, temperature_K: float
) -> DiffusionEstimate:
    """Return what the correlation of two kinds of ions adds to the conductivity, in S/m.

    ``first_m``, ``second_m`` (frames, 3) are sums of the ions' positions; ``charges`` those of one ion of each. The
    cross term is a quarter of the slope for their sum less that for their difference. The conductivity is the sum
    over all ordered pairs of kinds (Fong et al., AIChE J. 66 (2020) e17091): this is one of the two orders.
    """
    walks = {sign: first_m + sign * second_m for sign in (1, -1)}
    moved = {sign: float(np.ptp(walk, axis=0).max()) for sign, walk in walks.items()}
    # one of them rests for a kind with itself, and nearly so where momentum ties two kinds together
    least = 1e-9 * max(moved.values())
    of_sign = {sign: slope.diffusion(walk[:, None], dt_s) for sign, walk in walks.items() if not moved[sign] < least}
    slopes = list(of_sign.values())
    factor = charges[0] * charges[1] * ELEMENTARY_CHARGE_C**2
    factor /= 4 * volume_m3 * BOLTZMANN_J_K * temperature_K
    value = factor * sum(sign * estimate.D for sign, estimate in of_sign.items())
    error = abs(factor) * math.hypot(*(estimate.standard_error for estimate in slopes))
    half = series.student(max(min(estimate.dof for estimate in slopes), 1.0)) * error
    reasons = [estimate.reason for estimate in slopes if estimate.reason]
    return replace(
        slopes[0], D=value, standard_error=error, ci95_low=value - half, ci95_high=value + half,
        converged=not reasons, reason=reasons[0] if reasons else None,
        needed=max((estimate.needed for estimate in slopes if not math.isnan(estimate.needed)), default=math.nan),
        at_least=any(estimate.at_least for estimate in slopes),
    )  # fmt: skip


def nernst_einstein(
    diffusion_m2_s: Mapping[str, DiffusionEstimate],
    ions: Mapping[str, tuple[int, float]],
    volume_m3: float,
    temperature_K: float,
) -> Ratio:
    """Return the conductivity in S/m that the ions would have if they moved independently.

    ``ions`` gives (count, charge in e) of each species. In a dense liquid the mobility of all ions rises and falls together, so that
    the species of one run err alike: the ends of the interval are those of all coefficients at once.
    """
    factor = ELEMENTARY_CHARGE_C**2 / (volume_m3 * BOLTZMANN_J_K * temperature_K)
    weights = {name: factor * count * charge**2 for name, (count, charge) in ions.items()}
    weighed = [(weight, diffusion_m2_s[name]) for name, weight in weights.items()]
    value = sum(weight * d.D for weight, d in weighed)
    low, high = sum(weight * d.ci95_low for weight, d in weighed), sum(weight * d.ci95_high for weight, d in weighed)
    return Ratio(value, low, high) if value > 0 else Ratio(value, math.nan, math.nan)


def ionicity(einstein: DiffusionEstimate, independent: Ratio) -> Ratio:
    """Return the Einstein over the Nernst-Einstein conductivity: 1 for independent ions, 0 for neutral pairs.

    The two intervals are put together as of independent numbers, by squares of the distances of their logarithms (Zou and Donner,
    Stat. Med. 27 (2008) 1693): the error of the collective displacement is far the larger.
    """
    value = einstein.D / independent.value if independent.value > 0 else math.nan
    if not (value > 0 and einstein.ci95_low > 0 and independent.ci95_low > 0):
        return Ratio(value, math.nan, math.nan)
    below = math.hypot(math.log(einstein.D / einstein.ci95_low), math.log(independent.ci95_high / independent.value))
    above = math.hypot(math.log(einstein.ci95_high / einstein.D), math.log(independent.value / independent.ci95_low))
    return Ratio(value, value * math.exp(-below), value * math.exp(above))


NO_IONS = "a liquid without ions conducts no current"


@dataclass(frozen=True)
class Charges:
    """The ions of a box at constant volume: (count, charge in e) of each kind, the volume, and when frames were saved."""

    ions: dict[str, tuple[int, float]]
    volume_m3: float
    step_s: float


def charges(run: Run, edges: Array) -> Charges:
    """Return the charges of a run whose cells are ``edges`` (frames, 3), angstrom."""
    ions = {ion["name"]: (ion["count"], float(ion["charge"])) for ion in run.topology.ions if ion["charge"]}
    volume_m3 = float(edges.prod(axis=1).mean()) * ANGSTROM_M**3
    return Charges(ions, volume_m3, run.record.save_every_fs * 1e-15)


def measure(run: Run) -> list[Row]:
    """Return the row of the conductivity, that of independent ions and their ratio, from NVT."""
    if run.nvt is None:
        return [run.lacking("nvt")]
    box, kelvin = charges(run, run.nvt.edges), run.record.temperature_K
    if not box.ions:
        return [{"converged": False, "reason": NO_IONS}]
    moment = (
        sum((charge * run.nvt.sums[name] for name, (_, charge) in box.ions.items()), start=np.zeros(3)) * ANGSTROM_M
    )
    whole = einstein_conductivity(moment, box.step_s, box.volume_m3, kelvin, run.threads)
    coefficients = {name: coefficient for name, coefficient in self_diffusion(run).items() if name in box.ions}
    independent = nernst_einstein(coefficients, box.ions, box.volume_m3, kelvin)
    ratio = ionicity(whole, independent)
    row = {"conductivity_s_m": whole.D} | interval(whole, "s_m") | fit(whole)
    row |= {
        "nernst_einstein_s_m": independent.value,
        "nernst_einstein_ci95_low_s_m": independent.ci95_low,
        "nernst_einstein_ci95_high_s_m": independent.ci95_high,
        "nernst_einstein_converged": run.ended is None and all(d.converged for d in coefficients.values()),
        "ionicity": ratio.value,
        "ionicity_ci95_low": ratio.ci95_low,
        "ionicity_ci95_high": ratio.ci95_high,
    }
    return [row | fit_verdict(run, whole)]


def measure_pairs(run: Run) -> list[Row]:
    """Return a row for each pair of kinds of ions: what their correlation adds to the conductivity."""
    pairs = list(
        itertools.combinations_with_replacement([ion["name"] for ion in run.topology.ions if ion["charge"]], 2)
    )
    if run.nvt is None:
        return [{"pair": f"{a}-{b}"} | run.lacking("nvt") for a, b in pairs]
    box, rows = charges(run, run.nvt.edges), []
    for a, b in pairs:
        sums = run.nvt.sums[a] * ANGSTROM_M, run.nvt.sums[b] * ANGSTROM_M
        of_pair = box.ions[a][1], box.ions[b][1]
        one = onsager(*sums, of_pair, box.step_s, box.volume_m3, run.record.temperature_K)
        rows.append({"pair": f"{a}-{b}", "onsager_s_m": one.D} | interval(one, "s_m") | fit_verdict(run, one))
    return rows


OBSERVABLE = Observable(
    name="conductivity",
    column="conductivity_s_m",
    unit="S/m",
    title="Conductivity",
    words="the conductivity",
    noun="a conductivity",
    shown=(1.0, "S/m"),
    phase="nvt",
    of_motion=True,
    units={"S/m": 1.0, "mS/cm": 0.1, "S/cm": 100.0},
    possible=(1e-14, 1e3),
    measure=measure,
    row="a run: its ionic conductivity",
    columns={
        "conductivity_s_m": REAL, "standard_error_s_m": REAL, "ci95_low_s_m": REAL, "ci95_high_s_m": REAL, **CHECK,
        "needed_ps": REAL, "nernst_einstein_s_m": REAL, "nernst_einstein_ci95_low_s_m": REAL,
        "nernst_einstein_ci95_high_s_m": REAL, "nernst_einstein_converged": FLAG, "ionicity": REAL,
        "ionicity_ci95_low": REAL, "ionicity_ci95_high": REAL, **RUN_MODEL, **FIT,
    },
)  # fmt: skip
ONSAGER = Measurement(
    name="onsager",
    measure=measure_pairs,
    row="a run and a pair of kinds of ions: what their correlation adds to the conductivity",
    columns={
        "pair": TEXT, "onsager_s_m": REAL, "standard_error_s_m": REAL, "ci95_low_s_m": REAL, "ci95_high_s_m": REAL,
        **CHECK, **RUN_MODEL,
    },
)  # fmt: skip
