"""The parallel-line assay: how many frames two models need for the same error."""

import math
from dataclasses import replace

import numpy as np
import polars as pl

from ionmelt.compare.answers import Answer, side_of_curve
from ionmelt.compare.groups import Group
from ionmelt.compare.learning import Point, Tables
from ionmelt.compare.parallel_lines import Common, parallel_lines
from ionmelt.compare.points import on_shared_points, scan_points, seeds_in
from ionmelt.compare.statistics import Estimate, satterthwaite
from ionmelt.compare.two_points import too_few


def assay(t: Tables, a: list[Point], b: list[Point]) -> Answer:
    """Return the answer of two curves, each of two numbers of frames or more."""
    seeds = min(point.seeds for point in (*a, *b))
    answer = Answer("framework", a[0].state, side_of_curve(a), side_of_curve(b), seeds)
    poor = [f"{point.name}: {point.reason}" for point in (*a, *b) if not point.converged]
    if poor:
        return answer.because(poor)
    if few := next((words for x in a for y in b if (words := too_few(x, y))), None):
        return replace(answer, verdict="design cannot decide").because([few])
    x, y, second, shifts = [], [], [], []
    for number, line in enumerate((a, b)):
        for point in line:
            for error in errors_of_seeds(t, point).values():
                x.append(math.log(point.frames))
                y.append(math.log(max(abs(error), 1e-12)))
                second.append(float(number))
                shifts.append(1 / error if error else 0.0)
    lines = np.array(x), np.array(y), np.array(second)
    first, other = (max(line, key=lambda point: point.frames).group for line in (a, b))
    common = common_error(first, other, lines[2], np.array(shifts))
    if common is not None and not np.isfinite(common.shifts).all():
        return answer.because(["too few groups of test points for an interval"])
    ratio = parallel_lines(*lines, common=common)

    def interval(level: float) -> tuple[float | None, float | None]:
        at_level = parallel_lines(*lines, level, common)
        return at_level.low, at_level.high

    # the difference is that of ln errors at equal frames: what the verdict is about
    return replace(
        answer, verdict="not distinguishable", difference=ratio.level, ratio=ratio, p_value=ratio.p_value, interval=interval,
        reason=ratio.reason,
    )  # fmt: skip


def common_error(a: Group, b: Group, second: np.ndarray, shifts: np.ndarray) -> Common | None:
    """Return the error that the seeds of two models have in common: of what they are held against, else of the test points.

    ``second`` (n,): whose errors they are; ``shifts`` (n,): how their logarithms change with the value that they are held against. Models
    off to different sides are the nearer and the farther by where that value really is.
    """
    if a.points is not None and b.points is not None:
        sampling = on_shared_points(a.points, b.points).sampling
        return None if sampling is None else Common(second * sampling.standard_error, sampling.dof)
    target = target_of(a)
    return None if target is None else Common(shifts * target.standard_error, target.dof)


def target_of(group: Group) -> Estimate | None:
    """Return the value that the errors of a property of the liquid are distances from, with its own error; None: of another property.

    Of a truth in the same boxes that is the error of its runs: what the boxes add is in the models too.
    """
    reference, truth = group.reference, group.truth
    if truth is None or truth.estimate is None:
        error = group.shift_error_to(reference)
        return None if reference is None else reference.estimate().plus(-group.shift, error)
    runs = truth.behind
    if runs is None or group.behind is None or set(runs.replicas) != set(group.behind.replicas):
        return truth.estimate
    variances = [((e / len(runs.values)) ** 2, dof) for e, dof in zip(runs.standard_errors, runs.dofs, strict=True)]
    total = sum(variance for variance, _ in variances)
    return Estimate(truth.estimate.value, math.sqrt(total), satterthwaite(total, variances))


def errors_of_seeds(t: Tables, point: Point) -> dict[object, float]:
    """Return the error of each training seed of a point; of a property of the liquid with its sign."""
    group, of_model = point.group, (pl.col("model") == point.group.model, pl.col("dataset") == point.group.dataset)
    if point.quantity == "force_rmse":
        whole = t["errors"].filter(
            *of_model, pl.col("split") == "test", pl.col("quantity") == "force", pl.col("scope") == "all"
        )
        return dict(whole.select("seed", "rmse").drop_nulls().sort("seed").iter_rows())
    if point.quantity == "scan_energy_rmse":
        scan = t["scan"].filter(*of_model)
        (squares,) = scan_points(scan, group.liquid).values()
        seeds = dict(scan.select("model_key", "seed").unique().iter_rows())
        return {seeds[key]: math.sqrt(float(squares[key].mean())) for key in seeds_in(squares)}  # type: ignore[arg-type]
    if group.behind is None:
        return {}
    target = target_of(group)
    values: dict[object, list[float]] = {}
    for value, seed in zip(group.behind.values, group.behind.seeds, strict=True):
        values.setdefault(seed, []).append(value)
    zero = math.nan if target is None else target.value
    return {seed: float(np.mean(v)) - zero for seed, v in sorted(values.items(), key=str)}
