"""Which model to use for one property of a liquid, and why.

A model is named for a property of a liquid only where its value is converged (every planned run survived and was
measured), there is a reference, it is equivalent to that within the margins of the study or the 95 % interval of the
difference holds 0 (uncorrected: the correction for many tests makes agreement easier; what holds 0 only with it is said to be
undecided), no other model that is held against the same is closer beyond the error where it is not equivalent, none of its runs broke in another
liquid, and its trainings were long enough (`curves`).
The interval that is written is the one that the verdict rests on. Of those that remain the cheapest is named, the others are said to be
as good.
"""

from dataclasses import dataclass

import polars as pl

from ionmelt.compare.groups import label, shift_of
from ionmelt.mistakes import listed
from ionmelt.report.words import Row, Tables, measured, number, off_by, reference_words

State = tuple[str, float | None, str, str | None]  # liquid, temperature, property, species
Verdicts = dict[frozenset[str], Row]  # of one state, by the names of the two

STATE = ("liquid", "temperature_K", "property", "species")
LOSER = {"a": "model_b", "b": "model_a"}  # the column of the other one, by the verdict


def name(row: Row) -> str:
    """Return the model's name with its dataset."""
    return label(row["model"], row["dataset"])


def verdicts_of(t: Tables, state: State) -> Verdicts:
    """Return the verdicts of one state by the two that they are about."""
    rows = [v for v in t["verdicts"].to_dicts() if tuple(v[c] for c in STATE) == state]
    return {frozenset((v["model_a"], v["model_b"])): v for v in rows}


@dataclass(frozen=True)
class Choice:
    """The models that are converged in one state, with what a choice between them rests on."""

    good: list[Row]
    verdicts: Verdicts
    pareto: pl.DataFrame
    broken: dict[str, tuple[str, str]]
    undertrained: frozenset[str] = frozenset()

    def verdict(self, row: Row) -> Row | None:
        """Return the verdict on a model and the reference."""
        return self.verdicts.get(frozenset((name(row), "reference")))

    @property
    def agree(self) -> list[Row]:
        """The models that agree with the reference: the interval holds 0, or lies within the margins of the study."""
        return [r for r in self.good if holds_zero(self.verdict(r)) or self.is_equivalent(r)]

    def is_equivalent(self, row: Row) -> bool:
        """Tell whether a model is within the margins of the reference, so that who is closer still does not matter."""
        v = self.verdict(row)
        return v is not None and v["verdict"] == "equivalent"

    @property
    def fits(self) -> list[Row]:
        """Of these the ones than which none is closer, or which are equivalent, of which no run broke and no training was too short."""
        alike = {name(r) for r in self.good}  # of one from elsewhere, beside a truth, a verdict is about experiment
        losers = {
            v[LOSER[v["verdict"]]] for pair, v in self.verdicts.items() if v["verdict"] in LOSER and pair <= alike
        }
        sound = [r for r in self.agree if name(r) not in self.broken and name(r) not in self.undertrained]
        return [r for r in sound if name(r) not in losers or self.is_equivalent(r)]

    @property
    def chosen(self) -> Row | None:
        """The cheapest of those that fit, GPU-hours before core-hours, the first where no price is known; None where none fits."""
        prices = {name(r): price(self.pareto, r) for r in self.fits}
        priced = [r for r in self.fits if prices[name(r)] is not None]
        return min(priced, key=lambda r: prices[name(r)] or (0.0, 0.0)) if priced else next(iter(self.fits), None)

    @property
    def kind(self) -> str:
        """What the reference is."""
        return "truth" if self.good[0]["reference_is_truth"] else "reference"

    @property
    def reference(self) -> str:
        """The reference in words."""
        kind = (
            "second-hand"
            if self.good[0]["reference_second_hand"]
            else "the truth"
            if self.good[0]["reference_is_truth"]
            else ""
        )
        return reference_words(self.good[0]) + (kind and f", {kind}")


def grounds(of: Choice) -> str:
    """Say how close the cheapest of the models that fit comes and which are as good, or why none fits."""
    chosen = of.chosen
    if chosen is None:
        return why_none(of)
    words = f"{name(chosen)}: {measured(chosen)} against {of.reference}"
    if v := of.verdict(chosen):
        words += f" ({off_by(v, chosen)})"
    if level := [name(r) for r in of.fits if r is not chosen]:
        apart, alike = "cannot be told apart", "not told apart from"
        if any(map(of.is_equivalent, of.fits)):
            apart, alike = "is within the margins of the reference", "as is"
        cheapest = all(costs_no_more(price(of.pareto, chosen), price(of.pareto, r)) for r in of.fits)
        words += (f", the cheapest of what {apart}, with " if cheapest else f", {alike} ") + listed(level)
    if short := [name(r) for r in of.agree if name(r) in of.undertrained]:
        words += f"; not counting {listed(short)}, undertrained"
    return words


def why_none(of: Choice) -> str:
    """Say why no model can be named."""
    if of.agree:
        return f"no model can be named ({listed([why_not(of, name(r)) for r in of.agree])})"
    nearest = min(of.good, key=lambda r: abs(r["value"] + shift_of(r) - r["reference"]))
    v = of.verdict(nearest)
    off = f", {off_by(v, nearest)}" if v else ""
    if any(holds_zero(of.verdict(r), "holm") for r in of.good):
        many = "which the correction for many tests leaves undecided"
        return f"no model can be named (the nearest to {of.reference} is {name(nearest)}{off}, {many})"
    return f"no model agrees with the reference ({of.reference}); the nearest is {name(nearest)}{off}"


def why_not(of: Choice, model: str) -> str:
    """Say why a model that agrees with the reference is not named."""
    if model in of.broken:
        return f"{model} broke elsewhere"
    return f"{model} is undertrained" if model in of.undertrained else f"another is closer than {model}"


def holds_zero(v: Row | None, which: str = "ci95") -> bool:
    """Tell whether the interval of a difference, as it is or corrected (``holm``), is known and holds 0."""
    return v is not None and v[f"{which}_low"] is not None and v[f"{which}_low"] <= 0 <= v[f"{which}_high"]


def price(pareto: pl.DataFrame, row: Row) -> tuple[float, float] | None:
    """Return (GPU-hours, core-hours) of a model in one state, None where they are not known."""
    rows = pareto.filter(pl.col(c).eq_missing(pl.lit(row[c], pareto.schema[c])) for c in (*STATE, "model", "dataset"))
    hours = rows.select("total_gpu_h", "total_core_h").row(0) if rows.height else (None, None)
    return None if None in hours else hours


def costs_no_more(hours: tuple[float, float] | None, others: tuple[float, float] | None) -> bool:
    """Tell whether of two prices the first is no larger, of GPU-hours and of core-hours: which of the two kinds is dearer is not known here."""
    return hours is not None and others is not None and all(a <= b for a, b in zip(hours, others, strict=True))


def spoken(hours: tuple[float, float]) -> str:
    """Write GPU-hours and core-hours."""
    gpu, core = hours
    clauses = [f"{number(gpu, 2)} GPU-hours"] if gpu else []
    return listed([*clauses, f"{number(core, 2)} core-hours"] if core or not clauses else clauses)
