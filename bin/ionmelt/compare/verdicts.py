"""Verdicts between models, and of each model against the reference."""

import math

from ionmelt.compare import statistics
from ionmelt.compare.groups import Row, by_state, finite, label, one_factor_apart
from ionmelt.compare.points import apart
from ionmelt.compare.summary import LIQUID_UNITS


def judge(items: list[Row], quantity: str) -> list[Row]:
    """Return the verdicts of one property; see the module's text for the rules."""
    rows: list[Row] = []
    for _, part in by_state(items):
        for i, a in enumerate(part):
            rows += [compare(a, b, quantity) for b in part[i + 1 :] if one_factor_apart(a, b)]
            if a.get("reference") is not None:
                rows.append(compare_with_reference(a))
    tested = [r for r in rows if r["p_value"] is not None]
    p_values = [r["p_value"] for r in tested]
    for r, p, level in zip(tested, statistics.holm(p_values), statistics.holm_levels(p_values), strict=True):
        r["p_holm"] = p
        r["holm_low"], r["holm_high"] = ends(r["delta"], r["scale"], level)
    sided = statistics.holm([max(r["p_value"], r["p_side"]) for r in tested])
    for r, p in zip(tested, sided, strict=True):
        if r["p_holm"] >= statistics.LEVEL:
            r["verdict"] = "not converged" if r["barred"] else "not distinguishable"
            if r["p_value"] < statistics.LEVEL:
                r["notes"].insert(
                    0, f"the interval excludes 0, but not after Holm's correction over {len(tested)} tests"
                )
        elif r["side"] is None:
            r["verdict"] = "differs"
        elif r["side"] in r["barred"]:
            r["verdict"] = "not converged"
        elif p < statistics.LEVEL:
            r["verdict"] = r["side"]
        else:
            r["verdict"] = "differs"
            r["notes"].insert(0, "which of the two is closer to the reference is within the error")
    for r in rows:
        r["reason"] = "; ".join(r.pop("notes")) or None
        del r["delta"], r["scale"], r["barred"]
    return rows


def ends(delta: statistics.Estimate, scale: float | None, level: float = statistics.LEVEL) -> tuple[float, float]:
    """Return the ends of the interval of a difference at a level; ``scale`` as in `verdict_row`."""
    low, high = delta.interval(level)
    return (low, high) if scale is None else (from_ratio(low, scale), from_ratio(high, scale))


def from_ratio(log_ratio: float, scale: float) -> float:
    """Return x - y of two numbers with ln(x / y) and the geometric mean ``scale``."""
    # beyond this an error bar has no meaning, and the exponential no number
    return 2 * scale * math.sinh(max(-300.0, min(300.0, log_ratio / 2)))


def verdict_row(a: Row, b: Row | None, delta: statistics.Estimate | None, scale: float | None = None) -> Row:
    """Return an undecided verdict between a and another, None: the reference.

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
        "model_b": label(b["model"], b["dataset"]) if b else "reference",
        "model_id_a": a["model"],
        "dataset_a": a["dataset"],
        "model_id_b": b["model"] if b else None,
        "dataset_b": b["dataset"] if b else None,
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
        "points": None,
        "points_missing_a": None,
        "points_missing_b": None,
        "barred": "",  # the sides that may not win
        "side": None,
        "p_side": 0.0,
        "notes": [],
    }


def compare(a: Row, b: Row, quantity: str) -> Row:
    """Return the verdict row of two models, before the correction for many tests."""
    if quantity not in LIQUID_UNITS:
        return compare_errors(a, b)
    if a["estimate"] is None or b["estimate"] is None:
        delta, pairs = None, None
    else:
        delta, pairs = weighted(a, b, (1.0, -1.0))
    row = verdict_row(a, b, delta)
    row["pairs"] = pairs
    poor = [x for x in (a, b) if not x["converged"]]
    if poor or delta is None or not math.isfinite(delta.standard_error):
        row["notes"] = [f"{label(x['model'], x['dataset'])}: {x['reason']}" for x in poor] or ["no interval"]
        return row
    row["p_value"] = delta.p_value()
    row["notes"] = [paired_words(a, b, pairs), *reasons(a, b)]
    if a.get("reference") is None:
        row["notes"].insert(0, "no reference: a larger value is not a better one")
        return row
    # |a - r| < |b - r| exactly when a - b and (a + b) / 2 - r have opposite signs: two linear tests, free
    # of the kink of a difference of absolute values. Both are of what an experiment would see.
    seen = statistics.Estimate(delta.value + a["shift"] - b["shift"], delta.standard_error, delta.dof)
    half, _ = weighted(a, b, (0.5, 0.5))
    half = statistics.Estimate(half.value + (a["shift"] + b["shift"]) / 2, half.standard_error, half.dof)
    middle = statistics.difference(half, reference_estimate(a))
    row["side"] = "a" if (seen.value > 0) == (middle.value < 0) else "b"
    row["p_side"] = max(middle.p_value(), seen.p_value())
    row["notes"].insert(0, reference_words(a))
    return row


def compare_errors(a: Row, b: Row) -> Row:
    """Return the verdict row of the errors of two models, on what both answered where that is known point by point."""
    if a.get("of_points") is not None and b.get("of_points") is not None:
        found = apart(a["of_points"], b["of_points"])
        row = verdict_row(a, b, found.ratio, found.scale)
        row |= {"points": found.points, "points_missing_a": found.missing[0], "points_missing_b": found.missing[1]}
        lacking = found.missing
    else:
        known = a["estimate"] is not None and b["estimate"] is not None
        row = verdict_row(a, b, weighted(a, b, (1.0, -1.0))[0] if known else None)
        lacking = a.get("points_missing") or 0, b.get("points_missing") or 0
    notes = []
    for side, item, points in (("a", a, lacking[0]), ("b", b, lacking[1])):
        fewer = item["planned_runs"] > item["runs"]
        if points or fewer:
            row["barred"] += side
            lacks = [f"no answer on {points} that the other answered"] * bool(points)
            lacks += [f"{item['runs']} of {item['planned_runs']} trained models have errors"] * fewer
            notes.append(f"{label(item['model'], item['dataset'])}: {', '.join(lacks)}: it may not win")
    if row["barred"] and row["points"] is not None:
        notes.append(f"compared on the {row['points']} points that both answered")
    delta = row["delta"]
    if delta is None or not math.isfinite(delta.standard_error):
        row["notes"] = [*notes, *reasons(a, b)] or ["no interval"]
        return row
    row["p_value"] = delta.p_value()
    row["side"] = "a" if delta.value < 0 else "b"
    row["notes"] = [*notes, *reasons(a, b)]
    return row


def reasons(a: Row, b: Row) -> list[str]:
    """Return what is to be said of two groups, each with its name."""
    return sorted({f"{label(x['model'], x['dataset'])}: {x['reason']}" for x in (a, b) if x["reason"]})


def weighted(a: Row, b: Row, weights: tuple[float, float]) -> tuple[statistics.Estimate, int | None]:
    """Return the weighted sum of two models and over how many shared boxes it is paired, None: independent."""
    if a.get("of_runs") is not None and b.get("of_runs") is not None:
        found = statistics.paired(a["of_runs"], b["of_runs"], weights, same_seeds=a["model"] == b["model"])
        if found is not None and math.isfinite(found[0].standard_error):
            return found
    first, second = (
        statistics.Estimate(w * x["estimate"].value, abs(w) * x["estimate"].standard_error, x["estimate"].dof)
        for w, x in zip(weights, (a, b), strict=True)
    )
    return statistics.difference(first, statistics.Estimate(-second.value, second.standard_error, second.dof)), None


def paired_words(a: Row, b: Row, pairs: int | None) -> str:
    """Say how two models were set against each other."""
    if pairs is not None:
        return f"paired over {pairs} shared boxes"
    runs = [x.get("of_runs") for x in (a, b)]
    shared = set(runs[0].replicas) & set(runs[1].replicas) if runs[0] and runs[1] else set()
    if shared:
        return "one shared box, too few to pair: taken as independent, which errs on the wide side"
    return "no shared box: taken as independent"


def shifted(item: Row) -> statistics.Estimate:
    """Return the estimate with what an experiment would see added: the correction for the size of the box."""
    estimate = item["estimate"]
    return statistics.Estimate(estimate.value + item["shift"], estimate.standard_error, estimate.dof)


def reference_estimate(item: Row) -> statistics.Estimate:
    """Return the reference as an estimate; one without an uncertainty counts as exact, and every reason says so."""
    low, high = finite(item.get("reference_low")), finite(item.get("reference_high"))
    error = 0.0 if low is None or high is None else (high - low) / (2 * statistics.Z95)
    return statistics.Estimate(item["reference"], error)


def reference_words(item: Row) -> str:
    """Return the reference's name for a reason, second-hand ones called so."""
    kind = "second-hand reference" if item["reference_second_hand"] else "reference"
    ranged = "" if item.get("reference_low") is not None else ", taken as exact: its uncertainty is not known"
    return f"{kind}: {item['reference_source']}{ranged}"


def compare_with_reference(a: Row) -> Row:
    """Return the verdict row of a model against its reference, before the correction for many tests."""
    delta = None if a["estimate"] is None else statistics.difference(shifted(a), reference_estimate(a))
    row = verdict_row(a, None, delta)
    row["notes"] = [reference_words(a)] + ([a["reason"]] if a["reason"] else [])
    if a["converged"] and delta is not None:
        row["p_value"] = delta.p_value()
    return row
