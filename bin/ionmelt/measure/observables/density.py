"""Density at constant pressure."""

from ionmelt.measure.measurement import Observable
from ionmelt.measure.numbers import Row, steadiness
from ionmelt.measure.series import series_mean
from ionmelt.measure.simulation import Run, with_needed
from ionmelt.tables.columns import CHECK, FLAG, REAL, RUN_MODEL, STEADY, TEXT


def measure(run: Run) -> list[Row]:
    """Return the row from the NPT part of thermo.parquet, up to the first value not finite."""
    time, density = run.series("npt", "time_ps", "density_kg_m3").T
    if not len(time):
        return [run.lacking("npt")]
    estimate = series_mean(density)
    needed_ps = estimate.needed * (time[-1] - time[0]) / max(len(time) - 1, 1)
    row = {
        "density_kg_m3": estimate.mean,
        "standard_error_kg_m3": estimate.standard_error,
        "n_effective": estimate.n_effective,
        "equilibrated_ps": time[estimate.start],
        "needed_ps": needed_ps,
    } | steadiness(estimate.change, estimate.sound)
    return [row | run.verdict(estimate.converged, with_needed(estimate.reason, needed_ps, "npt", estimate.at_least))]


OBSERVABLE = Observable(
    name="density",
    column="density_kg_m3",
    unit="kg/m3",
    title="Density",
    words="the density",
    noun="a density",
    shown=(1.0, "kg/m³"),
    phase="npt",
    units={"kg/m3": 1.0, "g/cm3": 1000.0, "g/mL": 1000.0},
    possible=(100.0, 20_000.0),
    arrhenius=False,
    logarithmic=False,
    measure=measure,
    row="a run: its density at constant pressure",
    columns={
        "density_kg_m3": REAL, "standard_error_kg_m3": REAL, "reference_kg_m3": REAL, "n_effective": REAL, **CHECK,
        "equilibrated_ps": REAL, "needed_ps": REAL, **RUN_MODEL, "reference_low_kg_m3": REAL,
        "reference_high_kg_m3": REAL, "reference_source": TEXT, "reference_interpolated": FLAG,
        "reference_second_hand": FLAG, **STEADY,
    },
)  # fmt: skip
