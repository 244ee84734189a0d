"""The columns of a number that is the slope of a mean squared displacement."""

from ionmelt.measure.numbers import Row, steadiness
from ionmelt.measure.simulation import Run, with_needed
from ionmelt.measure.slope import DiffusionEstimate
from ionmelt.tables.columns import REAL, SHAPE, STEADY, Schema

FIT: Schema = {"fit_start_ps": REAL, "fit_stop_ps": REAL, **SHAPE, "n_independent": REAL, **STEADY}


def fit(slope: DiffusionEstimate) -> Row:
    """Return the columns of `FIT`, and how long a run would be enough."""
    times = {"fit_start_ps": slope.fit_start, "fit_stop_ps": slope.fit_stop, "needed_ps": slope.needed}
    return (
        {"log_slope": slope.log_slope, "log_slope_error": slope.log_slope_error, "bend": slope.bend}
        | {"n_independent": slope.n_independent}
        | {name: round(time_s * 1e12, 9) for name, time_s in times.items()}
        | steadiness(slope.change, slope.sound)
    )


def fit_verdict(run: Run, slope: DiffusionEstimate) -> Row:
    """Return the columns converged and reason of a slope."""
    return run.verdict(slope.converged, with_needed(slope.reason, slope.needed * 1e12, "nvt", slope.at_least))


def interval(slope: DiffusionEstimate, unit: str) -> Row:
    """Return the columns of an error and its interval."""
    return {
        f"standard_error_{unit}": slope.standard_error,
        f"ci95_low_{unit}": slope.ci95_low,
        f"ci95_high_{unit}": slope.ci95_high,
    }
