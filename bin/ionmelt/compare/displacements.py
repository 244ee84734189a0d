"""Diffusion coefficients of several runs, fitted in one window of lags that all of them show together.

From which lag on ions diffuse a single run tells within its own noise: where a cage bends their displacements by less, every run begins its fit
too early, and all err alike, so that their mean is far from the truth for its error. The mean displacements of all runs are those of one
liquid with as many more ions, and show it. Each run is fitted anew in the window that they give; its error is its own, as much wider
or narrower as that window makes the error of independent ions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from ionmelt.compare.groups import Row
from ionmelt.compare.runs import Run
from ionmelt.compare.statistics import Estimate
from ionmelt.measure.line import AFTER_STRAIGHT, Line, diffusive_from, fitted_line, lags_between, straight_from

M2_S = 1e-8  # of an A2/ps
DIMENSIONS = 3


@dataclass(frozen=True)
class FittedDisplacements:
    """Mean squared displacements (frames,) of a run at lags 0, 1, ... to the longest of its fit, A2; ``first`` is the shortest lag of that."""

    squared: np.ndarray
    frames: int
    ions: int
    step_ps: float
    first: int

    @property
    def last(self) -> int:
        """The longest lag."""
        return len(self.squared) - 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, ions and dimensions."""
        return self.frames, self.ions, DIMENSIONS

    def fitted(self, first: int) -> Line:
        """Return the line from a lag on."""
        return fitted_line(self.squared, self.shape, lags_between(first, self.last))


Curves = Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray, int, int]]


def curves_of(table: pl.DataFrame) -> Curves:
    """Return the lags (ps), displacements (A2), frames and ions of each run and kind of ion, from the table `displacement`."""
    rows = table.drop_nulls(["run_id", "species", "lag_ps", "msd_A2", "frames", "ions"]).sort("lag_ps")
    return {
        (str(run_id), str(species)): (
            some["lag_ps"].to_numpy(), some["msd_A2"].to_numpy(), int(some["frames"][0]), int(some["ions"][0]),
        )
        for (run_id, species), some in rows.group_by(["run_id", "species"], maintain_order=True)
    }  # fmt: skip


def displacements_of(row: Row, curves: Curves) -> FittedDisplacements | None:
    """Return the displacements behind a diffusion coefficient at every lag, in between by powers of time; None where they are not known."""
    curve = curves.get((row.get("run_id"), row.get("species")))  # type: ignore[arg-type]
    start_ps = row.get("fit_start_ps")
    if curve is None or start_ps is None or len(curve[0]) < 2 or not (curve[1] > 0).all():
        return None
    lags_ps, squared, frames, ions = curve
    lags = np.rint(lags_ps / lags_ps[0])
    every = np.exp(np.interp(np.log(np.arange(1, int(lags[-1]) + 1)), np.log(lags), np.log(squared)))
    return FittedDisplacements(
        np.concatenate([[0.0], every]), frames, ions, float(lags_ps[0]), round(start_ps / float(lags_ps[0]))
    )


def in_common_window(runs: Sequence[Run], seen: Sequence[FittedDisplacements | None]) -> list[Run]:
    """Return the runs of a group with what each gives in the window that all show; as they are, where one has no displacements or another step."""
    curves = [one for one in seen if one is not None]
    if len(runs) < 2 or len(curves) < len(runs) or not all(run.is_complete for run in runs):
        return list(runs)
    if not np.allclose([one.step_ps for one in curves], curves[0].step_ps, rtol=1e-6):
        return list(runs)
    last = min(one.last for one in curves)
    curves = [replace(one, squared=one.squared[: last + 1]) for one in curves]
    together = replace(
        curves[0],
        squared=np.mean([one.squared for one in curves], axis=0),
        frames=min(one.frames for one in curves),
        ions=sum(one.ions for one in curves),
    )
    line, count = common_line(together), math.sqrt(len(runs))
    exponent = Estimate(line.log_slope, count * line.log_slope_error)
    refitted = []
    for run, one in zip(runs, curves, strict=True):
        squared = one.squared[line.lags] / DIMENSIONS
        wider = count * line.error / one.fitted(min(one.first, last // 4)).error
        value = float(line.mapping @ squared) / (2 * one.step_ps) * M2_S
        refitted.append(
            replace(
                run, value=value, standard_error=wider * run.standard_error, exponent=exponent, bend=line.bend / count
            )
        )
    return refitted


def common_line(together: FittedDisplacements) -> Line:
    """Return the line of the displacements of all runs: from three times the lag on from which they look straight, at the latest a quarter of the longest."""
    fit, first = straight_from(together.fitted, together.last)
    latest = max(together.last // 4, 1)
    start = min(AFTER_STRAIGHT * first, latest) if fit.linear else latest
    return diffusive_from(together.fitted, start, together.last)
