"""Numbers, units and names as the report writes them."""

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from ionmelt.compare.groups import label, shift_of
from ionmelt.compare.scope import BOX, WEIGHTS
from ionmelt.compare.statistics import LEVEL
from ionmelt.compare.survival import COMPLETED, MISSING, at_time
from ionmelt.measure.observables import OBSERVABLES

Tables = dict[str, pl.DataFrame]
Row = dict[str, Any]  # of a table, by column

# factor and unit in which a quantity is shown
UNITS = {observable.unit: observable.shown for observable in OBSERVABLES} | {
    "eV/A": (1e3, "meV/Å"), "eV/atom": (1e3, "meV/atom"), "eV": (1e3, "meV"), "eV/A^3": (1e3, "meV/Å³"), "eV/A3": (1e3, "meV/Å³"),
    "planned time": (100.0, "%"),
}  # fmt: skip
NAMES = {observable.name: observable.title for observable in OBSERVABLES} | {
    "force_rmse": "Force error",
    "scan_energy_rmse": "Volume-scan energy error",
    "density_error": "Density error",
    "diffusion_error": "Diffusion error",
    "survival": "Planned time lost by breaking",
    "energy_per_atom": "energy per atom",
    "force": "force",
    "force_translation": "force, translation of whole ions (inter)",
    "force_rotation": "force, rotation of whole ions (inter)",
    "force_vibration": "force, vibration (intra)",
    "molecular_pressure": "molecular pressure (inter)",
    "stress": "stress",
}


NOTHING = 0.001  # below it a number in the unit shown is written as less than it: the error of the method of the labels on its own labels
WITHOUT_MEANING = "an interval without meaning"
# In the unit shown; an interval that reaches beyond says nothing. No atom of a liquid is off by 10 eV, or by 10 eV/Å.
MOST = 1e6
MOST_OF = {"meV/atom": 1e4, "meV/Å": 1e4}
NEAR = 1e-6  # relative; what is narrower has no width
UNBROKEN = (MISSING, COMPLETED)  # how a run may end without having broken
# How a run broke, in a sentence; by its code in the table `survival`.
ENDS = {
    "bond_broken": "a bond broke",
    "bond_made": "two ions or molecules made a bond",
    "error": "the model failed",
    "min_distance": "two atoms came too close",
    "nan": "positions were no numbers",
    "temperature": "its temperature ran away",
    "volume": "its volume ran away",
}
CORRECTED = "after the correction for many tests"  # of a difference that is seen before it alone
# What a verdict without a winner says of a model and the reference, and of two models.
SAID = {
    "differs": ("is off the reference", " differ; neither wins"),
    "equivalent": ("is the reference's equal within the margins", " are equal within the margins"),
    "not distinguishable": ("is not told from the reference", ": no difference seen"),
}


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with so many significant digits, a true minus sign, and a dash for nothing."""
    if value is None or not math.isfinite(value):
        return "–"
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    groups = "," if abs(value) >= 1e4 else ""
    return f"{value:{groups}.{min(decimals, 6)}f}".replace("-", "−").replace(",", "\u202f")


def rounded(values: Sequence[float | None], scale: float) -> list[str]:
    """Write numbers with the decimals that suit an uncertainty of ``scale`` (two significant digits); one of nothing has none of its own."""
    if scale <= NEAR * max((abs(v) for v in values if v is not None), default=0.0):
        return ["–" if v is None else f"{v:.6g}".replace("-", "−") for v in values]
    decimals = min(8, max(0, 1 - math.floor(math.log10(scale)))) if 0 < scale < math.inf else 3
    return ["–" if v is None else unsigned_zero(f"{v:.{decimals}f}").replace("-", "−") for v in values]


def percent(share: float) -> str:
    """Write a share in percent."""
    return f"{100 * share:.0f} %"


def unsigned_zero(text: str) -> str:
    """Return a number as it is written, without the sign of one that is rounded to 0."""
    return text.lstrip("-+") if not text.strip("-+0.") else text


def has_interval(row: Row, low: str = "ci95_low", high: str = "ci95_high") -> bool:
    """Tell whether there is an interval, and one that says anything."""
    factor, unit = UNITS.get(row["unit"], (1.0, row["unit"]))
    return row[low] is not None and max(abs(row[low]), abs(row[high])) * factor <= MOST_OF.get(unit, MOST)


def plus_minus(row: Row) -> tuple[str, str]:
    """Return value ± half of the 95 % interval, alone where there is none that says anything, and the unit that it is in.

    Of an interval that is not even, as of an error that is cut at 0, half is the longer side.
    """
    factor, unit = UNITS.get(row["unit"], (1.0, row["unit"]))
    if row["value"] is None:
        return "no value", ""
    if not has_interval(row):
        return number(row["value"] * factor), unit
    half = factor * max(row["ci95_high"] - row["value"], row["value"] - row["ci95_low"])
    if abs(row["value"]) * factor + half < NOTHING:
        return f"< {NOTHING}", unit
    return " ± ".join(rounded([row["value"] * factor, half], half)), unit


def in_unit(text: str, unit: str) -> str:
    """Write a number, or one with its interval, in a unit; a power of ten is multiplied by."""
    return f"{text} {'× ' if unit.startswith('10') else ''}{unit}"


def measured(row: Row) -> str:
    """Write value ± half of the 95 % interval with its unit, or why there is none."""
    text, unit = plus_minus(row)
    if row["value"] is None:
        return text
    if not has_interval(row):
        return f"{in_unit(text, unit)} ({'no error bar' if row['ci95_low'] is None else WITHOUT_MEANING})"
    return in_unit(f"({text})" if unit.startswith("10") else text, unit)


def reference_words(row: Row) -> str:
    """Write the reference of a row of the table `summary` as a value with half of its 95 % interval, alone where that is not known."""
    ends = {"value": row["reference"], "ci95_low": row["reference_low"], "ci95_high": row["reference_high"]}
    if row["reference_low"] is not None:
        return measured(row | ends)
    factor, unit = UNITS.get(row["unit"], (1.0, row["unit"]))
    return in_unit(number(row["reference"] * factor, 4), unit)


def how_it_ended(run: Row) -> str:
    """Say how a run ended, and when."""
    return ENDS.get(run["end"], str(run["end"])) + at_time(run)


def is_the_truth(row: Row, others: Sequence[Row]) -> bool:
    """Tell whether a row of the table `summary` is of the model that the others of its state are held against, and it against nothing."""
    truths = {str(other["reference_source"]).partition(",")[0] for other in others if other["reference_is_truth"]}
    return row["reference"] is None and label(row["model"], row["dataset"]) in truths


def interval(row: Row, value: str, low: str, high: str, level: str = "") -> str:
    """Write value [low, high] in the unit shown to the reader; ``level``: of the interval, where it is not what a heading says."""
    factor, unit = UNITS.get(row["unit"], (1.0, row["unit"] or ""))
    if row[value] is None:
        return "–"
    if row[low] is None:
        return f"{in_unit(number(row[value] * factor), unit)} (no interval)"
    if not has_interval(row, low, high):
        return f"{in_unit(number(row[value] * factor), unit)} ({WITHOUT_MEANING})"
    v, a, b = (row[c] * factor for c in (value, low, high))
    words = rounded([v, a, b], max((b - a) / 2, 1e-12))
    return in_unit(f"{words[0]} [{words[1]}, {words[2]}{level and f'; {level}'}]", unit)


def seen_ends(v: Row) -> tuple[str, str]:
    """Return the columns of the interval that a verdict rests on: that of two one-sided tests, else the corrected one, where there was a test."""
    if v["verdict"] == "equivalent":
        return "ci90_low", "ci90_high"
    return ("ci95_low", "ci95_high") if v["holm_low"] is None else ("holm_low", "holm_high")


def difference(v: Row) -> str:
    """Write the difference of a verdict with the interval that the verdict rests on."""
    return interval(v, "difference", *seen_ends(v), "90 %" if v["verdict"] == "equivalent" else "")


def off_by(v: Row, r: Row) -> str:
    """Write how far a summary row is off its reference, as the verdict on the two has it."""
    return f"off by {difference(v)}" + (" once corrected for the size of the box" if shift_of(r) else "")


def narrowed(v: Row) -> str:
    """Name the weights and the box that a verdict alone is about, nothing where it is about more of both."""
    is_trained = any(v[column] is not None for column in ("dataset_a", "dataset_b"))
    words = ["these weights"] * (is_trained and v["about"] in (WEIGHTS, BOX)) + ["in this box"] * (v["about"] == BOX)
    return ", ".join(words)


def alone(v: Row) -> str:
    """Return in brackets what a verdict alone is about, where that is less than it could be."""
    return f" ({words})" if (words := narrowed(v)) else ""


def is_lost_to_correction(v: Row) -> bool:
    """Tell whether a verdict sees no difference only because it was corrected for the number of tests."""
    return v["verdict"] == "not distinguishable" and v["p_value"] is not None and v["p_value"] < LEVEL


def verdict_words(v: Row) -> str:
    """Say one verdict in plain words."""
    a, b, verdict = v["model_a"], v["model_b"], v["verdict"]
    if verdict in ("a", "b"):
        winner, loser = (a, b) if verdict == "a" else (b, a)
        better = "has the lower error than" if v["property"].endswith("rmse") else "is closer to the reference than"
        return f"{winner} {'lasts longer than' if v['property'] == 'survival' else better} {loser}{alone(v)}"
    single, pair = SAID.get(verdict, ("", ""))
    if not pair:
        return f"{a} against {b}: no verdict ({verdict})"
    said = f"{a} {single}" if b == "reference" else f"{a} and {b}{pair}"
    if verdict == "not distinguishable":
        return f"{said} {CORRECTED}" if is_lost_to_correction(v) else said
    return said + alone(v)


# How a sentence counts verdicts: its words, and the verdicts that they stand for.
COUNTED = (
    ("with a winner", ("a", "b")),
    ("equivalent within the margins", ("equivalent",)),
    ("different, without a winner", ("differs",)),
    ("not distinguishable", ("not distinguishable",)),
    ("that the design cannot decide", ("design cannot decide",)),
)


def counted_verdicts(verdicts: pl.DataFrame) -> str:
    """Count verdicts by what they say; those that are none by their own words."""
    counts = dict(verdicts.group_by("verdict").len().sort("verdict").iter_rows())
    told = [(sum(counts.pop(verdict, 0) for verdict in of), words) for words, of in COUNTED]
    return ", ".join(f"{n} {words}" for n, words in [*told, *((n, verdict) for verdict, n in counts.items())] if n)


def p_value(p: float | None) -> str:
    """Write a p-value, a dash for none."""
    return "–" if p is None else "< 0.001" if p < 0.001 else number(p, 2)


def state_name(row: Row) -> str:
    """Name liquid, temperature and species of a row; what is of all liquids is called so."""
    words = ["all liquids" if row["liquid"] == "all" else row["liquid"] or ""]
    if row["temperature_K"] is not None:
        words.append(f"{row['temperature_K']:g}\u00a0K")
    if row.get("species"):
        words.append(row["species"])
    return ", ".join(words)


def sentence(text: str) -> str:
    """Return the text as a sentence."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def ended(text: str) -> str:
    """Return a sentence that begins with a name, as that is written."""
    return text.removesuffix(".") + "."


def first_few(reasons: list[str]) -> list[str]:
    """Return the first few of many reasons, and how many there are more."""
    return reasons if len(reasons) <= 3 else [*reasons[:3], f"and {len(reasons) - 3} more"]


def missing_words(rows: pl.DataFrame) -> str:
    """Say of errors on how many frames there was no answer, where there are such."""
    if "frames_missing" not in rows.columns:
        return ""
    frames, missing = max(rows.select("frames", "frames_missing").fill_null(0).iter_rows(), key=lambda r: r[1])
    return f" (no answer on {missing} of {missing + frames} frames)" if missing else ""
