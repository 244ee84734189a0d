"""What a model took: its labels, its training and a nanosecond of its dynamics."""

import polars as pl

from ionmelt.compare.groups import Row

Tables = dict[str, pl.DataFrame]

Hours = tuple[float, float]  # core-hours, GPU-hours
TRAINING, LABELLING = ("TRAIN_MACE", "TRAIN_DEEPMD"), ("LABEL_FRAMES",)  # processes


def hours(task: Row, device: str | None) -> Hours | None:
    """Return what a task took, None where it is not known."""
    if device is not None and device.startswith(("cuda", "gpu", "hip", "xpu")):
        return None if task["wall_s"] is None else (0.0, task["wall_s"] / 3600)
    return None if task["cpu_s"] is None else (task["cpu_s"] / 3600, 0.0)


def training_hours(t: Tables, cards: list[Row]) -> dict[str, Hours]:
    """Return the training of each model key: from its task, else from its card (wall time on its threads)."""
    found: dict[str, Hours] = {}
    devices = {}
    for card in cards:
        cost = card.get("cost") or {}
        devices[card["id"]] = cost.get("device")
        wall = cost.get("wall_s")
        if wall:
            taken = hours(
                {"wall_s": wall, "cpu_s": cost.get("cpu_s") or wall * (cost.get("threads") or 1)}, devices[card["id"]]
            )
            if taken is not None:
                found[card["id"]] = taken
    for row in t["cost"].filter(pl.col("process").is_in(TRAINING)).to_dicts():
        taken = hours(row, devices.get(row["id"]))
        if taken is not None:
            found[row["id"]] = taken
    return found


def label_hours(t: Tables) -> dict[str, float]:
    """Return the core-hours of the labels that each dataset was made of; failed labels are paid for by the rest.

    Only where the labels were made here: labels that were brought along cost this study nothing that it knows.
    """
    spent = t["cost"].filter(pl.col("process").is_in(LABELLING))["cpu_s"].sum() / 3600
    usable = t["dataset"]["frame_id"].n_unique()
    if not spent or not usable:
        return {}
    frames = t["dataset"].filter(pl.col("dataset").is_not_null() & (pl.col("split") != "test"))
    sizes = frames.group_by("dataset").agg(pl.col("frame_id").n_unique()).sort("dataset")
    return {name: spent * n / usable for name, n in sizes.iter_rows()}


def dynamics_hours(t: Tables, liquid: str | None, temperature_K: float | None, key: Row) -> Hours | None:
    """Return the hours that one nanosecond takes a model, over all its runs of a liquid and temperature.

    What attempts took that were killed before their task ended is not known and not counted.
    """
    runs = t["survival"].filter(
        pl.col("model") == key["model"], pl.col("dataset").eq_missing(pl.lit(key["dataset"], pl.String))
    )
    if liquid not in (None, "all"):
        runs = runs.filter(pl.col("liquid") == liquid)
    if temperature_K is not None:
        runs = runs.filter((pl.col("temperature_K") - temperature_K).abs() < 0.5)
    tasks = {row["id"]: row for row in t["cost"].filter(pl.col("process") == "RUN_MD").to_dicts()}
    # A task may have run several replicas at once: it is named after the first of them.
    taken, done, known = [0.0, 0.0], 0.0, False
    for run in runs.to_dicts():
        one = hours(tasks[run["run_id"]], run["device"]) if run["run_id"] in tasks else None
        if one is not None:
            taken, known = [x + y for x, y in zip(taken, one, strict=True)], True
        done += (run["survived_ps"] or 0.0) / 1000
    return (taken[0] / done, taken[1] / done) if done and known else None
