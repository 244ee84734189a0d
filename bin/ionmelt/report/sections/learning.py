"""Learning curves."""

import math

import plotly.graph_objects as go
import polars as pl

from ionmelt.compare.cost import hours
from ionmelt.compare.groups import label
from ionmelt.mistakes import listed
from ionmelt.report.blocks import (
    Block,
    Folded,
    Heading,
    Note,
    Plot,
    Section,
    Table,
)
from ionmelt.report.figures import Style, finish, log_axis, panels
from ionmelt.report.results import Results
from ionmelt.report.sections.asked import FRAMEWORKS
from ionmelt.report.words import UNITS, Row, Tables, number


def figure_curves(t: Tables, style: Style) -> go.Figure | None:
    """Learning curves: validation bold, training pale; one panel per framework and quantity."""
    curves = t["curves"].filter(pl.col("value").is_not_null())
    if not curves.height:
        return None
    views = curves.select("framework", "quantity", "unit").unique().sort("framework", "quantity", "unit").to_dicts()
    first = {row["framework"]: style.models.index(row["model"]) for row in reversed(curves.to_dicts())}
    views.sort(key=lambda view: first[view["framework"]])
    figure, at = panels([curve_title(view) for view in views], 3, 280)
    seen = set()
    for i, view in enumerate(views):
        here = curves.filter(*(pl.col(c).eq_missing(pl.lit(v, pl.String)) for c, v in view.items()))
        for key, name, points in style.groups(here):
            for (_, which), line in points.sort("step").group_by(["model_key", "set"], maintain_order=True):
                line = line.gather_every(max(1, math.ceil(line.height / 400)))
                figure.add_scatter(
                    x=line["step"].to_list(),
                    y=[float(f"{y:.4g}") for y in line["value"]],
                    mode="lines",
                    name=name,
                    legendgroup=name,
                    showlegend=name not in seen and which == "valid",
                    opacity=0.9 if which == "valid" else 0.35,
                    hovertemplate=f"{name}, {which}: %{{y:.3g}} {curve_axis(view).partition('(')[2].rstrip(')')}<br>step %{{x}}<extra></extra>",
                    line={
                        "color": style.colour(key),
                        "dash": style.dash(key),
                        "width": 2 if which == "valid" else 1.2,
                    },
                    **at(i),
                )
                if which == "valid":
                    seen.add(name)
        if (here["value"] > 0).all():
            figure.update_yaxes(**log_axis(here["value"].to_list()), **at(i))
        figure.update_yaxes(title=curve_axis(view), **at(i))
    figure.update_xaxes(title="step of the training")
    return finish(figure, margin={"l": 70, "r": 20, "t": 80, "b": 50})


def figure_compute(results: Results) -> go.Figure | None:
    """Force errors on validation frames against what the training had taken by then, all frameworks in one panel.

    That is time on processors, of a training on an accelerator the time there.
    """
    took = {card.id: hours(card.cost.wall_s, card.cost.processor_s, card.cost.device) for card in results.cards}
    units = set()
    curves = results.tables["curves"].filter(
        pl.col("quantity") == "force_rmse", pl.col("set") == "valid", pl.col("value") > 0, pl.col("step") > 0
    )
    figure = go.Figure()
    for key, name, points in results.style.groups(curves):
        for number_of_line, ((model_key,), line) in enumerate(
            points.sort("step").group_by("model_key", maintain_order=True)
        ):
            whole = took.get(str(model_key))
            if whole is None:
                continue
            whole_s, unit = 3600 * (whole.gpu or whole.core), "GPU-s" if whole.gpu else "core-s"
            units.add(unit)
            last = line["step"].max()
            figure.add_scatter(
                x=[float(f"{whole_s * step / last:.4g}") for step in line["step"]],
                y=[float(f"{1000 * error:.4g}") for error in line["value"]],
                mode="lines",
                name=name,
                legendgroup=name,
                showlegend=not number_of_line,
                hovertemplate=f"{name}<br>%{{y:.3g}} meV/Å after %{{x:.3g}} {unit}<extra></extra>",
                line={"color": results.style.colour(key), "dash": results.style.dash(key), "width": 2},
            )
    if not figure.data:
        return None
    for axis, of in ((figure.update_xaxes, "x"), (figure.update_yaxes, "y")):
        axis(**log_axis([number for line in figure.data for number in line[of]]))
    figure.update_xaxes(title=f"training ({' or '.join(sorted(units, reverse=True))})")
    figure.update_yaxes(title="force error, validation (meV/Å)")
    return finish(figure, height=420)


def curve_title(view: Row) -> str:
    """Return what a panel is of: a framework and one of the errors that it reports."""
    framework = FRAMEWORKS.get(view["framework"], view["framework"] or "training")
    return f"{framework}: {view['quantity'].replace('_rmse', '').replace('_', ' ')}"


def curve_axis(view: Row) -> str:
    """Return the title of an axis of errors, with the unit; a loss has none."""
    if not view["quantity"].endswith("_rmse"):
        return view["quantity"].replace("_", " ")
    per_atom = "/atom" if "per_atom" in view["quantity"] and "/atom" not in (view["unit"] or "") else ""
    return f"RMSE ({(view['unit'] or '').replace('/A', '/Å').replace('Å^3', 'Å³')}{per_atom})"


def value(row: Row, column: str) -> str:
    """Write an error of a row with its unit."""
    factor, unit = UNITS.get("eV/atom" if row["term"] == "energy" else row["unit"], (1.0, row["unit"]))
    return f"{number(row[column] * factor)} {unit}"


def sentences(trainings: pl.DataFrame) -> list[str]:
    """Say what is wrong with which training; empty where nothing was found."""
    lines = []
    for row in trainings.filter(pl.col("grew_again")).to_dicts():
        lines.append(
            f"{row['model_key']}: on validation frames the error of the {row['term']} grew again, from "
            f"{value(row, 'valid_best')} at step {row['best_step']} to {value(row, 'valid_end')} at the end of {row['steps']}: what it says "
            f"of the {row['term']} got worse with training."
        )
    for row in trainings.filter(pl.col("hardly_learnt")).to_dicts():
        lines.append(
            f"{row['model_key']}: hardly learnt the {row['term']}: it ends with {value(row, 'valid_end')} on validation frames "
            f"and {value(row, 'train_end')} on those that it was trained on, of {value(row, 'valid_first')} before the first step. A training "
            "that is too short or a model that is too small does this; it is no measure of the framework."
        )
    for row in trainings.filter(pl.col("far_from_best"), pl.col("term") == "forces").to_dicts():
        lines.append(
            f"{row['model_key']}: its force error, {value(row, 'valid_end')}, is more than twice the least of the trainings on the same "
            f"frames, and as large on those that it was trained on ({value(row, 'train_end')}): the training was too short, or the model too small."
        )
    falling = trainings.filter(pl.col("still_falling"), pl.col("term") == "forces")["model_key"].to_list()
    if falling:
        lines.append(
            f"The force error of {listed(falling)} still fell at the end of the training: twice the steps would make it smaller by a tenth or more."
        )
    if short := trainings.filter("undertrained")["model_key"].to_list():
        lines.append(
            f"Undertrained, so that no ordering of models has them: {listed(short)}. How they compare says how long they were trained."
        )
    return lines


def lines(results: Results) -> list[str]:
    """Say what is wrong with which training, where there is something to say."""
    return sentences(results.tables["trainings"])


def table_trainings(trainings: pl.DataFrame) -> Table:
    """Return what share of the gradient each term had, and where its error went."""
    body = []
    for row in trainings.to_dicts():
        shares = [row["gradient_share_start"], row["gradient_share_end"]]
        said = [words for column, words in (("grew_again", "grew again"), ("still_falling", "still falling"), ("hardly_learnt", "hardly learnt"), ("far_from_best", "far from the best")) if row[column]]  # fmt: skip
        body.append(
            [
                f"{label(row['model'], row['dataset'])}, seed {row['seed']}",
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
    return Table(head, body, "trainings")


def blocks(results: Results) -> list[Block]:
    """Return what the trainings say of themselves."""
    trainings = results.tables["trainings"]
    table = table_trainings(trainings)
    made: list[Block] = [
        Note(
            "Bold: validation. Pale: training. A gap that widens is overfitting; a bold line still falling could use more steps."
        ),
        Plot("curves", figure_curves(results.tables, results.style), "Learning curves"),
        Plot("compute", figure_compute(results), "Force error against what the training took"),
    ]
    if table.rows:
        words = (
            "Energy, forces and stress (DeePMD: virial) share the gradient that each training step follows: with next to none of it "
            "a quantity is not trained. Errors are medians of neighbouring points of the curves."
        )
        made += [
            Heading("What was trained"),
            Note(words),
            Folded(f"Every term of every training ({len(table.rows)})", [table]),
        ]
    return made


SECTION = Section("curves", "Learning curves", "Learning curves", blocks, lines)
