"""What is said of an import: what was counted, and what stops it."""

import numpy as np
import polars as pl
from ase.units import GPa, bar

from ionmelt.labels.checks import Checks
from ionmelt.labels.settings import ImportSettings
from ionmelt.labels.work import WorkCheck

RECIPE = "imported"
BLOCKS = 10  # that the frames of a file are cut into where they name no group
SHOWN = 10  # unusable frames that are named on the screen; the table has all
MAX_PRESSURE_EV_A3 = 20 * GPa
MIN_FORCE_EV_A = 0.05  # heavy salts have four times that, molecules twenty times
# Of some hundred atoms the pressure swings by some hundred bar, and the part of the forces in it alone is some thousand
MIN_PRESSURE_BAR, PRESSURES_LEAST = 50.0, 5


def counted(table: pl.DataFrame) -> list[str]:
    """Say how many frames of what were imported, in which groups, and which were not."""
    good = table.filter(pl.col("converged"))
    lines = []
    for (liquid, kind), frames in good.sort("liquid", "kind").group_by(["liquid", "kind"], maintain_order=True):
        groups = frames["group"].n_unique()
        lines.append(f"liquid {liquid}, kind {kind}: {frames.height} frames in {groups} groups")
    if bare := good.filter(~pl.col("has_stress")).height:
        lines.append(
            f"{bare} of {good.height} frames have no stress (stress_key or virial_key names one): no model learns the density "
            "from them"
        )
    if good["group"].str.starts_with(f"{RECIPE}-file").any():
        lines.append(
            f"groups: frames without one are in up to {BLOCKS} blocks of neighbours a file; frames at the cuts still "
            "resemble each other: give group_key where trajectories are known"
        )
    bad = table.filter(~pl.col("converged"))
    lines += [f"not used: {row['source']}: {row['reason']}: {row['detail']}" for row in bad.head(SHOWN).to_dicts()]
    if bad.height > SHOWN:
        lines.append(f"not used: {bad.height - SHOWN} more; tables/labels has all")
    return lines


def check_pressure(table: pl.DataFrame) -> list[str]:
    """Return a line where the pressures are those of no liquid: the stress is in another unit."""
    pressures = table["pressure_bar"].drop_nulls().abs()
    middle = pressures.median()
    if not isinstance(middle, float) or middle * bar < MAX_PRESSURE_EV_A3:
        return []
    return [
        f"labels.stress_unit: the median pressure is {middle * bar / GPa:.3g} GPa, which no liquid has: "
        "give the unit that the stress is in"
    ]


def check_small(checks: Checks, table: pl.DataFrame, settings: ImportSettings, work: WorkCheck) -> list[str]:
    """Return a line for forces, and one for pressures, that are smaller than those of any liquid: in atomic units they are.

    They are taken where the work between neighbours tells that they are right, or the study gives their unit.
    """
    lines = []
    force = np.median([likeness.force_ev_a for likeness in checks.likenesses] or [np.inf])
    if force < MIN_FORCE_EV_A and settings.forces_unit is None and not work.told:
        lines.append(
            f"labels.forces_unit: the forces are {force:.2g} eV/A (root mean square), less than those of any liquid: give the unit "
            "that they are in, eV/A where that is right"
        )
    pressures = table["pressure_bar"].drop_nulls().abs()
    middle = pressures.median()
    if (
        len(pressures) >= PRESSURES_LEAST and isinstance(middle, float) and middle < MIN_PRESSURE_BAR
        and settings.stress_unit is None and not work.told_stress
    ):  # fmt: skip
        lines.append(
            f"labels.stress_unit: the median pressure is {middle:.2g} bar, less than it swings by in any box that can be labelled: give the "
            "unit that the stress is in, eV/A^3 where that is right; a virial is stress times volume"
        )
    return lines


def counted_reasons(failed: pl.DataFrame) -> str:
    """List the reasons of labels that failed with how often each is given, the most frequent first."""
    reasons = failed.group_by(pl.col("reason").fill_null("not converged")).len()
    ordered = reasons.sort("len", "reason", descending=[True, False])
    return ", ".join(f"{reason} {count}" for reason, count in ordered.iter_rows())


def check_failed(table: pl.DataFrame, limit: float) -> list[str]:
    """Return the lines that stop the run where more frames than allowed cannot be used."""
    bad = table.filter(~pl.col("converged"))
    if not table.height:
        return ["labels.frames: no frame in these files"]
    if bad.height <= limit * table.height and bad.height < table.height:
        return []
    lines = [
        f"labels.max_failed_fraction: {bad.height} of {table.height} frames cannot be used ({counted_reasons(bad)}), more than "
        f"{limit:.1%}: mend the files or raise the limit"
    ]
    firsts = bad.unique("reason", keep="first", maintain_order=True)
    return lines + [f"labels.frames: {row['source']}: {row['reason']}: {row['detail']}" for row in firsts.to_dicts()]
