"""Trainings in words: what the learning curves say, as sentences and a table of the report."""

import polars as pl

from ionmelt.compare import groups
from ionmelt.compare.groups import Row
from ionmelt.report.words import UNITS, listed, number


def value(row: Row, column: str) -> str:
    """Write an error of a row with its unit."""
    factor, unit = UNITS.get("eV/atom" if row["term"] == "energy" else row["unit"], (1.0, row["unit"]))
    return f"{number(row[column] * factor)} {unit}"


def sentences(trainings: pl.DataFrame) -> list[str]:
    """Say what is wrong with which training; empty where nothing was found."""
    found = []
    names = {"energy": "energy", "forces": "forces", "stress": "stress"}
    for row in trainings.filter(pl.col("grew_again")).to_dicts():
        found.append(
            f"{row['model_key']}: on validation frames the error of the {names[row['term']]} grew again, from "
            f"{value(row, 'valid_best')} at step {row['best_step']} to {value(row, 'valid_end')} at the end of {row['steps']}: what it says "
            f"of the {names[row['term']]} got worse with training."
        )
    for row in trainings.filter(pl.col("hardly_learnt")).to_dicts():
        found.append(
            f"{row['model_key']}: hardly learnt the {names[row['term']]}: it ends with {value(row, 'valid_end')} on validation frames "
            f"and {value(row, 'train_end')} on those that it was trained on, of {value(row, 'valid_first')} before the first step. A training "
            "that is too short or a model that is too small does this; it is no measure of the framework."
        )
    falling = trainings.filter(pl.col("still_falling"), pl.col("term") == "forces")["model_key"].to_list()
    if falling:
        found.append(
            f"The force error of {listed(falling)} still fell in the last quarter of the training: more steps would make it smaller."
        )
    return found


def in_short(trainings: pl.DataFrame) -> list[tuple[str, list[str]]]:
    """Return the report's heading and sentences on the trainings, where there is something to say."""
    lines = sentences(trainings)
    return [("Trainings", lines)] if lines else []


def table_trainings(trainings: pl.DataFrame) -> Row | None:
    """Return the report's table: what share of the gradient each term had, and where its error went."""
    if not trainings.height:
        return None
    body = []
    for row in trainings.to_dicts():
        shares = [row["gradient_share_start"], row["gradient_share_end"]]
        said = [words for column, words in (("grew_again", "grew again"), ("still_falling", "still falling"), ("hardly_learnt", "hardly learnt")) if row[column]]  # fmt: skip
        body.append(
            [
                f"{groups.label(row['model'], row['dataset'])}, seed {row['seed']}",
                row["term"],
                *(number(row[column]) for column in ("weight_start", "weight_end")),
                *("–" if share is None else f"{100 * share:.1f} %" for share in shares),
                *(
                    "–" if row[column] is None else value(row, column)
                    for column in ("valid_best", "valid_end", "train_end")
                ),
                ", ".join(said) or "–",
            ]
        )
    head = [
        "model", "term", "weight, start", "weight, end", "share of the gradient, start", "share of the gradient, end",
        "best error, validation", "last error, validation", "last error, training", "found",
    ]  # fmt: skip
    return {"head": head, "rows": body}
