"""What a study found out about one of its models: the page RESULTS.md, which is put beside the files of the model."""

from collections.abc import Iterator, Sequence

import polars as pl

from ionmelt.compare.groups import label
from ionmelt.models.card import Card
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.report.results import Results
from ionmelt.report.sections.asked import theory
from ionmelt.report.sections.recommendation import PROPERTIES
from ionmelt.report.words import NAMES, Row, interval, measured, missing_words, state_name, verdict_words

HIGHEST = 4  # verdicts of a property that are written out


def pages(results: Results) -> Iterator[tuple[str, str]]:
    """Give the key of each model that its user is given as a folder, and its page."""
    for card in results.cards:
        if FRAMEWORKS[card.framework].export and card.id in results.delivered and card.role is None:
            yield card.id, page(card, results)


def page(card: Card, results: Results) -> str:
    """Return the page of a model."""
    study = results.study
    name = label(card.model, card.dataset)
    head = [
        f"# {card.id} in the study {study.get('name', '')}",
        "",
        str(study.get("description") or ""),
        "",
        f"- liquids: {'; '.join(liquids(results)) or 'none'}",
        f"- labels: {theory(results.labels)}",
        *([f"- trained on the dataset {card.dataset}: {', '.join(results.datasets.get(card.dataset, [])) or 'a part'}"] if card.dataset else []),
        *training_lines(card, results),
    ]  # fmt: skip
    tail = [
        "",
        "`README.md` says what the model is and how it is used, `report.html` of the study how these numbers came about.",
    ]
    return (
        "\n".join([*head, *errors(card, results), *properties(card, results, name), *tail]).replace("\u00a0", " ")
        + "\n"
    )


def liquids(results: Results) -> Iterator[str]:
    """Give the liquids of the study with their temperatures."""
    for liquid in results.study.get("liquids", []):
        kelvins = ", ".join(f"{kelvin:g}" for kelvin in liquid.get("temperatures_K", []))
        yield f"{results.names.liquid(liquid['id'])} at {kelvins} K"


def training_lines(card: Card, results: Results) -> Iterator[str]:
    """Say so where the training found that the model has not learnt all that it could."""
    rows = results.tables["trainings"].filter(pl.col("model_key") == card.id)
    if rows.filter(pl.col("undertrained")).height:
        yield "- **undertrained**: its errors still fell, or it hardly learnt: it stands in no ordering of frameworks"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]


def errors(card: Card, results: Results) -> list[str]:
    """Return the errors of these weights on the test frames."""
    rows = results.tables["errors"].filter(
        pl.col("model_key") == card.id, pl.col("split") == "test", pl.col("scope") == "all"
    )
    if not rows.height:
        return ["", "It has no errors on test frames."]
    body = [
        (
            NAMES.get(row["quantity"], row["quantity"]),
            interval(row, "rmse", "rmse_ci95_low", "rmse_ci95_high"),
            ("–" if row["frames"] is None else str(row["frames"]))
            + missing_words(rows.filter(pl.col("quantity") == row["quantity"])),
        )
        for row in rows.to_dicts()
    ]
    head = ("quantity", "root mean square error, 95 % interval", "frames")
    return ["", "## Errors of these weights on frames that no model was trained on", "", *table(head, body)]


def properties(card: Card, results: Results, name: str) -> list[str]:
    """Return what the liquid is with this model, over all its seeds and boxes, and how that was judged."""
    of_model = pl.col("model").eq(card.model) & pl.col("dataset").eq_missing(pl.lit(card.dataset, pl.String))
    rows = results.tables["summary"].filter(of_model, pl.col("property").is_in(list(PROPERTIES)))
    runs = results.tables["survival"].filter(of_model)
    if not runs.height:
        return ["", "No dynamics was run with it."]
    whole = runs.filter(end="completed").height
    body = [
        (
            state_name(row),
            PROPERTIES[row["property"]],
            measured(row),
            "converged" if row["converged"] else f"not converged: {row['reason'] or 'no number'}",
            "; ".join(verdicts(row, results, name)) or "–",
        )
        for row in rows.sort("liquid", "temperature_K", "property", "species").to_dicts()
    ]  # fmt: skip
    head = ("state", "property", f"{name}, all seeds and boxes", "converged", "verdicts")
    return [
        "",
        "## The liquid",
        "",
        f"{whole} of {runs.height} runs reached their end.",
        *(["", *table(head, body)] if body else []),
    ]


def verdicts(row: Row, results: Results, name: str) -> Iterator[str]:
    """Give the verdicts on a property of the model, in words; that something is not converged is said once already."""
    rows = results.tables["verdicts"].filter(
        *(pl.col(column).eq_missing(pl.lit(row[column])) for column in ("liquid", "temperature_K", "property", "species")),
        pl.col("model_a").eq(name) | pl.col("model_b").eq(name),
        pl.col("verdict") != "not converged",
    )  # fmt: skip
    for verdict in rows.head(HIGHEST).to_dicts():
        yield verdict_words(verdict)
    if rows.height > HIGHEST:
        yield f"{rows.height - HIGHEST} more in `tables/verdicts`"
