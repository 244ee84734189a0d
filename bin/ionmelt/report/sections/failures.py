"""What failed, and why."""

from collections.abc import Iterator

import polars as pl

from ionmelt.compare.survival import at_time
from ionmelt.dataset.settings import TEST_LEAST
from ionmelt.measure.observables import NAMED
from ionmelt.mistakes import listed
from ionmelt.models.card import Card
from ionmelt.report.blocks import Block, Note, Section, Table
from ionmelt.report.results import Results
from ionmelt.report.words import Tables, number

FILES = listed(["failures", "survival", "labels", *NAMED])  # of tables/
# The columns of the sampling tables that count refused frames, and what was wrong with those.
REFUSALS = {"refused_duplicate": "duplicate", "refused_contact": "contact", "refused_bond": "bond"}
Failure = list[str]  # where, what, reason


def table_failures(results: Results) -> Table:
    """Return everything that failed, was refused or is missing, with its reason."""
    t = results.tables
    rows = [["plan", "warning", warning] for warning in results.warnings]
    rows += [*of_equilibration(t), *of_test_set(t), *of_labels(t), *of_sampling(t)]
    rows += [[r["stage"], r["run_id"] or r["model_key"], r["reason"]] for r in t["failures"].to_dicts()]
    rows += [*of_planned_models(results), *of_evaluation(t)]
    theories = {x for x in t["labels"]["theory_id"] if x}
    rows += [failure for card in results.cards for failure in of_card(card, theories)]
    return Table(["where", "what", "reason"], [*rows, *of_runs(t), *of_measurements(t)], FILES)


def of_equilibration(t: Tables) -> Iterator[Failure]:
    """Give the liquids that are not equilibrated."""
    for r in t["equilibration"].filter(~pl.col("converged").fill_null(False)).to_dicts():
        yield ["equilibration", r["key"], f"not equilibrated: {r['reason'] or 'no reason given'}"]


def of_test_set(t: Tables) -> Iterator[Failure]:
    """Give a test set that is too small to say much."""
    tested = t["dataset"].filter(pl.col("split") == "test")["frame_id"].n_unique()
    if 0 < tested < TEST_LEAST:
        yield ["dataset", "test set", f"{tested} frames only: errors measured on so few say little"]


def of_labels(t: Tables) -> Iterator[Failure]:
    """Give the labels that failed, and those that no dataset took."""
    bad = t["labels"].filter(~pl.col("converged").fill_null(False) | pl.col("reason").is_not_null())
    for r in bad.to_dicts():
        why = f"{r['reason'] or 'not converged'} ({r.get('detail') or r['liquid']}, {r['recipe']})"
        yield ["label", r["frame_id"], why]
    used = t["dataset"]["frame_id"].unique().to_list()
    if not used:
        return
    good = t["labels"].join(bad.select("frame_id"), on="frame_id", how="anti")
    unused = good.filter(~pl.col("frame_id").is_in(used)).sort("liquid", "recipe")
    for (liquid, recipe), frames in unused.group_by(["liquid", "recipe"], maintain_order=True):
        yield ["dataset", f"{frames.height} frames of {liquid}, {recipe}", "labelled, but in no dataset"]


def of_sampling(t: Tables) -> Iterator[Failure]:
    """Give frames that were refused, that resemble each other, or that are fewer than were asked for."""
    for r in t["sampling"].to_dicts():
        recipe = f"{r['liquid']}, {r['recipe']}"
        for column, why in REFUSALS.items():
            if r.get(column):
                yield ["sampling", recipe, f"{r[column]} frames refused: {why}"]
        if None not in (apart := r["spacing_frames"], least := r["inefficiency_frames"]) and apart < least:
            text = f"frames are {number(apart)} saved frames apart, and one in {number(least)} is independent: they resemble each other"
            yield ["sampling", recipe, text]
        if r["kept"] is not None and r["requested"] is not None and r["kept"] < r["requested"]:
            yield ["sampling", recipe, f"{r['kept']} frames kept of {r['requested']} asked for"]


def of_planned_models(results: Results) -> Iterator[Failure]:
    """Give trained models that were planned and are not there, or have no errors."""
    t = results.tables
    failed = {r["model_key"] for r in t["failures"].to_dicts()}
    evaluated = set(t["errors"]["model_key"]) | failed
    for model in results.models.to_dicts():
        if model["dataset"] and model["key"] not in results.delivered | failed:
            yield ["model", model["key"], "planned, but not delivered"]
        elif model["dataset"] and model["key"] not in evaluated:
            yield ["evaluation", model["key"], "the model is there, its errors are not"]


def of_evaluation(t: Tables) -> Iterator[Failure]:
    """Give the frames on which a model gave no answer."""
    if "reason" in t["errors"].columns:
        for r in t["errors"].filter(pl.col("quantity") == "failed").to_dicts():
            what = f"{r['model_key']}, {r['split']}, {r['name']}"
            yield ["evaluation", what, f"{r['n']} frames not evaluated: {r['reason']}"]


def of_card(card: Card, theories: set[str]) -> Iterator[Failure]:
    """Give what the card of a model says against it; ``theories``: those of the labels."""
    trial = card.trial
    if trial and not trial.conservative:
        text = (
            f"its forces are {trial.force_off:.0%} and its stress {trial.stress_off:.0%} off the derivative of its energy "
            "on a small box: energy is not conserved, and densities need not be those of the energy"
        )
        yield ["model", card.model, text]
    if not card.dataset:
        return
    if card.settings.leaves_stress_out:
        yield [
            "model",
            card.model,
            "trained without stress, on energies and forces alone: its density is not trained",
        ]
    if theories and card.theory_id not in theories:
        text = f"trained on theory {card.theory_id}, which is not that of the labels"
        yield ["model", card.model, text]


def of_runs(t: Tables) -> Iterator[Failure]:
    """Give runs that kept fewer frames than asked for, and those that did not reach their end."""
    spacing = ("save_every_fs", "save_every_asked_fs")
    seldom = t["survival"].filter(pl.col("save_every_fs") > pl.col("save_every_asked_fs"))
    for r in seldom.group_by(spacing).len("runs").sort(spacing).to_dicts():
        text = f"frames were kept every {r['save_every_fs']:g} fs, not {r['save_every_asked_fs']:g} as asked: max_trajectory_mb"
        yield ["run", f"{r['runs']} runs", text]
    for r in t["survival"].filter(pl.col("end") != "completed").to_dicts():
        yield ["run", r["run_id"], f"{r['end']}{at_time(r)}: {r['detail'] or 'no detail'}"]


def of_measurements(t: Tables) -> Iterator[Failure]:
    """Give the properties of a run that are not converged."""
    for name in NAMED:
        for r in t[name].filter(~pl.col("converged").fill_null(False)).to_dicts():
            species = f", {r['species']}" if r.get("species") else ""
            yield [name, r["run_id"] + species, r["reason"] or "not converged, no reason given"]


def blocks(results: Results) -> list[Block]:
    """Return everything that failed."""
    table = table_failures(results)
    words = (
        "Every failed label, refused frame, model that could not be used, broken or missing run and every measurement that is not "
        f"converged. {len(table.rows)} in all."
    )
    return [Note(words), table]


SECTION = Section("failures", "Failures", "What failed, and why", blocks)
