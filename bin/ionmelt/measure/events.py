"""The rate of counted events, and how far their counts are from independent."""

from ionmelt.distributions import gamma_quantile
from ionmelt.measure.arrays import Array

MIN_EVENTS = 20  # of what is counted: with fewer a time or a rate is a hint


def rate_interval(events: float, exposure: float) -> tuple[float, float]:
    """Return the 95 % interval of a Poisson rate: Gamma(events + 1/2, exposure); from 0 with no event."""
    if not events:
        return 0.0, gamma_quantile(0.95, 1.0) / exposure  # the rule of three: one-sided
    low, high = (gamma_quantile(p, events + 0.5) / exposure for p in (0.025, 0.975))
    return low, high


def dispersion(observed: list[Array], rate: float) -> float:
    """Return the variance of counts over Poisson's (at least 1) for ``observed`` [counts, exposures] (groups,) at a rate."""
    if not observed:
        return 1.0
    counts, expected = observed[0], observed[1] * rate
    used = expected > 0
    if used.sum() < 3 or counts.sum() < 10:
        return 1.0
    return max(1.0, float(((counts - expected)[used] ** 2 / expected[used]).sum()) / (int(used.sum()) - 1))
