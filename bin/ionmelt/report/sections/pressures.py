"""The pressure of the labels and of models on equilibrium frames: whose equilibrium they are, and why a density is off."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import polars as pl

from ionmelt.compare.groups import label
from ionmelt.report.blocks import Block, Folded, Heading, Note, Table
from ionmelt.report.results import Results
from ionmelt.report.words import number, state_name

FORCE_FIELD = "the force field that they were sampled with"
OFF_ERRORS = 3.0  # standard errors by which a pressure is off


def not_of_the_labels(
    pressures: pl.DataFrame,
    pressure_bar: Mapping[str, float],
    name: Callable[[str], str],
    sampled_with: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Say of which liquids the equilibrium frames are no equilibrium of the labels, from the labels' pressure on them.

    ``sampled_with``: what they are an equilibrium of, where it is not the force field of the liquid.
    """
    said = []
    for row in pressures.unique(["liquid", "temperature_K"], keep="first", maintain_order=True).to_dicts():
        mean, error = row["pressure_ref_bar"], row["standard_error_ref_bar"]
        if mean is not None and abs(mean - pressure_bar.get(row["liquid"], 1.0)) > OFF_ERRORS * error:
            said.append(
                f"The equilibrium frames of {name(row['liquid'])} at {row['temperature_K']:g} K stand at {mean:.0f} ± {2 * error:.0f} bar of the labels: they are "
                f"an equilibrium of {sampled_with.get(row['liquid'], FORCE_FIELD)}, and none of the labels. What EQ frames are worth beside others is "
                "then another question than that of frames which are; sampling.eq.refine and a further round (--previous) come closer."
            )
    return said


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
        cells = [
            "–" if row[mean] is None else f"{number(row[mean])} ± {number(2 * row[error])}" for mean, error in pairs
        ]
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
    pressure_bar = {liquid["id"]: liquid.get("pressure_bar", 1.0) for liquid in results.study.get("liquids", [])}
    refined = results.tables["sampling"].drop_nulls("equilibrium_of").select("liquid", "equilibrium_of").iter_rows()
    sampled_with = {liquid: f"{model} of the round before, whose dynamics they are from" for liquid, model in refined}
    return not_of_the_labels(results.tables["pressures"], pressure_bar, results.names.liquid, sampled_with)
