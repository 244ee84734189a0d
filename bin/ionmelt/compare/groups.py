"""Groups of runs: what they are called, how they are sorted, and which two of them may be set against each other."""

import math
from collections.abc import Iterable
from typing import Any

import polars as pl

Row = dict[str, Any]


def label(model: str, dataset: str | None) -> str:
    """Name a model with the dataset it was trained on, as the verdicts and the report call it."""
    return f"{model}-{dataset}" if dataset else model


def finite(value: float | None) -> float | None:
    """Return the number, or None for what is missing or not a number."""
    return None if value is None or not math.isfinite(value) else float(value)


def groups(rows: pl.DataFrame, keys: list[str]) -> Iterable[tuple[Row, list[Row]]]:
    """Yield (keys, rows) of every group, in order of the keys."""
    for values, part in rows.sort(*keys, nulls_last=False).group_by(keys, maintain_order=True):
        yield dict(zip(keys, values, strict=True)), part.to_dicts()


def count(reasons: Iterable[str]) -> list[str]:
    """Return each distinct reason once, with how often it came where that is more than once."""
    found: dict[str, int] = {}
    for reason in reasons:
        found[reason] = found.get(reason, 0) + 1
    return [reason if n == 1 else f"{reason} ({n} times)" for reason, n in found.items()]


def one_factor_apart(a: Row, b: Row) -> bool:
    """Tell whether two groups differ in one thing only (of a dataset: its kinds or its size), or one is an untrained model."""
    if a["dataset"] is None or b["dataset"] is None or a["dataset"] == b["dataset"]:
        return True
    (whole_a, size_a), (whole_b, size_b) = cut_of(a), cut_of(b)
    return a["model"] == b["model"] and (whole_a == whole_b or size_a == size_b)


def cut_of(item: Row) -> tuple[str, int | None]:
    """Return the mixture that a group was trained on, and the number of frames it was cut to: a dataset that is no cut is its own."""
    return item.get("mixture") or item["dataset"], item.get("size")


def by_state(items: list[Row]) -> list[tuple[tuple, list[Row]]]:
    """Group items by liquid, temperature and species, keeping their order."""
    found: dict[tuple, list[Row]] = {}
    for item in items:
        found.setdefault((item["liquid"], item["temperature_K"], item["species"]), []).append(item)
    return list(found.items())
