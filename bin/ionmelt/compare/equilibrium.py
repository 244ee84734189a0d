"""The mean pressure of the labels on equilibrium frames: whose equilibrium they are."""

from dataclasses import dataclass

import polars as pl

from ionmelt.models.pressures import jackknife

LEAST_GROUPS = 5  # an error needs some


@dataclass(frozen=True)
class MeanPressure:
    """The mean pressure between molecules that the labels give the equilibrium frames of a state, with its standard error."""

    liquid: str
    temperature_K: float
    mean_bar: float
    standard_error_bar: float


def mean_pressures(dataset: pl.DataFrame) -> list[MeanPressure]:
    """Return the mean pressure of each state over all its labelled frames, those of training too; none of fewer than five groups.

    The error is a jackknife over groups, since frames of one trajectory are not independent.
    """
    frames = dataset.drop_nulls(["temperature_K", "equilibrium_pressure_bar"]).unique("frame_id")
    groups = frames.group_by("liquid", "temperature_K", "group").agg(
        pl.col("equilibrium_pressure_bar").sum().alias("total"), pl.len().alias("frames")
    )
    means = []
    for (liquid, kelvin), of in sorted(groups.partition_by("liquid", "temperature_K", as_dict=True).items()):
        if of.height >= LEAST_GROUPS:
            samples = (of["total"].to_numpy(), of["frames"].to_numpy())
            mean, error = jackknife(lambda total, count: float(total.sum() / count.sum()), *samples)
            means.append(MeanPressure(liquid, kelvin, mean, error))
    return means
