"""Errors on liquids that were left out, and what a random split would have said."""

import numpy as np
import polars as pl

from ionmelt.compare.groups import label
from ionmelt.dataset.settings import kinds_of
from ionmelt.report.blocks import Block, Heading, Note, Table
from ionmelt.report.results import Results
from ionmelt.report.words import UNITS, missing_words, number


def table_transfer(results: Results) -> Table:
    """Return the force errors on liquids that a dataset leaves out, beside those of models trained on them too."""
    t, style, datasets = results.tables, results.style, results.datasets
    whole = {frozenset(kinds_of(entries)[0]): name for name, entries in datasets.items() if not kinds_of(entries)[1]}
    errors = t["errors"].filter(
        (pl.col("split") == "test") & (pl.col("quantity") == "force") & (pl.col("scope") == "liquid")
    )
    body = []
    for name, entries in datasets.items():
        kinds, left_out = kinds_of(entries)
        base = whole.get(frozenset(kinds))
        for liquid in sorted(left_out):
            here = errors.filter(pl.col("name") == results.names.liquid(liquid))
            for key, _, rows in style.groups(here.filter(pl.col("dataset") == name)):
                with_it = here.filter(pl.col("model") == key["model"], pl.col("dataset") == (base or ""))
                cells = [rmse_words(frame) for frame in (rows, with_it)]
                ratio = f"{mean_rmse(rows) / mean_rmse(with_it):.2f}" if with_it.height else "–"
                body.append([label(key["model"], name), results.names.liquid(liquid), *cells, ratio])
    return Table(["model", "liquid left out", "force error without it", "trained on it too", "ratio"], body, "errors")


def table_leakage(results: Results) -> Table:
    """Return the force errors that a random split would show beside those on trajectories never trained on, by recipe."""
    t, style = results.tables, results.style
    kinds = dict(t["dataset"].select("recipe", "kind").unique().iter_rows())
    errors = t["errors"].filter(
        (pl.col("quantity") == "force") & (pl.col("scope") == "recipe") & pl.col("rmse").is_not_null()
    )
    body = []
    for key, name, rows in style.groups(errors.filter(pl.col("split") == "near")):
        dataset: str = key["dataset"]
        entries = results.datasets.get(results.cuts.get(dataset, dataset), ())
        for (recipe,), near in rows.sort("name").group_by("name", maintain_order=True):
            if kinds.get(recipe) not in entries:  # of other trajectories than this model's
                continue
            test = errors.filter(
                pl.col("split") == "test", pl.col("name") == recipe,
                pl.col("model") == key["model"], pl.col("dataset") == key["dataset"],
            )  # fmt: skip
            ratio = f"{mean_rmse(test) / mean_rmse(near):.2f}" if test.height else "–"
            body.append([name, recipe, rmse_words(near), rmse_words(test) if test.height else "none tested", ratio])
    return Table(["model", "recipe", "random split", "split by trajectory", "ratio"], body, "errors")


def rmse_words(rows: pl.DataFrame) -> str:
    """Return the mean RMSE of some seeds with the range of their 95 % intervals."""
    if not rows.height:
        return "no such model"
    factor, unit = UNITS[rows["unit"][0]]
    scaled = (
        rows.select(pl.col("rmse", "rmse_ci95_low", "rmse_ci95_high") * factor).drop_nulls().to_dict(as_series=False)
    )
    if not scaled["rmse"]:
        return f"{number(mean_rmse(rows) * factor)} (no interval) {unit}{missing_words(rows)}"
    low, high = min(scaled["rmse_ci95_low"]), max(scaled["rmse_ci95_high"])
    return f"{number(mean_rmse(rows) * factor)} [{number(low)}, {number(high)}] {unit}{missing_words(rows)}"


def mean_rmse(rows: pl.DataFrame) -> float:
    """Return the mean RMSE of some seeds."""
    return float(np.mean(rows["rmse"].to_numpy()))


def blocks(results: Results) -> list[Block]:
    """Return both tables, where there is something in them."""
    made: list[Block] = []
    leakage, transfer = table_leakage(results), table_transfer(results)
    if leakage.rows:
        words = (
            "Force errors on frames drawn at random from the trajectories a model was trained on, beside those on trajectories it "
            "never saw. A ratio above 1 is what a random split would have hidden; the errors elsewhere in this report are split "
            "by trajectory. Intervals are those of all seeds together; of one frame there is none."
        )
        made += [Heading("What a random split would have said"), Note(words), leakage]
    if transfer.rows:
        words = (
            "Models trained without a liquid, judged on it, beside models trained on it too. A ratio near 1: the model knew it "
            "without having seen it. Intervals are those of all seeds together."
        )
        made += [Heading("Liquids that were left out"), Note(words), transfer]
    return made
