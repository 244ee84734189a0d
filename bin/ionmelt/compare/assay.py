"""The parallel-line assay: how many frames two models need for the same error."""

import math
from dataclasses import replace

import numpy as np
import polars as pl

from ionmelt.compare.answers import Answer, side_of_curve
from ionmelt.compare.learning import Point, Tables
from ionmelt.compare.parallel_lines import parallel_lines
from ionmelt.compare.points import scan_points, seeds_in
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
    x, y, second = [], [], []
    for number, line in enumerate((a, b)):
        for point in line:
            for error in errors_of_seeds(t, point).values():
                x.append(math.log(point.frames))
                y.append(math.log(max(error, 1e-12)))
                second.append(float(number))
    lines = np.array(x), np.array(y), np.array(second)
    ratio = parallel_lines(*lines)

    def interval(level: float) -> tuple[float | None, float | None]:
        at_level = parallel_lines(*lines, level)
        return at_level.low, at_level.high

    # the difference is that of ln errors at equal frames: what the verdict is about
    return replace(
        answer, verdict="not distinguishable", difference=ratio.level, ratio=ratio, p_value=ratio.p_value, interval=interval,
        reason=ratio.reason,
    )  # fmt: skip


def errors_of_seeds(t: Tables, point: Point) -> dict[object, float]:
    """Return the error of each training seed of a point."""
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
    true = group.truth.estimate if group.truth else None
    target = true.value if true else group.reference.value - group.shift if group.reference else math.nan
    values: dict[object, list[float]] = {}
    for value, seed in zip(group.behind.values, group.behind.seeds, strict=True):
        values.setdefault(seed, []).append(value)
    return {seed: abs(float(np.mean(v)) - target) for seed, v in sorted(values.items(), key=str)}
