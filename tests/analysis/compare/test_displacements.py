"""Diffusion coefficients of several runs in the window of lags that all of them show."""

import numpy as np
import polars as pl
import pytest

from ionmelt.compare.displacements import Curves, curves_of, displacements_of, in_common_window
from ionmelt.compare.groups import Row
from ionmelt.compare.runs import Run, run_of
from ionmelt.compare.summary import summarise_runs
from ionmelt.tables.references import REFERENCES

D = 0.5e-8  # m2/s, of 0.5 A2/ps
STEP_PS = 0.02
FRAMES, IONS, LAST = 500, 16, 166


def table(run_id: str, cage_A2: float = 0.0, **columns: object) -> pl.DataFrame:
    """Return exact displacements of ions that walk, and rattle in a cage that they leave in 20 frames."""
    lags = np.unique(np.rint(np.geomspace(1, LAST, 60)).astype(int))
    msd_A2 = 6 * 0.5 * STEP_PS * lags + cage_A2 * (1 - np.exp(-lags / 20))
    base = {"run_id": run_id, "species": "a", "frames": FRAMES, "ions": IONS}
    return pl.DataFrame(
        [
            base | {"lag_ps": STEP_PS * lag, "msd_A2": msd} | columns
            for lag, msd in zip(lags.tolist(), msd_A2, strict=True)
        ]
    )


def row(run_id: str, **columns: object) -> Row:
    """Return the row of a run that looked straight from the first lag on."""
    made = {
        "run_id": run_id,
        "species": "a",
        "value": 1.1 * D,
        "standard_error": 0.05 * D,
        "seed": 1,
        "replica": run_id,
    }
    return made | {"converged": True, "end": "completed", "sound": True, "fit_start_ps": 3 * STEP_PS} | columns


def together(rows: list[Row], *tables: pl.DataFrame) -> list[Run]:
    curves: Curves = curves_of(pl.concat(tables))
    return in_common_window([run_of(row) for row in rows], [displacements_of(row, curves) for row in rows])


@pytest.mark.parametrize(("runs", "least", "most"), [(2, 1.03, 1.1), (200, 0.98, 1.015)])
def test_a_cage_that_few_runs_do_not_show_many_do(runs: int, least: float, most: float) -> None:
    """Its displacements rise faster in the first 20 frames: who fits from the start has a coefficient that is too large."""
    names = [str(i) for i in range(runs)]
    fitted = together([row(name) for name in names], *(table(name, cage_A2=0.06) for name in names))
    assert least < np.mean([run.value for run in fitted]) / D < most


def test_ions_that_walk_from_the_first_step_on_keep_their_error() -> None:
    fitted = together([row("a"), row("b", standard_error=0.2 * D)], table("a"), table("b"))
    assert [run.value for run in fitted] == pytest.approx([D, D], rel=1e-6)
    first, second = (run.standard_error / D for run in fitted)
    assert (first, second) == (pytest.approx(0.05), pytest.approx(0.2))
    assert fitted[0].exponent is not None and fitted[0].exponent.value == pytest.approx(1, abs=1e-6)
    assert fitted[0].exponent.standard_error > 0 and abs(fitted[0].bend or 0.0) < 0.01


def test_a_later_window_widens_the_error_as_it_does_that_of_independent_ions() -> None:
    early = together([row("a", fit_start_ps=STEP_PS), row("b")], table("a"), table("b"))
    assert early[0].standard_error / early[1].standard_error == pytest.approx(1.58, abs=0.05)


def test_runs_stay_as_they_are_where_one_cannot_be_fitted_anew() -> None:
    rows = [row("a"), row("b")]
    still, slower = table("b", msd_A2=0.0), table("b").with_columns(pl.col("lag_ps") * 2)
    for tables in ([table("a")], [table("a"), still], [table("a"), slower]):
        assert [run.value for run in together(rows, *tables)] == [1.1 * D, 1.1 * D]
    both = table("a"), table("b")
    for changed in ({"end": "volume"}, {"value": None}, {"fit_start_ps": None}):
        assert together([row("a"), row("b", **changed)], *both)[0].value == 1.1 * D
    assert together([row("a")], table("a"))[0].value == 1.1 * D
    assert in_common_window([], []) == []


def test_runs_of_unequal_lengths_are_fitted_up_to_the_lag_that_all_have() -> None:
    long = table("b", frames=2 * FRAMES)
    short = table("a").filter(pl.col("lag_ps") < 100 * STEP_PS)
    assert [run.value for run in together([row("a"), row("b")], short, long)] == pytest.approx([D, D], rel=1e-6)


def test_the_number_of_a_group_is_that_of_the_common_window() -> None:
    base = {
        "liquid": "x",
        "temperature_K": 400.0,
        "model": "m",
        "dataset": "d",
        "framework": "f",
        "dof": None,
        "correction": None,
        "reason": None,
    }
    rows = pl.DataFrame([base | row(name) | {"replica": int(name)} for name in "123"])
    curves = curves_of(pl.concat([table(name) for name in "123"]))
    references = pl.DataFrame(schema=REFERENCES)
    (before,), (after,) = (summarise_runs(rows, "diffusion", references, given) for given in (None, curves))
    assert before.estimate is not None and before.estimate.value == pytest.approx(1.1 * D)
    assert after.estimate is not None and after.estimate.value == pytest.approx(D) and after.converged
