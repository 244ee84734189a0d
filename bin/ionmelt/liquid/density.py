"""The mean density of an equilibrated liquid, its error, and whether it has converged."""

from dataclasses import dataclass

import numpy as np

from ionmelt.correlation import statistical_inefficiency

MIN_SAMPLES = 10


@dataclass(frozen=True)
class DensityEstimate:
    """The mean density of a run with its standard error, which is None where there are too few samples.

    `converged` asks for 10 effective samples and halves that agree within three standard errors of their
    difference; it is one run's view, and says nothing of what another start would give. `reason` says why not.
    """

    density_kg_m3: float
    samples: int
    standard_error_kg_m3: float | None = None
    n_effective: float | None = None
    correlation_time_ps: float | None = None
    drift_kg_m3: float | None = None
    converged: bool = False
    reason: str | None = None


def estimate_density(density: np.ndarray, save_every_ps: float) -> DensityEstimate:
    """Return the mean of densities (samples,) in kg/m3, with its error from their autocorrelation.

    The statistical inefficiency is that of Chodera et al., J. Chem. Theory Comput. 3, 26 (2007).
    """
    mean = float(density.mean())
    if len(density) < MIN_SAMPLES or np.ptp(density) == 0:
        reason = f"fewer than {MIN_SAMPLES} production samples, or all equal"
        return DensityEstimate(mean, len(density), reason=reason)
    inefficiency = statistical_inefficiency(density)
    effective = len(density) / inefficiency
    error = float(density.std(ddof=1) / np.sqrt(effective))
    half = len(density) // 2
    drift = float(density[-half:].mean() - density[:half].mean())
    reasons = []
    if effective < MIN_SAMPLES:
        reasons.append(f"{effective:.1f} effective samples, {MIN_SAMPLES} wanted")
    if abs(drift) > 3 * 2 * error:  # each half has half the samples, so their difference has twice the error
        reasons.append(f"the halves of the production differ by {drift:+.1f} kg/m3")
    return DensityEstimate(
        density_kg_m3=mean,
        samples=len(density),
        standard_error_kg_m3=error,
        n_effective=effective,
        correlation_time_ps=(inefficiency - 1) / 2 * save_every_ps,
        drift_kg_m3=drift,
        converged=not reasons,
        reason="; ".join(reasons) or None,
    )
