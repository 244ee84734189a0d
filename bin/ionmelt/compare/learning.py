"""Learning curves: the error of each model and dataset against its frames and the cost of their labels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from ionmelt.compare import cost
from ionmelt.compare.comparison import offset
from ionmelt.compare.groups import Group
from ionmelt.compare.lifetimes import Lifetimes
from ionmelt.compare.scope import seeds_of

Tables = dict[str, pl.DataFrame]

# Errors that are judged, in the order of the report. Of the liquid: the table's property.
OF_LIQUID = {"density_error": "density", "diffusion_error": "diffusion"}
PROPERTIES = ("scan_energy_rmse", "density_error", "diffusion_error", "survival", "force_rmse")


@dataclass(frozen=True)
class Point:
    """A point of a learning curve: the error in ``quantity`` of a group's model, trained on ``frames`` frames of ``mixture``.

    ``labels_core_h``: what these frames' labels took. ``seeds``: how many training seeds are behind the error, which is
    ``against`` something: the labels, a model (the group's truth) or experiment. Of survival the error is the share of the planned
    time that runs did not reach.
    """

    group: Group
    quantity: str
    mixture: str
    frames: int
    labels_core_h: float | None
    framework: str | None
    seeds: int
    error: float | None
    low: float | None
    high: float | None
    against: str
    converged: bool
    reason: str | None

    @property
    def name(self) -> str:
        """The model with its dataset."""
        return self.group.name

    @property
    def state(self) -> tuple[str, float | None, str, str | None]:
        """Liquid, temperature, property and species."""
        return self.group.liquid, self.group.temperature_K, self.quantity, self.group.species

    def row(self) -> dict[str, object]:
        """Return the row of the table `learning`."""
        liquid, temperature_K, quantity, species = self.state
        return {
            "liquid": liquid,
            "temperature_K": temperature_K,
            "property": quantity,
            "species": species,
            "model": self.group.model,
            "framework": self.framework,
            "dataset": self.group.dataset,
            "mixture": self.mixture,
            "frames": self.frames,
            "labels_core_h": self.labels_core_h,
            "seeds": self.seeds,
            "error": self.error,
            "ci95_low": self.low,
            "ci95_high": self.high,
            "unit": self.group.unit,
            "against": self.against,
            "converged": self.converged,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Training:
    """What a dataset is: its number of training frames, the mixture that it is cut from, and the core-hours of its labels."""

    frames: int
    mixture: str
    labels_core_h: float | None


def trainings(t: Tables, mixtures: Mapping[str, str]) -> dict[str, Training]:
    """Return what each dataset is that was trained on."""
    train = t["dataset"].filter((pl.col("split") == "train") & pl.col("dataset").is_not_null())
    hours = cost.label_hours(t)
    sizes = train.group_by("dataset").len().sort("dataset").iter_rows()
    return {name: Training(n, mixtures.get(name, name), hours.get(name)) for name, n in sizes}


def points(t: Tables, groups: Mapping[str, Sequence[Group]], mixtures: Mapping[str, str]) -> list[Point]:
    """Return the points of all learning curves: of each property the models that were trained, in the order of the groups.

    ``mixtures`` says of a dataset that is cut from another which.
    """
    datasets = trainings(t, mixtures)
    frameworks = dict(t["survival"].select("model", "framework").unique().sort("model").iter_rows())
    curve = []
    for name in PROPERTIES:
        for group in groups.get(OF_LIQUID.get(name, name), []):
            if group.dataset not in datasets:
                continue
            dataset = datasets[group.dataset]
            framework = group.framework or frameworks.get(group.model)
            if group.lifetimes is not None:
                point: Point | None = survival_point(group, group.lifetimes, dataset)
            elif name in OF_LIQUID:
                point = liquid_point(name, group, dataset, framework)
            else:
                low, high = group.interval or (None, None)
                point = Point(
                    group, name, dataset.mixture, dataset.frames, dataset.labels_core_h, framework, seeds_of(group),
                    group.estimate.value if group.estimate else None, low, high, "the labels", group.converged, group.reason,
                )  # fmt: skip
            curve += [point] if point is not None else []
    return curve


def liquid_point(name: str, group: Group, dataset: Training, framework: str | None) -> Point | None:
    """Return the point of a property of the liquid: how far it is from the truth, else from experiment; None: from neither."""
    off, truth = offset(group), group.truth
    if off is None:
        return None
    error = abs(off.value)
    below, above = off.interval()
    half = (above - below) / 2
    low, high = (max(0.0, error - half), error + half) if math.isfinite(half) else (None, None)
    converged, reason = group.converged, group.reason
    if truth is not None and not truth.converged:
        converged = False
        reason = "; ".join(x for x in (reason, f"{truth.model}: {truth.reason}") if x)
    return Point(
        group, name, dataset.mixture, dataset.frames, dataset.labels_core_h, framework, seeds_of(group), error, low, high,
        truth.model if truth else "experiment", converged, reason,
    )  # fmt: skip


def survival_point(group: Group, lives: Lifetimes, dataset: Training) -> Point:
    """Return the point of survival: what share of the planned time the runs of a trained model did not reach; None where runs left no result."""
    error, low, high = (lives.lost, *lives.interval()) if group.converged else (None, None, None)
    return Point(
        group, "survival", dataset.mixture, dataset.frames, dataset.labels_core_h, group.framework, seeds_of(group),
        error, low, high, "the planned time", group.converged, group.reason,
    )  # fmt: skip
