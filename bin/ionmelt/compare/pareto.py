"""Error against cost: what a model took to make and to run, and which models are not beaten by a cheaper one.

The cost of a model is that of its labels, of its training and of one nanosecond of dynamics of the box. Time on
processors counts in core-hours (processor time), time on an accelerator in GPU-hours (wall time); the two are
never added up: a model is cheaper only where neither is larger.
"""

import math

import polars as pl

from ionmelt.compare import groups
from ionmelt.compare import summary as ils
from ionmelt.compare.cost import Tables, dynamics_hours, label_hours, training_hours
from ionmelt.compare.groups import Row


def distance(row: Row) -> tuple[float, float, float] | None:
    """Return |value - reference| with the ends of its 95 % interval, the reference's own range included."""
    if row["value"] is None or row["standard_error"] is None or row["reference"] is None:
        return None
    # the interval's half-width holds the degrees of freedom, the reference's is a normal one: joined in quadrature
    half = (row["ci95_high"] - row["ci95_low"]) / 2
    if row["reference_low"] is not None and row["reference_high"] is not None:
        half = math.hypot(half, (row["reference_high"] - row["reference_low"]) / 2)
    off = row["value"] + (row["finite_size_correction"] or 0.0) - row["reference"]
    low = max(0.0, abs(off) - half)
    return abs(off), low, abs(off) + half


def table(t: Tables, cards: list[Row]) -> list[Row]:
    """Return one row per state, property and model that has an error: those of the liquid, and the forces."""
    train, labels = training_hours(t, cards), label_hours(t)
    trained = t["errors"].select("model_key", "model", "dataset").unique().sort("model_key").to_dicts()
    trained += [{"model_key": c["id"], "model": c["model"], "dataset": c.get("dataset")} for c in cards]
    keys: dict[tuple, set[str]] = {}
    for x in trained:
        keys.setdefault((x["model"], x["dataset"]), set()).add(x["model_key"])
    rows = []
    for r in t["summary"].filter(pl.col("property").is_in([*ils.LIQUID_UNITS, "force_rmse"])).to_dicts():
        if r["property"] == "force_rmse":
            error = None if r["standard_error"] is None else (r["value"], r["ci95_low"], r["ci95_high"])
        else:
            error = distance(r)
            if r["reference"] is None:
                continue
        made = sorted(k for k in keys.get((r["model"], r["dataset"]), ()) if k in train)
        own = r["dataset"] is not None
        training = [sum(x) / len(made) for x in zip(*(train[k] for k in made), strict=True)] if made else None
        dynamics = dynamics_hours(t, r["liquid"], r["temperature_K"], r)
        label = labels.get(r["dataset"]) if own else 0.0
        missing = [
            what
            for what, x in (("labels", label), ("training", training if own else (0.0, 0.0)), ("dynamics", dynamics))
            if x is None
        ]
        row = {c: r[c] for c in ("liquid", "temperature_K", "property", "species", "model", "dataset", "unit")}
        row |= {"error": None, "ci95_low": None, "ci95_high": None, "front": None, "reason": None}
        if error is not None:
            row |= dict(zip(("error", "ci95_low", "ci95_high"), error, strict=True))
        row["labels_core_h"] = label
        row["training_core_h"], row["training_gpu_h"] = training or ((None, None) if own else (0.0, 0.0))
        row["md_core_h_per_ns"], row["md_gpu_h_per_ns"] = dynamics or (None, None)
        for unit in ("core", "gpu"):
            parts = [label if unit == "core" else 0.0, row[f"training_{unit}_h"], row[f"md_{unit}_h_per_ns"]]
            row[f"total_{unit}_h"] = None if None in parts else sum(parts)
        if not r["converged"] or error is None:
            row |= {"front": "not converged", "reason": r["reason"]}
        elif missing:
            row |= {"front": "cost unknown", "reason": f"the cost of {' and '.join(missing)} is not known"}
        rows.append(row)
    return fronts(rows, t["verdicts"])


def fronts(rows: list[Row], verdicts: pl.DataFrame) -> list[Row]:
    """Say of each model whether it is on the front: ``yes``, ``no`` or ``undecided``.

    Yes: it is better than every cheaper model beyond the error (the cheapest one has none to beat). No: some
    cheaper model is better beyond the error. Undecided: the data cannot tell. "Beyond the error" is what the
    verdict on the two says, and where they were not compared (two things differ), that their intervals do not
    overlap.
    """
    decided = {}
    for v in verdicts.to_dicts():
        state = tuple(v[c] for c in ("liquid", "temperature_K", "property", "species"))
        if v["verdict"] in ("a", "b"):
            decided[*state, frozenset((v["model_a"], v["model_b"]))] = v[
                "model_a" if v["verdict"] == "a" else "model_b"
            ]
        else:
            decided[*state, frozenset((v["model_a"], v["model_b"]))] = None
    for row in rows:
        if row["front"] is not None:
            continue
        state = tuple(row[c] for c in ("liquid", "temperature_K", "property", "species"))
        name = groups.label(row["model"], row["dataset"])
        beaten, open_ones = [], []
        for other in rows:
            if tuple(other[c] for c in ("liquid", "temperature_K", "property", "species")) != state:
                continue
            if other is row or other["front"] in ("not converged", "cost unknown") or not cheaper(other, row):
                continue
            against = groups.label(other["model"], other["dataset"])
            pair = (*state, frozenset((name, against)))
            better = decided[pair] if pair in decided else apart(row, other)
            if better == against:
                beaten.append(against)
            elif better != name:
                open_ones.append(against)
        if beaten:
            row |= {"front": "no", "reason": f"{' and '.join(sorted(beaten))}: cheaper and better"}
        elif open_ones:
            row |= {
                "front": "undecided",
                "reason": f"{' and '.join(sorted(open_ones))}: cheaper, and as good as can be told",
            }
        else:
            row |= {"front": "yes", "reason": None}
    return rows


def cheaper(a: Row, b: Row) -> bool:
    """Tell whether a costs less than b: not more of either kind of hour, and less of one."""
    x, y = ((r["total_core_h"], r["total_gpu_h"]) for r in (a, b))
    return x != y and all(i <= j for i, j in zip(x, y, strict=True))


def apart(a: Row, b: Row) -> str | None:
    """Return the name of the one of lower error where the intervals do not overlap, else None."""
    if a["ci95_high"] < b["ci95_low"]:
        return groups.label(a["model"], a["dataset"])
    if b["ci95_high"] < a["ci95_low"]:
        return groups.label(b["model"], b["dataset"])
    return None
