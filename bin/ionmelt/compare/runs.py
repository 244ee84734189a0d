"""A number of one run, as several of them are combined and judged together."""

import math
from dataclasses import dataclass

from ionmelt.compare.groups import Row, finite
from ionmelt.compare.statistics import Estimate
from ionmelt.distributions import normal_quantile, student_tail


@dataclass(frozen=True)
class Deviation:
    """A deviation from steadiness: Student's t with its degrees of freedom."""

    t: float
    dof: float

    def p_value(self) -> float:
        """Return the two-sided p-value of there being none."""
        return 2 * student_tail(abs(self.t), self.dof)

    def score(self) -> float:
        """Return the normal deviate that is as unlikely."""
        return math.copysign(-normal_quantile(max(student_tail(abs(self.t), self.dof), 1e-300)), self.t)


@dataclass(frozen=True)
class Run:
    """A number of one run; not-a-number stands for a value or an error that it does not have.

    ``correction`` is that for the size of the box, with its standard error and what it is from, ``needed_ps`` how long the run should be to converge. What several runs are judged
    by together: ``is_ended`` whether it reached its planned end, ``side`` the relative volume beyond that of the equilibrated liquid which it began
    with, ``effective`` samples, ``halves`` and ``drift`` (`columns.STEADY`), ``exponent`` and ``bend`` of its displacements (`columns.SHAPE`), ``sound`` whether it
    passes all other tests.
    """

    value: float
    standard_error: float
    low: float | None
    high: float | None
    dof: float
    seed: int | None
    replica: int | None
    converged: bool
    reason: str | None
    correction: float | None
    needed_ps: float | None
    is_ended: bool = True
    side: float = 0.0
    effective: float | None = None
    halves: Deviation | None = None
    drift: Deviation | None = None
    sound: bool = False
    correction_error: float = 0.0
    correction_source: str | None = None
    exponent: Estimate | None = None
    bend: float | None = None

    @property
    def is_used(self) -> bool:
        """Whether it has a value."""
        return math.isfinite(self.value)

    @property
    def is_good(self) -> bool:
        """Whether it has a value that is converged."""
        return self.is_used and self.converged

    @property
    def is_complete(self) -> bool:
        """Whether it reached its end and has a value with an error."""
        return self.is_ended and self.is_used and math.isfinite(self.standard_error)


def deviation(t: float | None, dof: float | None) -> Deviation | None:
    """Return a deviation, None where it is not known."""
    value, degrees = finite(t), finite(dof)
    return None if value is None or degrees is None else Deviation(value, degrees)


def exponent_of(row: Row) -> Estimate | None:
    """Return the slope of the logarithm of the displacements against that of time, with its error; None where one of them is not known."""
    slope, error = finite(row.get("log_slope")), finite(row.get("log_slope_error"))
    return None if slope is None or error is None or error <= 0 else Estimate(slope, error)


def run_of(row: Row) -> Run:
    """Return the number in a row of a table; a column that the table does not have counts as null."""
    value, error = finite(row["value"]), finite(row["standard_error"])
    start, dof, steady_dof = finite(row.get("start_volume")), finite(row.get("dof")), row.get("steady_dof")
    return Run(
        value=math.nan if value is None else value,
        standard_error=math.nan if error is None else error,
        low=finite(row.get("ci95_low")),
        high=finite(row.get("ci95_high")),
        dof=math.inf if dof is None else max(dof, 1.0),
        seed=row["seed"],
        replica=row["replica"],
        converged=bool(row["converged"]),
        reason=row.get("reason"),
        correction=finite(row.get("correction")),
        needed_ps=finite(row.get("needed_ps")),
        is_ended=row.get("end") in (None, "completed"),
        side=0.0 if start is None else start - 1,
        effective=finite(row.get("n_effective")),
        halves=deviation(row.get("halves_t"), steady_dof),
        drift=deviation(row.get("drift_t"), steady_dof),
        sound=bool(row["converged"] if row.get("sound") is None else row["sound"]),
        correction_error=finite(row.get("correction_error")) or 0.0,
        correction_source=row.get("correction_source"),
        exponent=exponent_of(row),
        bend=finite(row.get("bend")),
    )
