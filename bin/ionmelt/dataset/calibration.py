"""How far a committee's spread tells the error of its mean, and by how much it must be stretched to do so.

The members of a committee are one model trained with several seeds. Where they disagree by s (standard deviation), the error
of their mean should be of that size; it is usually larger, since members share their data and their form. The spread is
recalibrated by conformal prediction with the normalised score |error| / s (Papadopoulos, Gammerman, Vovk, 2008; Angelopoulos and
Bates, arXiv 2107.07511): the interval is mean +- a s, with a the quantile of that score. Frames of one trajectory are alike, so a
is taken from all groups but one and tried on that one, in turn: the coverage is that of trajectories the scale never saw.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from ionmelt.distributions import beta_quantile, normal_quantile, student_quantile
from ionmelt.tables.comparison import UNCERTAINTY

NOMINAL = (0.68, 0.95)
LEVELS = np.round(np.arange(0.05, 1.0, 0.05), 2)  # of the calibration plot
MEMBERS_LEAST = 2
GROUPS_LEAST = 3


def quantile(scores: np.ndarray, level: float) -> float:
    """Return the conformal quantile: the smallest score that covers a new one with at least this probability."""
    rank = int(np.ceil((len(scores) + 1) * level)) - 1
    return float(np.sort(scores)[rank]) if rank < len(scores) else float("inf")


def normal_factor(level: float) -> float:
    """Return how many standard deviations hold this share of a normal distribution."""
    return normal_quantile(0.5 + level / 2)


def held_out(scores: np.ndarray, groups: np.ndarray, level: float) -> np.ndarray:
    """Tell of each point (P,) whether it is covered by the scale that all groups but its own give."""
    covered = np.zeros(len(scores), dtype=bool)
    for group in np.unique(groups):
        inside = groups == group
        covered[inside] = scores[inside] <= quantile(scores[~inside], level)
    return covered


def coverage_interval(covered: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of a coverage: Jeffreys's, of as many points as its error amounts to.

    That error is a jackknife's over groups with Student's t; groups that are all covered alike count as one point each.
    """
    _, index = np.unique(groups, return_inverse=True)
    hits, sizes = np.bincount(index, covered), np.bincount(index)
    n, share = len(hits), float(hits.sum() / sizes.sum())
    left_out = (hits.sum() - hits) / (sizes.sum() - sizes)
    half = student_quantile(0.975, n - 1) * np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    points = min(share * (1 - share) * (1.96 / half) ** 2, len(covered)) if half > 1e-9 else n
    low, high = (beta_quantile(p, share * points + 0.5, (1 - share) * points + 0.5) for p in (0.025, 0.975))
    return low, high


@dataclass(frozen=True)
class Committee:
    """The models of several seeds, and the points of one quantity that all of them have."""

    model: str
    dataset: str
    quantity: str
    unit: str
    members: int
    groups: np.ndarray  # (P,) the trajectory of each point
    error: np.ndarray  # (P,) of the mean of the members, absolute
    spread: np.ndarray  # (P,) standard deviation of the members

    def problem(self) -> str | None:
        """Return why its spread cannot be judged, or None."""
        trajectories = len(np.unique(self.groups))
        if self.members < MEMBERS_LEAST:
            return "one seed: no committee; give two seeds or more"
        if trajectories < GROUPS_LEAST:
            return (
                f"{trajectories} test groups: the scale needs {GROUPS_LEAST} to be tried on trajectories it never saw"
            )
        if not (self.spread > 0).all():
            return "members that agree to the last digit have no spread to stretch"
        return None


def committees(parity: pl.DataFrame) -> Iterator[Committee]:
    """Yield the committees of a table.

    ``parity``: rows of model, dataset, seed, quantity, unit, point, group, reference, predicted. Points that one of the members
    lacks are left out.
    """
    keys = ["model", "dataset", "quantity", "unit"]
    trained = parity.filter(pl.col("dataset").is_not_null()).sort(keys)
    for (model, dataset, quantity, unit), rows in trained.group_by(keys, maintain_order=True):
        members = rows["seed"].n_unique()
        points = (
            rows.group_by("point", maintain_order=True)
            .agg(
                pl.col("group").first(),
                pl.len().alias("count"),
                (pl.col("predicted").mean() - pl.col("reference").first()).alias("error"),
                pl.col("predicted").std().alias("spread"),
            )
            .filter(pl.col("count") == members)
            .sort("group", "point")
        )
        yield Committee(
            model=str(model),
            dataset=str(dataset),
            quantity=str(quantity),
            unit=str(unit),
            members=members,
            groups=points["group"].to_numpy(),
            error=np.abs(points["error"].to_numpy()),
            spread=points["spread"].to_numpy(),
        )


def calibrate(parity: pl.DataFrame) -> tuple[pl.DataFrame, dict[tuple[str, str, str], dict[str, list[float]]]]:
    """Return the table of coverages, and for the plot of each committee the coverage at every level, raw and recalibrated.

    A committee that cannot be judged is a row with the reason.
    """
    rows, curves = [], {}
    for committee in committees(parity):
        groups, error = committee.groups, committee.error
        row = {
            "model": committee.model,
            "dataset": committee.dataset,
            "quantity": committee.quantity,
            "unit": committee.unit,
            "members": committee.members,
            "groups": len(np.unique(groups)),
            "points": len(error),
        }
        if (reason := committee.problem()) is not None:
            rows += [row | {"level": level, "reason": reason} for level in NOMINAL]
            continue
        scores = error / committee.spread
        row |= {"rmse": float(np.sqrt(np.mean(error**2))), "spread": float(np.sqrt(np.mean(committee.spread**2)))}
        for level in NOMINAL:
            covered = held_out(scores, groups, level)
            low, high = coverage_interval(covered, groups)
            rows.append(
                row
                | {"level": level, "scale": quantile(scores, level) / normal_factor(level)}
                | {"raw_coverage": float(np.mean(scores <= normal_factor(level))), "coverage": float(covered.mean())}
                | {"coverage_ci95_low": low, "coverage_ci95_high": high}
            )
        curves[committee.model, committee.dataset, committee.quantity] = {
            "level": LEVELS.tolist(),
            "raw": [float(np.mean(scores <= normal_factor(level))) for level in LEVELS],
            "coverage": [float(held_out(scores, groups, level).mean()) for level in LEVELS],
        }
    return pl.DataFrame(rows, schema=UNCERTAINTY), curves
