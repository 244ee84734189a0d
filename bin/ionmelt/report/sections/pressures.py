"""The pressure of the labels and of models on equilibrium frames: whose equilibrium they are, and why a density is off."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import polars as pl

from ionmelt.compare.equilibrium import mean_pressures
from ionmelt.compare.groups import label
from ionmelt.measure.series import student
from ionmelt.models.pressures import PRESSURE_BAR, is_off
from ionmelt.report.blocks import Block, Folded, Heading, Note, Table
from ionmelt.report.results import Results
from ionmelt.report.words import number, rounded, state_name

FORCE_FIELD = "the force field that they were sampled with"


def not_of_the_labels(
    dataset: pl.DataFrame,
    pressure_bar: Mapping[str, float],
    name: Callable[[str], str],
    sampled_with: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Say of which liquids the equilibrium frames are no equilibrium of the labels, from the labels' pressure on all of them.

    ``sampled_with``: what they are an equilibrium of, where it is not the force field of the liquid.
    """
    said = []
    for state in mean_pressures(dataset):
        mean, error = state.mean_bar, state.standard_error_bar
        if is_off(mean, error, pressure_bar.get(state.liquid, PRESSURE_BAR)):
            denser = mean < pressure_bar.get(state.liquid, PRESSURE_BAR)
            liquid, box = ("denser", "shrink") if denser else ("less dense", "expand")
            said.append(
                f"The equilibrium frames of {name(state.liquid)} at {state.temperature_K:g} K stand at {' ± '.join(rounded([mean, 2 * error], 2 * error))} bar of the labels: they are "
                f"an equilibrium of {sampled_with.get(state.liquid, FORCE_FIELD)}, and none of the labels. By the labels the liquid would be {liquid}, so models "
                f"that learn them may {box} the box, and what EQ frames are worth beside others is not what it is of frames at an equilibrium of the labels. "
                "sampling.eq.refine and a further round (--previous) come closer."
            )
    return said


def with_interval(mean: float | None, error: float | None, frames: int) -> str:
    """Write a number from so many frames with half of its 95 % interval, a dash for none."""
    if mean is None or error is None:
        return "–"
    half = student(frames - 1) * error
    return " ± ".join(rounded([mean, half], half))


def blocks(results: Results) -> list[Block]:
    """Return what models and labels say of the pressure of the same equilibrium frames."""
    pressures = results.tables["pressures"]
    if not pressures.height:
        return []
    body = []
    for row in pressures.to_dicts():
        pairs = (
            ("pressure_difference_bar", "standard_error_difference_bar"),
            ("density_shift_percent", "standard_error_shift_percent"),
        )
        cells = [with_interval(row[mean], row[error], row["frames"]) for mean, error in pairs]
        body.append([
            state_name(row), f"{label(row['model'], row['dataset'])}, seed {row['seed']}" if row["seed"] is not None
            else label(row["model"], row["dataset"]), str(row["frames"]), cells[0],
            "–" if row["wasserstein_bar"] is None else number(row["wasserstein_bar"]), cells[1], row["reason"] or "",
        ])  # fmt: skip
    head = [
        "state", "model", "frames", "pressure, model − labels (bar, 95 %)", "Wasserstein distance (bar)",
        "density to first order (%, 95 %)", "why not",
    ]  # fmt: skip
    words = (
        "Pressure between molecules on the equilibrium frames of the test set. To first order a model's density differs from that of the labels by the "
        "covariance of volume and energy difference over kT, where the frames are an equilibrium of the labels and the energies differ by less than kT."
    )
    return [
        Heading("Pressure on the same frames"),
        Note(words),
        Folded(f"Every model ({len(body)})", [Table(head, body, "pressures")]),
    ]


def lines(results: Results) -> list[str]:
    """Say whose equilibrium the frames are."""
    pressure_bar = {
        liquid["id"]: liquid.get("pressure_bar", PRESSURE_BAR) for liquid in results.study.get("liquids", [])
    }
    refined = results.tables["sampling"].drop_nulls("equilibrium_of").select("liquid", "equilibrium_of").iter_rows()
    sampled_with = {liquid: f"{model} of the round before, whose dynamics they are from" for liquid, model in refined}
    return not_of_the_labels(results.tables["dataset"], pressure_bar, results.names.liquid, sampled_with)


def beside_worth(results: Results) -> list[str]:
    """Say beside what kinds of frames are worth that those of equilibrium are none of the labels, which `lines` says in full."""
    off = len(lines(results))
    liquids = "one liquid" if off == 1 else f"{off} liquids"
    return (
        [f"The eq frames of {liquids} are no equilibrium of the labels: see Read with care, at the top."] if off else []
    )
