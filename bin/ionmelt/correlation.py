"""How many samples of a correlated series make one independent one."""

import numpy as np

LEAST_LAG = 3  # a correlation below 0 before this lag is not its end


def statistical_inefficiency(series: np.ndarray, fast: bool = False) -> float:
    """Return how many samples of a series (n,) that is not constant make one independent one: 1 plus two correlation times.

    Chodera et al., J. Chem. Theory Comput. 3, 26 (2007): the autocorrelation is summed to where it first is not above 0. ``fast``: at
    lags that are ever farther apart, the first three of them 1, 2 and 4.
    """
    n = len(series)
    centred = np.asarray(series, dtype=float) - np.mean(series)
    variance = float(centred @ centred) / n
    total, lag, stride = 1.0, 1, 1
    while lag < n - 1:
        correlation = float(centred[:-lag] @ centred[lag:]) / ((n - lag) * variance)
        if correlation <= 0 and lag > LEAST_LAG:
            break
        total += 2 * correlation * (1 - lag / n) * stride
        lag += stride
        stride += int(fast)
    return max(total, 1.0)
