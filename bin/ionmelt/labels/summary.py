"""What is said of an import: what was counted, and what stops it."""

import polars as pl
from ase.units import GPa, bar

RECIPE = "imported"
BLOCKS = 10  # that the frames of a file are cut into where they name no group
SHOWN = 10  # unusable frames that are named on the screen; the table has all
MAX_PRESSURE_EV_A3 = 20 * GPa


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
