"""Collective transport: conductivity, its ratio to independent ions, and viscosity, each with an honest error.

All are slopes of mean squared displacements of *one* collective coordinate, so that they are fitted, tested and
given intervals by the very method of self-diffusion, `stats.diffusion`. Pure functions, SI units in results.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from ionmelt.measure import stats as measure_stats
from ionmelt.measure.stats import Array, DiffusionEstimate

ELEMENTARY_CHARGE_C = 1.602176634e-19
BAR_PA = 1e5


@dataclass(frozen=True)
class Ratio:
    """A positive number with its 95 % interval, and the degrees of freedom behind it."""

    value: float
    ci95_low: float
    ci95_high: float
    dof: float


def einstein_conductivity(
    moment_e_m: Array, dt_s: float, volume_m3: float, temperature_K: float, threads: int = 1
) -> DiffusionEstimate:
    """Return the conductivity in S/m from the charge-weighted displacement of all ions.

    ``moment_e_m`` (frames, 3) is the sum of charge times unwrapped, drift-free position, in e m; its mean squared
    displacement grows as 6 V kT sigma t / e^2 (Einstein-Helfand; Frenkel and Smit, Understanding Molecular
    Simulation, 2002, Sec. 4.4.1). One walker has few independent displacements: "not converged" is usual.
    """
    factor = ELEMENTARY_CHARGE_C**2 / (volume_m3 * measure_stats.BOLTZMANN_J_K * temperature_K)
    return measure_stats.diffusion(moment_e_m[:, None, :], dt_s, threads).scaled(factor)


def onsager(
    first_m: Array, second_m: Array, charges: tuple[float, float], dt_s: float, volume_m3: float, temperature_K: float
) -> DiffusionEstimate:
    """Return what the correlation of two kinds of ions adds to the conductivity, in S/m.

    ``first_m``, ``second_m`` (frames, 3) are sums of the ions' positions; ``charges`` those of one ion of each. The
    cross term is a quarter of the slope for their sum less that for their difference. The conductivity is the sum
    over all ordered pairs of kinds (Fong et al., AIChE J. 66 (2020) e17091): this is one of the two orders.
    """
    both = [first_m + second_m, first_m - second_m]
    moved = [float(np.ptp(x, axis=0).max()) for x in both]
    # one of them rests for a kind with itself, and nearly so where momentum ties two kinds together
    parts = [
        measure_stats.diffusion(x[:, None, :], dt_s) for x, m in zip(both, moved, strict=True) if m > 1e-9 * max(moved)
    ]
    signs = [sign for sign, m in zip((1, -1), moved, strict=True) if m > 1e-9 * max(moved)]
    if not parts:
        return measure_stats.diffusion(both[0][:, None, :], dt_s)
    factor = charges[0] * charges[1] * ELEMENTARY_CHARGE_C**2
    factor /= 4 * volume_m3 * measure_stats.BOLTZMANN_J_K * temperature_K
    value = factor * sum(sign * part.D for sign, part in zip(signs, parts, strict=True))
    error = abs(factor) * math.hypot(*(part.standard_error for part in parts))
    half = measure_stats.student(max(min(part.dof for part in parts), 1.0)) * error
    reasons = [part.reason for part in parts if part.reason]
    return replace(
        parts[0], D=value, standard_error=error, ci95_low=value - half, ci95_high=value + half,
        converged=not reasons, reason=reasons[0] if reasons else None,
        needed=max(part.needed for part in parts) if reasons else math.nan,
    )  # fmt: skip


def nernst_einstein(
    diffusion_m2_s: Mapping[str, DiffusionEstimate],
    ions: Mapping[str, tuple[int, float]],
    volume_m3: float,
    temperature_K: float,
) -> Ratio:
    """Return the conductivity in S/m that the ions would have if they moved independently.

    ``ions`` gives (count, charge in e) of each species. Errors of the species are taken as independent; the degrees
    of freedom follow Satterthwaite, the interval is that of a chi^2 variable, as for one diffusion coefficient.
    """
    factor = ELEMENTARY_CHARGE_C**2 / (volume_m3 * measure_stats.BOLTZMANN_J_K * temperature_K)
    weights = {name: factor * count * charge**2 for name, (count, charge) in ions.items()}
    value = sum(weight * diffusion_m2_s[name].D for name, weight in weights.items())
    parts = [
        ((weight * diffusion_m2_s[name].standard_error) ** 2, diffusion_m2_s[name].dof)
        for name, weight in weights.items()
    ]
    variance = sum(part for part, _ in parts)
    if not (value > 0 and math.isfinite(variance)):
        return Ratio(value, math.nan, math.nan, math.nan)
    dof = 2 * value**2 / variance  # of the chi^2 variable with this relative error
    low, high = (value * dof / float(stats.chi2.ppf(p, dof)) for p in (0.975, 0.025))
    return Ratio(value, low, high, dof)


def ionicity(einstein: DiffusionEstimate, independent: Ratio) -> Ratio:
    """Return the Einstein over the Nernst-Einstein conductivity: 1 for independent ions, 0 for neutral pairs.

    The interval is that of a ratio of two chi^2 variables (F distribution), taken as independent: the error of the
    collective displacement is far the larger.
    """
    value = einstein.D / independent.value if independent.value > 0 else math.nan
    if not (value > 0 and math.isfinite(einstein.dof) and math.isfinite(independent.dof)):
        return Ratio(value, math.nan, math.nan, math.nan)
    low, high = (value / float(stats.f.ppf(p, einstein.dof, independent.dof)) for p in (0.975, 0.025))
    return Ratio(value, low, high, einstein.dof)


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
    a mean squared displacement of 2 (kT / V) eta t. The cut is the fitted window of `stats.diffusion`: it starts
    at three times the lag from which the integral looks straight, so that the stress has forgotten itself, and
    stops where fewer than 20 displacements do not overlap. Components are not centred: a mean stress that does not
    decay shows as "superdiffusive", which is what it is.
    """
    shear = shear_components(pressure_bar) * BAR_PA
    impulse = np.cumsum((shear[1:] + shear[:-1]) / 2, axis=0) * dt_s
    walk = np.concatenate([np.zeros((1, 5)), impulse])[:, None, :]
    factor = volume_m3 / (measure_stats.BOLTZMANN_J_K * temperature_K)
    return measure_stats.diffusion(walk, dt_s, threads).scaled(factor)


def evenly_sampled(times: Array) -> bool:
    """Return whether times (n,) are equally spaced, to a thousandth."""
    steps = np.diff(times)
    return len(steps) > 0 and bool(np.ptp(steps) <= 1e-3 * steps.mean())
