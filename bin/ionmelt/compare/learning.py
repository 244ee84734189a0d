"""Learning curves: the error of each model and dataset against its frames and the cost of their labels."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from scipy import stats

from ionmelt.compare import cost
from ionmelt.compare.groups import Group, grouped
from ionmelt.compare.statistics import Estimate, difference
from ionmelt.compare.survival import COMPLETED, MISSING
from ionmelt.compare.verdicts import weighted

Tables = dict[str, pl.DataFrame]

# Errors that are judged, in the order of the report. Of the liquid: the table's property.
OF_LIQUID = {"density_error": "density", "diffusion_error": "diffusion"}
PROPERTIES = ("scan_energy_rmse", "density_error", "diffusion_error", "survival", "force_rmse")


@dataclass(frozen=True)
class Point:
    """A point of a learning curve: the error in ``quantity`` of a group's model, trained on ``frames`` frames of ``mixture``.

    ``labels_core_h``: what these frames' labels took. ``seeds``: how many training seeds are behind the error, which is
    ``against`` something: the labels, a model (``truth``, its group) or experiment. Of survival the error is the share of runs
    that broke: ``broken`` of ``planned``.
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
    truth: Group | None = None
    broken: int = 0
    planned: int = 0

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


def points(
    t: Tables, groups: Mapping[str, Sequence[Group]], truth: str | None, mixtures: Mapping[str, str]
) -> list[Point]:
    """Return the points of all learning curves: of each property the models that were trained, in the order of the groups.

    ``truth`` is the model that is the method of the labels itself, None where none is; ``mixtures`` says of a dataset that is
    cut from another which.
    """
    datasets = trainings(t, mixtures)
    frameworks = dict(t["survival"].select("model", "framework").unique().sort("model").iter_rows())
    curve = []
    for name in PROPERTIES:
        if name == "survival":
            curve += survival_points(t["survival"], datasets)
            continue
        of_property = groups.get(OF_LIQUID.get(name, name), [])
        for group in of_property:
            if group.dataset not in datasets:
                continue
            dataset = datasets[group.dataset]
            framework = group.framework or frameworks.get(group.model)
            if name in OF_LIQUID:
                point = liquid_point(name, group, dataset, framework, group_of(truth, group, of_property))
            else:
                low, high = group.interval or (None, None)
                point = Point(
                    group, name, dataset.mixture, dataset.frames, dataset.labels_core_h, framework, seeds_of(group),
                    group.estimate.value if group.estimate else None, low, high, "the labels", group.converged, group.reason,
                )  # fmt: skip
            curve += [point] if point is not None else []
    return curve


def group_of(model: str | None, like: Group, groups: Iterable[Group]) -> Group | None:
    """Return the group of a model in the state of another group, None where it was not run."""
    return next((group for group in groups if group.model == model and group.state == like.state), None)


def liquid_point(
    name: str, group: Group, dataset: Training, framework: str | None, truth: Group | None
) -> Point | None:
    """Return the point of a property of the liquid: how far it is from the truth, else from experiment; None: from neither."""
    off = offset(group, truth)
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
        truth.model if truth else "experiment", converged, reason, truth,
    )  # fmt: skip


def offset(group: Group, truth: Group | None) -> Estimate | None:
    """Return how far a group lies above the truth, box by box where they share two, else above experiment; None: above neither."""
    if group.estimate is None:
        return None
    if truth is not None:
        return None if truth.estimate is None else weighted(group, truth, (1.0, -1.0))[0]
    if group.reference is None:
        return None
    return difference(group.estimate.plus(group.shift), group.reference.estimate())


def seeds_of(group: Group) -> int:
    """Return the number of training seeds behind a group."""
    return group.runs if group.behind is None else len(set(group.behind.seeds))


def survival_points(survival: pl.DataFrame, datasets: Mapping[str, Training]) -> list[Point]:
    """Return the points of survival: of the planned runs of a trained model, the share that did not reach its end.

    Runs of a study are planned to one length, so that a share with its exact interval says it all: an estimate of lifetimes
    from runs that were cut off at different times (lifelines) would say no more.
    """
    curve = []
    trained = survival.filter(pl.col("dataset").is_not_null())
    for key, runs in grouped(trained, ["liquid", "temperature_K", "model", "dataset", "framework"]):
        if key["dataset"] not in datasets:
            continue
        dataset = datasets[key["dataset"]]
        done = sum(run["end"] == COMPLETED for run in runs)
        missing = sum(run["end"] == MISSING for run in runs)
        share = stats.binomtest(done, len(runs)).proportion_ci(method="exact")
        group = Group(
            key["liquid"], key["temperature_K"], "survival", None, key["model"], key["dataset"], "1", None, not missing
        )
        curve.append(
            Point(
                group, "survival", dataset.mixture, dataset.frames, dataset.labels_core_h, key["framework"],
                len({run["seed"] for run in runs}), 1 - done / len(runs), 1 - share.high, 1 - share.low,
                "share of the runs that broke", not missing,
                f"{missing} of {len(runs)} runs are missing" if missing else None,
                broken=len(runs) - done, planned=len(runs),
            )
        )  # fmt: skip
    return curve
