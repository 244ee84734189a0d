"""What a model took: its labels, its training and a nanosecond of its dynamics.

Time on processors counts in core-hours (processor time), time on an accelerator in GPU-hours (wall time); the two are never added up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from ionmelt.compare.groups import Row
from ionmelt.models.card import Card

TRAINING, LABELLING, DYNAMICS = ("TRAIN_MODEL",), ("LABEL_FRAMES",), ("RUN_MD",)  # processes
MOST_START = 0.2  # of the time of the steps: where a start took more, whole tasks do not tell what a nanosecond takes
ACCELERATORS = ("cuda", "gpu", "hip", "xpu")  # how the name of a device begins that is no processor


@dataclass(frozen=True)
class Hours:
    """Core-hours and GPU-hours."""

    core: float = 0.0
    gpu: float = 0.0

    def plus(self, other: "Hours") -> "Hours":
        """Return the sum."""
        return Hours(self.core + other.core, self.gpu + other.gpu)

    def over(self, number: float) -> "Hours":
        """Return the hours divided by a number."""
        return Hours(self.core / number, self.gpu / number)


def hours(wall_s: float | None, cpu_s: float | None, device: str | None) -> Hours | None:
    """Return what a task took on a device (None: processors), None where that is not known."""
    if device is not None and device.startswith(ACCELERATORS):
        return None if wall_s is None else Hours(gpu=wall_s / 3600)
    return None if cpu_s is None else Hours(core=cpu_s / 3600)


def training_hours(costs: pl.DataFrame, cards: Sequence[Card]) -> dict[str, Hours]:
    """Return the training of each model key: from its task, else from its card."""
    taken: dict[str, Hours] = {}
    devices = {card.id: card.cost.device for card in cards}
    for card in cards:
        training = hours(card.cost.wall_s, card.cost.processor_s, card.cost.device) if card.cost.wall_s else None
        if training is not None:
            taken[card.id] = training
    tasks = costs.filter(pl.col("process").is_in(TRAINING)).select("id", "wall_s", "cpu_s")
    for key, wall_s, cpu_s in tasks.iter_rows():
        if (training := hours(wall_s, cpu_s, devices.get(key))) is not None:
            taken[key] = training
    return taken


def mean(several: list[Hours]) -> Hours | None:
    """Return the mean of hours, None of none."""
    if not several:
        return None
    return Hours(sum(h.core for h in several) / len(several), sum(h.gpu for h in several) / len(several))


def label_hours(t: dict[str, pl.DataFrame]) -> dict[str, float]:
    """Return the core-hours of the labels that each dataset was made of; failed labels are paid for by the rest.

    A label from a store, or brought along, cost this study nothing, and whoever made it what one cost that was made here: without any of those
    nothing is known.
    """
    spent = t["cost"].filter(pl.col("process").is_in(LABELLING))["cpu_s"].sum() / 3600
    labels = t["labels"] if "from_store" in t["labels"].columns else t["labels"].with_columns(from_store=False)
    unpaid = labels.filter(pl.col("from_store").fill_null(True))["frame_id"].to_list()
    paid = t["dataset"].filter(~pl.col("frame_id").is_in(unpaid))["frame_id"].n_unique()
    if not spent or not paid:
        return {}
    frames = t["dataset"].filter(pl.col("dataset").is_not_null() & (pl.col("split") != "test"))
    sizes = frames.group_by("dataset").agg(pl.col("frame_id").n_unique()).sort("dataset")
    return {name: spent * n / paid for name, n in sizes.iter_rows()}


def runs_of(
    t: dict[str, pl.DataFrame], model: str, dataset: str | None, liquid: str, temperature_K: float | None
) -> list[tuple[Row, Row | None]]:
    """Return the runs of a model in a liquid ("all": in each) at a temperature, each with its task.

    A task may have run several replicas at once: it is named after the first of them, and the others have none.
    """
    runs = t["survival"].filter(pl.col("model") == model, pl.col("dataset").eq_missing(pl.lit(dataset, pl.String)))
    if liquid != "all":
        runs = runs.filter(pl.col("liquid") == liquid)
    if temperature_K is not None:
        runs = runs.filter((pl.col("temperature_K") - temperature_K).abs() < 0.5)
    tasks = {row["id"]: row for row in t["cost"].filter(pl.col("process").is_in(DYNAMICS)).to_dicts()}
    return [(run, tasks.get(run["run_id"])) for run in runs.to_dicts()]


def start_weighs(runs: Sequence[tuple[Row, Row | None]], timestep_fs: float | None) -> bool:
    """Tell whether runs were so short that the start of their tasks is much of what they took; not where no speed is known."""
    timed = [(run, task) for run, task in runs if run["atom_steps_per_s"] and run["n_atoms"] and run["survived_ps"]]
    if not timed or timestep_fs is None:
        return False
    atom_steps = [
        (1000 * run["survived_ps"] / timestep_fs * run["n_atoms"], run["atom_steps_per_s"]) for run, _ in timed
    ]
    steps_s = sum(number / speed for number, speed in atom_steps)
    tasks_s = sum(task["wall_s"] or 0.0 for _, task in timed if task)
    return tasks_s - steps_s > MOST_START * steps_s


def dynamics_hours(
    t: dict[str, pl.DataFrame], model: str, dataset: str | None, liquid: str, temperature_K: float | None
) -> Hours | None:
    """Return the hours that one nanosecond takes a model, over all its runs of a liquid ("all": of each) and temperature.

    What attempts took that were killed before their task ended is not known and not counted.
    """
    taken, nanoseconds = None, 0.0
    for run, task in runs_of(t, model, dataset, liquid, temperature_K):
        spent = hours(task["wall_s"], task["cpu_s"], run["device"]) if task else None
        if spent is not None:
            taken = (taken or Hours()).plus(spent)
        nanoseconds += (run["survived_ps"] or 0.0) / 1000
    return taken.over(nanoseconds) if taken is not None and nanoseconds else None
