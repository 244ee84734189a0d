"""Corrections for many tests by Holm's procedure.

statsmodels' `multipletests` has the p-values, but not the level of each test.
"""

from collections.abc import Sequence

from ionmelt.compare.statistics import LEVEL


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values (Scand. J. Statist. 6 (1979) 65), in the order given."""
    m = len(p_values)
    adjusted, floor = list(p_values), 0.0
    for rank, i in enumerate(sorted(range(m), key=lambda j: p_values[j])):
        floor = max(floor, min(1.0, (m - rank) * p_values[i]))
        adjusted[i] = floor
    return adjusted


def holm_levels(p_values: Sequence[float]) -> list[float]:
    """Return the level at which Holm's procedure tests each p-value, in the order given.

    It tests the smallest of m at 5 % / m, the next at 5 % / (m - 1), and stops at the first that is not rejected: all
    that are left are tested at that step's level. The interval of a number at its level holds 0 exactly where the
    corrected test does not reject 0, so that interval and verdict say the same.
    """
    m = len(p_values)
    levels, level, stopped = [LEVEL] * m, LEVEL, False
    for rank, i in enumerate(sorted(range(m), key=lambda j: p_values[j])):
        if not stopped:
            level = LEVEL / (m - rank)
            stopped = p_values[i] >= level
        levels[i] = level
    return levels
