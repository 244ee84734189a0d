#!/usr/bin/env python3
"""From the gathered tables to one number per model (`summary`) and to the verdicts between them.

The rules, which report.html repeats in words:

- A *group* is one liquid, model, dataset and temperature. Its runs (replicas, model seeds) are combined by
  `il_verdicts.combine`. A group is converged when every planned run of it has a converged measurement; a run
  that broke, failed or never ran makes the group not converged (the survivors alone would be a biased
  sample), yet the mean of what was measured is still shown.
- Pairs differ in one thing: the model, or the dataset, or one side is an untrained model. Each model is also
  set against the reference. For the reference, the given range is read as a 95 % interval.
- ``difference`` is model_a minus model_b with its 95 % interval. Two models that ran from the same boxes
  (``pairs`` of them, at least two) are compared box by box (`il_verdicts.paired`), else as independent.
- ``ci95_*`` are the ends of one 95 % interval. p-values are corrected by Holm over all verdicts of one property,
  since a reader looks for the best model of a property; ``holm_low`` and ``holm_high`` are the ends of the interval at
  the level of that test (`il_verdicts.holm_levels`): words, colours and bars come from it. ``not distinguishable``:
  it holds 0, which is no proof of agreement. ``not converged``: either side is not converged; the difference is for
  orientation only, and there is no test.
- ``a`` or ``b``: that model is closer to the reference (of a property of the liquid: the models differ, and the
  reference lies on that side of their midpoint, both beyond the error), or has the lower error (force_rmse,
  scan_energy_rmse).
- ``differs``: the two differ, but without a usable reference larger is not better, so neither wins. Against
  the reference itself it means: the model is off by more than the error.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

import il_verdicts as iv

Row = dict[str, Any]

SUMMARY = {
    "liquid": pl.String, "temperature_K": pl.Float64, "property": pl.String, "species": pl.String,
    "model": pl.String, "dataset": pl.String, "framework": pl.String, "value": pl.Float64,
    "standard_error": pl.Float64, "ci95_low": pl.Float64, "ci95_high": pl.Float64, "unit": pl.String,
    "runs": pl.Int64, "planned_runs": pl.Int64, "converged": pl.Boolean, "reason": pl.String,
    "reference": pl.Float64, "reference_low": pl.Float64, "reference_high": pl.Float64,
    "reference_source": pl.String, "reference_second_hand": pl.Boolean,
    "finite_size_correction": pl.Float64, "needed_ps": pl.Float64,
}  # fmt: skip
VERDICTS = {
    "liquid": pl.String, "temperature_K": pl.Float64, "property": pl.String, "species": pl.String,
    "model_a": pl.String, "model_b": pl.String, "difference": pl.Float64, "ci95_low": pl.Float64,
    "ci95_high": pl.Float64, "unit": pl.String, "verdict": pl.String, "reason": pl.String,
    "p_value": pl.Float64, "p_holm": pl.Float64, "holm_low": pl.Float64, "holm_high": pl.Float64, "pairs": pl.Int64,
}  # fmt: skip


# properties of the liquid that have verdicts, with the unit of their tables
LIQUID_UNITS = {"density": "kg/m3", "diffusion": "m2/s", "conductivity": "S/m", "viscosity": "Pa.s"}


def label(model: str, dataset: str | None) -> str:
    """Name a model with the dataset it was trained on, as the verdicts and the report call it."""
    return f"{model}-{dataset}" if dataset else model


def finite(value: float | None) -> float | None:
    """Return the number, or None for what is missing or not a number."""
    return None if value is None or not math.isfinite(value) else float(value)


def reference_at(
    references: pl.DataFrame, liquid: str, quantity: str, species: str | None, temperature_K: float
) -> Row | None:
    """Return the reference of a quantity at a temperature (within half a kelvin), or None.

    The plan has interpolated what could be; a reference without a temperature is no reference for a state.
    First-hand numbers go before second-hand ones, and a measured temperature before an interpolated one.
    """
    rows = references.filter(
        (pl.col("liquid") == liquid)
        & (pl.col("property") == quantity)
        & pl.col("species").eq_missing(pl.lit(species, pl.String))
        & ((pl.col("temperature_K") - temperature_K).abs() <= 0.5)
    ).sort("second_hand", pl.col("source").str.contains("interpolated"), "source", "temperature_K")
    if not rows.height:
        return None
    best = rows.row(0, named=True)
    return {
        "reference": best["value"],
        "reference_low": best["low"],
        "reference_high": best["high"],
        "reference_source": best["source"],
        "reference_second_hand": best["second_hand"],
    }


def groups(rows: pl.DataFrame, keys: list[str]) -> Iterable[tuple[Row, list[Row]]]:
    """Yield (keys, rows) of every group, in order of the keys."""
    for values, part in rows.sort(*keys, nulls_last=False).group_by(keys, maintain_order=True):
        yield dict(zip(keys, values, strict=True)), part.to_dicts()


def summarise_runs(rows: pl.DataFrame, quantity: str, references: pl.DataFrame) -> tuple[list[Row], list[Row]]:
    """Combine the runs of each group; return the summary rows and, beside them, what verdicts need.

    ``rows``: one run (and species) each, with liquid, model, dataset, framework, temperature_K, species,
    seed, replica, value, standard_error, dof, correction, converged, reason, and needed_ps where it is known.
    """
    unit = LIQUID_UNITS[quantity]
    summary, items = [], []
    for key, runs in groups(rows, ["liquid", "temperature_K", "species", "model", "dataset", "framework"]):
        used = [r for r in runs if finite(r["value"]) is not None]
        poor = [r for r in runs if r not in used or not r["converged"]]
        runs_used = iv.Runs(
            [r["value"] for r in used],
            [math.nan if finite(r["standard_error"]) is None else r["standard_error"] for r in used],
            [r["seed"] for r in used],
            [r["replica"] for r in used],
            [r["dof"] if finite(r["dof"]) else math.inf for r in used],
        )
        estimate = None
        if used:
            factors = [runs_used.seeds, runs_used.replicas]
            estimate = iv.combine(runs_used.values, runs_used.standard_errors, factors, runs_used.dofs)
        known = estimate is not None and math.isfinite(estimate.standard_error)
        notes = []
        if poor:
            share = "" if len(runs) == 1 else f"{len(poor)} of {len(runs)} runs: "
            notes.append(share + "; ".join(count(r["reason"] or "no reason" for r in poor)))
        elif len(runs) == 1:
            notes.append("one run: the interval is its own error, without the spread between runs")
        elif key["dataset"] is not None and len({r["seed"] for r in used}) == 1:
            notes.append("one model seed: the spread between seeds is not included")
        corrections = [r["correction"] for r in used]
        corrected = bool(used) and all(finite(c) is not None for c in corrections)
        if quantity == "diffusion" and used:
            notes.append(
                f"box-size correction {sum(corrections) / len(used):+.2g} m2/s not included; "
                "added before comparing with the reference"
                if corrected
                else "no box-size correction (viscosity unknown): expected to be too low against experiment"
            )
        row = key | {
            "property": quantity,
            "unit": unit,
            "runs": len(used),
            "planned_runs": len(runs),
            "value": estimate.value if estimate else None,
            "standard_error": estimate.standard_error if estimate and known else None,
            "ci95_low": estimate.interval()[0] if estimate and known else None,
            "ci95_high": estimate.interval()[1] if estimate and known else None,
            "converged": not poor and known,
            "reason": "; ".join(notes) or None,
            "finite_size_correction": sum(corrections) / len(used) if corrected else None,
            "needed_ps": max((r["needed_ps"] for r in poor if finite(r.get("needed_ps")) is not None), default=None),
        }
        row |= reference_at(references, key["liquid"], quantity, key["species"], key["temperature_K"]) or {}
        summary.append(row)
        shift = row["finite_size_correction"] or 0.0
        items.append(row | {"estimate": estimate, "shift": shift, "of_runs": runs_used})
    return summary, items


def summarise_numbers(frame: pl.DataFrame, keys: list[str]) -> list[Row]:
    """Combine the runs of each group of a table of numbers (value, standard_error, interval, unit, converged).

    One run keeps its own interval, which need not be symmetric; several are combined as `summarise_runs` does.
    Where every run has a lower bound only (a time longer than the run), the lowest of them is the bound.
    ``keys`` are the columns that tell one number of the table from another.
    """
    found = []
    for key, runs in groups(frame, ["liquid", "temperature_K", *keys, "unit", "model", "dataset"]):
        used = [r for r in runs if finite(r["value"]) is not None]
        row = key | {"value": None, "ci95_low": None, "ci95_high": None, "runs": len(used), "planned_runs": len(runs)}
        if len(used) == 1:
            row |= {c: finite(used[0][c]) for c in ("value", "ci95_low", "ci95_high")}
        elif used:
            errors = [math.nan if finite(r["standard_error"]) is None else r["standard_error"] for r in used]
            factors = [[r["seed"] for r in used], [r["replica"] for r in used]]
            estimate = iv.combine([r["value"] for r in used], errors, factors)
            row["value"] = estimate.value
            if math.isfinite(estimate.standard_error):
                row["ci95_low"], row["ci95_high"] = estimate.interval()
        elif bounds := [r["ci95_low"] for r in runs if finite(r["ci95_low"]) is not None]:
            row["ci95_low"] = min(bounds) if len(bounds) == len(runs) else None
        poor = [r for r in runs if r not in used or not r["converged"]]
        row["converged"] = not poor and row["ci95_low"] is not None
        row["reason"] = "; ".join(count(r["reason"] or "no reason given" for r in poor)) or None
        found.append(row)
    return found


def count(reasons: Iterable[str]) -> list[str]:
    """Return each distinct reason once, with how often it came where that is more than once."""
    found: dict[str, int] = {}
    for reason in reasons:
        found[reason] = found.get(reason, 0) + 1
    return [reason if n == 1 else f"{reason} ({n} times)" for reason, n in found.items()]


def summarise_forces(errors: pl.DataFrame, liquid: str) -> tuple[list[Row], list[Row]]:
    """Combine the seeds of each model: RMSE of the forces over the whole test set.

    The test set is common to all models and seeds, so its sampling error is added, not averaged. The interval
    of a difference treats the models as independent; as they share the test set it errs on the wide side.
    """
    rows = errors.filter((pl.col("split") == "test") & (pl.col("quantity") == "force") & (pl.col("scope") == "all"))
    summary, items = [], []
    for key, seeds in groups(rows, ["model", "dataset"]):
        errors_1 = [
            (r["rmse_ci95_high"] - r["rmse_ci95_low"]) / (2 * iv.Z95)
            if finite(r["rmse_ci95_high"]) is not None and finite(r["rmse_ci95_low"]) is not None
            else math.nan
            for r in seeds
        ]
        estimate = iv.combine([r["rmse"] for r in seeds], errors_1, [[r["seed"] for r in seeds]], shared_error=True)
        summary.append(error_row(key, liquid, "force_rmse", seeds[0]["unit"], estimate, len(seeds)))
        items.append(summary[-1] | {"estimate": estimate, "shift": 0.0})
    return summary, items


def error_row(key: Row, liquid: str, quantity: str, unit: str, estimate: iv.Estimate, seeds: int) -> Row:
    """Return the summary row of an error of a model, which is "converged" when it has an interval."""
    known = math.isfinite(estimate.standard_error)
    reason = None if seeds > 1 or key["dataset"] is None else "one seed: the spread between seeds is not included"
    low, high = (max(0.0, x) if known else None for x in estimate.interval())
    return key | {
        "liquid": liquid,
        "temperature_K": None,
        "property": quantity,
        "species": None,
        "framework": None,
        "value": estimate.value,
        "standard_error": estimate.standard_error if known else None,
        "ci95_low": low,
        "ci95_high": high,
        "unit": unit,
        "runs": seeds,
        "planned_runs": seeds,
        "converged": known,
        "reason": reason if known else "too few points for an interval",
    }


def scan_points(scan: pl.DataFrame, liquid: str) -> dict[tuple[str, str | None], pl.DataFrame]:
    """Return per (model, dataset) the squared energy errors of the volume scan, one column per seed.

    Energies are relative to scale 1, which therefore is no test and is left out. eV^2 per atom^2.
    """
    rows = scan.filter(
        (pl.col("liquid") == liquid)
        & ((pl.col("scale") - 1).abs() > 1e-9)
        & pl.col("energy_model_ev_per_atom").is_not_null()
        & pl.col("energy_ref_ev_per_atom").is_not_null()
    ).with_columns(square=(pl.col("energy_model_ev_per_atom") - pl.col("energy_ref_ev_per_atom")) ** 2)
    return {
        (key["model"], key["dataset"]): pl.DataFrame(part)
        .pivot(
            "model_key",
            index=["group", "scale"],
            values="square",
            aggregate_function="mean",
            sort_columns=True,
        )
        .sort("group", "scale")
        for key, part in groups(rows, ["model", "dataset"])
    }


def blocks_of(points: pl.DataFrame) -> list[str]:
    """Return the jackknife block of each point: the scan it belongs to, or with < 4 scans the scale."""
    column = "group" if points["group"].n_unique() >= 4 else "scale"
    return [str(x) for x in points[column]]


def scan_estimate(points: pl.DataFrame, others: pl.DataFrame | None = None) -> iv.Estimate:
    """Return the RMSE of the scan (eV/atom), or with ``others`` the paired ln(RMSE / RMSE of the others).

    The jackknife over points and the spread between seeds add. Neighbouring scales are correlated, so that
    with few scans the error is a lower bound. Errors below 1e-9 eV/atom count as that.
    """
    if others is None:
        shared, names = points, [points.columns[2:]]
    else:
        others = others.rename({c: f"other {c}" for c in others.columns[2:]})
        shared = points.join(others, on=["group", "scale"], how="inner").sort("group", "scale")
        names = [points.columns[2:], others.columns[2:]]
    squares = [np.maximum(shared.select(n).to_numpy().T, 1e-18) for n in names]
    estimate = iv.rmse_over_points(np.array([s.mean(axis=0) for s in squares]), blocks_of(shared))
    parts = [(estimate.standard_error**2, estimate.dof)]
    for s in squares:
        if len(s) > 1:
            roots = np.sqrt(s.mean(axis=1))
            parts.append((float(np.var(roots if others is None else np.log(roots), ddof=1)) / len(s), len(s) - 1))
    variance = sum(v for v, _ in parts)
    return iv.Estimate(estimate.value, math.sqrt(variance), iv.satterthwaite(variance, parts))


def one_factor_apart(a: Row, b: Row) -> bool:
    """Tell whether two groups differ in one thing only (of a dataset: its kinds or its size), or one is an untrained model."""
    if a["dataset"] is None or b["dataset"] is None or a["dataset"] == b["dataset"]:
        return True
    (whole_a, size_a), (whole_b, size_b) = mixture(a["dataset"]), mixture(b["dataset"])
    return a["model"] == b["model"] and (whole_a == whole_b or size_a == size_b)


def mixture(dataset: str) -> tuple[str, int | None]:
    """Return which dataset a model was trained on, and the size that it was cut to: ("both", 16) of both.16."""
    whole, _, size = dataset.rpartition(".")
    return (whole, int(size)) if whole and size.isdigit() else (dataset, None)


def judge(items: list[Row], quantity: str, scans: dict[str, dict] | None = None) -> list[Row]:
    """Return the verdicts of one property; see the module's text for the rules."""
    rows: list[Row] = []
    for _, part in by_state(items):
        for i, a in enumerate(part):
            rows += [compare(a, b, quantity, scans) for b in part[i + 1 :] if one_factor_apart(a, b)]
            if a.get("reference") is not None:
                rows.append(compare_with_reference(a))
    tested = [r for r in rows if r["p_value"] is not None]
    p_values = [r["p_value"] for r in tested]
    for r, p, level in zip(tested, iv.holm(p_values), iv.holm_levels(p_values), strict=True):
        r["p_holm"] = p
        r["holm_low"], r["holm_high"] = ends(r["delta"], r["scale"], level)
    sided = iv.holm([max(r["p_value"], r["p_side"]) for r in tested])
    for r, p in zip(tested, sided, strict=True):
        if r["p_holm"] >= iv.LEVEL:
            r["verdict"] = "not distinguishable"
            if r["p_value"] < iv.LEVEL:
                r["notes"].insert(
                    0, f"the interval excludes 0, but not after Holm's correction over {len(tested)} tests"
                )
        elif r["side"] is None:
            r["verdict"] = "differs"
        elif p < iv.LEVEL:
            r["verdict"] = r["side"]
        else:
            r["verdict"] = "differs"
            r["notes"].insert(0, "which of the two is closer to the reference is within the error")
    for r in rows:
        r["reason"] = "; ".join(r.pop("notes")) or None
        del r["delta"], r["scale"]
    return rows


def ends(delta: iv.Estimate, scale: float | None, level: float = iv.LEVEL) -> tuple[float, float]:
    """Return the ends of the interval of a difference at a level; ``scale`` as in `verdict_row`."""
    low, high = delta.interval(level)
    return (low, high) if scale is None else (from_ratio(low, scale), from_ratio(high, scale))


def from_ratio(log_ratio: float, scale: float) -> float:
    """Return x - y of two numbers with ln(x / y) and the geometric mean ``scale``."""
    # beyond this an error bar has no meaning, and the exponential no number
    return 2 * scale * math.sinh(max(-300.0, min(300.0, log_ratio / 2)))


def by_state(items: list[Row]) -> list[tuple[tuple, list[Row]]]:
    """Group items by liquid, temperature and species, keeping their order."""
    found: dict[tuple, list[Row]] = {}
    for item in items:
        found.setdefault((item["liquid"], item["temperature_K"], item["species"]), []).append(item)
    return list(found.items())


def verdict_row(a: Row, name_b: str, delta: iv.Estimate | None, scale: float | None = None) -> Row:
    """Return an undecided verdict between a and another.

    ``scale``: delta is L = ln(x / y), and scale the geometric mean g of x and y. As x - y = 2 g sinh(L / 2),
    an interval of L becomes one of the difference, which holds 0 exactly when that of L does.
    """
    known = delta is not None and math.isfinite(delta.standard_error)
    low, high = ends(delta, scale) if delta is not None and known else (None, None)
    value = delta.value if delta is not None else None
    if value is not None and scale is not None:
        value = from_ratio(value, scale)
    return {
        "liquid": a["liquid"],
        "temperature_K": a["temperature_K"],
        "property": a["property"],
        "species": a["species"],
        "model_a": label(a["model"], a["dataset"]),
        "model_b": name_b,
        "difference": value,
        "ci95_low": low,
        "ci95_high": high,
        "unit": a["unit"],
        "verdict": "not converged",
        "p_value": None,
        "p_holm": None,
        "holm_low": None,
        "holm_high": None,
        "delta": delta,
        "scale": scale,
        "pairs": None,
        "side": None,
        "p_side": 0.0,
        "notes": [],
    }


def compare(a: Row, b: Row, quantity: str, scans: dict[str, dict] | None = None) -> Row:
    """Return the verdict row of two models, before the correction for many tests."""
    ea, eb, scale, pairs = a["estimate"], b["estimate"], None, None
    if ea is None or eb is None:
        delta = None
    elif quantity == "scan_energy_rmse" and scans is not None:
        points = scans[a["liquid"]]
        delta = scan_estimate(points[a["model"], a["dataset"]], points[b["model"], b["dataset"]])
        scale = math.sqrt(max(ea.value, 1e-9) * max(eb.value, 1e-9))
    else:
        delta, pairs = weighted(a, b, (1.0, -1.0))
    row = verdict_row(a, label(b["model"], b["dataset"]), delta, scale)
    row["pairs"] = pairs
    poor = [x for x in (a, b) if not x["converged"]]
    if poor or delta is None or not math.isfinite(delta.standard_error):
        row["notes"] = [f"{label(x['model'], x['dataset'])}: {x['reason']}" for x in poor] or ["no interval"]
        return row
    row["p_value"] = delta.p_value()
    row["notes"] = sorted({f"{label(x['model'], x['dataset'])}: {x['reason']}" for x in (a, b) if x["reason"]})
    if quantity in LIQUID_UNITS:
        row["notes"].insert(0, paired_words(a, b, pairs))
    if quantity in ("force_rmse", "scan_energy_rmse"):
        row["side"] = "a" if delta.value < 0 else "b"
    elif a.get("reference") is None:
        row["notes"].insert(0, "no reference: a larger value is not a better one")
    else:
        # |a - r| < |b - r| exactly when a - b and (a + b) / 2 - r have opposite signs: two linear tests, free
        # of the kink of a difference of absolute values. Both are of what an experiment would see.
        seen = iv.Estimate(delta.value + a["shift"] - b["shift"], delta.standard_error, delta.dof)
        half, _ = weighted(a, b, (0.5, 0.5))
        half = iv.Estimate(half.value + (a["shift"] + b["shift"]) / 2, half.standard_error, half.dof)
        middle = iv.difference(half, reference_estimate(a))
        row["side"] = "a" if (seen.value > 0) == (middle.value < 0) else "b"
        row["p_side"] = max(middle.p_value(), seen.p_value())
        row["notes"].insert(0, reference_words(a))
    return row


def weighted(a: Row, b: Row, weights: tuple[float, float]) -> tuple[iv.Estimate, int | None]:
    """Return the weighted sum of two models and over how many shared boxes it is paired, None: independent."""
    if a.get("of_runs") is not None and b.get("of_runs") is not None:
        found = iv.paired(a["of_runs"], b["of_runs"], weights, same_seeds=a["model"] == b["model"])
        if found is not None and math.isfinite(found[0].standard_error):
            return found
    first, second = (
        iv.Estimate(w * x["estimate"].value, abs(w) * x["estimate"].standard_error, x["estimate"].dof)
        for w, x in zip(weights, (a, b), strict=True)
    )
    return iv.difference(first, iv.Estimate(-second.value, second.standard_error, second.dof)), None


def paired_words(a: Row, b: Row, pairs: int | None) -> str:
    """Say how two models were set against each other."""
    if pairs is not None:
        return f"paired over {pairs} shared boxes"
    runs = [x.get("of_runs") for x in (a, b)]
    shared = set(runs[0].replicas) & set(runs[1].replicas) if runs[0] and runs[1] else set()
    if shared:
        return "one shared box, too few to pair: taken as independent, which errs on the wide side"
    return "no shared box: taken as independent"


def shifted(item: Row) -> iv.Estimate:
    """Return the estimate with what an experiment would see added: the correction for the size of the box."""
    estimate = item["estimate"]
    return iv.Estimate(estimate.value + item["shift"], estimate.standard_error, estimate.dof)


def reference_estimate(item: Row) -> iv.Estimate:
    """Return the reference as an estimate: its range read as a 95 % interval; without a range it is exact."""
    low, high = finite(item.get("reference_low")), finite(item.get("reference_high"))
    error = 0.0 if low is None or high is None else (high - low) / (2 * iv.Z95)
    return iv.Estimate(item["reference"], error)


def reference_words(item: Row) -> str:
    """Return the reference's name for a reason, second-hand ones called so."""
    kind = "second-hand reference" if item["reference_second_hand"] else "reference"
    ranged = "" if item.get("reference_low") is not None else ", given without a range"
    return f"{kind}: {item['reference_source']}{ranged}"


def compare_with_reference(a: Row) -> Row:
    """Return the verdict row of a model against its reference, before the correction for many tests."""
    delta = None if a["estimate"] is None else iv.difference(shifted(a), reference_estimate(a))
    row = verdict_row(a, "reference", delta)
    row["notes"] = [reference_words(a)] + ([a["reason"]] if a["reason"] else [])
    if a["converged"] and delta is not None:
        row["p_value"] = delta.p_value()
    return row
