"""What the data were worth: learning curves against frames and cost, and the answers that they allow.

`learning` has a point for each model, dataset, number of frames and property: its error, and what its labels took. The error
of a density or a diffusion coefficient is that against the *truth* where the study runs it: the very method of the labels
as a model (`framework: xtb`), from the same boxes; else against experiment. `worth` answers three questions from it:

- ``kinds``: is a model better that was trained on further kinds of frames (EQ + nEQ against EQ), at an equal number of frames
  where `sizes` gives that?
- ``frames``: how many are enough? Each size against the largest; the smallest from which on none can be told from it.
- ``framework``: which needs fewer frames for the same error? A parallel-line assay (Finney, Statistical Method in Biological
  Assay, 1978): ln error = a + b ln frames with a common slope; the ratio of frames is exp of the difference of levels over the
  slope, its interval that of Fieller (1954), which is open where the slope itself is not known.

``difference`` is the error of model_a less that of model_b with its 95 % interval, box by box and seed by seed where the two
share them (`verdicts.paired`). p-values are corrected by Holm over all tests of one question and property; ``holm_low`` and
``holm_high`` are the ends of the interval at the level of that test, which words are made from. One training
seed is no claim: such a row is ``not converged``, as every row of which a side is.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from ionmelt.compare import groups as compare_groups
from ionmelt.compare import points as compare_points
from ionmelt.compare import statistics, verdicts
from ionmelt.compare.cost import Tables
from ionmelt.compare.groups import Row
from ionmelt.compare.learning import OF_LIQUID, PROPERTIES, offset, points
from ionmelt.frame import kinds_of
from ionmelt.tables.comparison import LEARNING, STATE, WORTH


def closer(a: Row, b: Row, truth: Row | None) -> tuple[statistics.Estimate, float] | None:
    """Return the error of a less that of b, and the p-value of "neither is closer"; None where it is not known.

    |a - t| - |b - t| is linear once it is known on which sides of t the two lie; the p-value is the larger of those of a = b
    and of t = (a + b) / 2, which need no sides (as in `summary.compare`).
    """
    off_a, off_b = offset(a, truth), offset(b, truth)
    if off_a is None or off_b is None:
        return None
    side_a, side_b = (1.0 if x.value >= 0 else -1.0 for x in (off_a, off_b))
    apart, middle = combined(a, b, truth, (1.0, -1.0)), combined(a, b, truth, (0.5, 0.5))
    found = combined(a, b, truth, (side_a, -side_b))
    return found, max(apart.p_value(), middle.p_value())


def combined(a: Row, b: Row, truth: Row | None, weights: tuple[float, float]) -> statistics.Estimate:
    """Return w_a a + w_b b - (w_a + w_b) t, box by box where all three share two."""
    rest = sum(weights)
    if truth is not None and rest:
        same = a["model"] == b["model"]
        found = statistics.paired(a["of_runs"], b["of_runs"], weights, same, others=[(-rest, truth["of_runs"])])
        if found is not None and math.isfinite(found[0].standard_error):
            return found[0]
    both, _ = verdicts.weighted(a, b, weights)
    if truth is None:
        both = shift(both, weights[0] * a["shift"] + weights[1] * b["shift"])
    if not rest:
        return both
    other = truth["estimate"] if truth is not None else verdicts.reference_estimate(a)
    return statistics.difference(
        both, statistics.Estimate(rest * other.value, abs(rest) * other.standard_error, other.dof)
    )


def shift(estimate: statistics.Estimate, by: float) -> statistics.Estimate:
    """Return an estimate with a number added."""
    return statistics.Estimate(estimate.value + by, estimate.standard_error, estimate.dof)


# --- Two points against each other ----------------------------------------------------------------------------------


def name_of(point: Row) -> str:
    """Return the name of the model of a point."""
    return compare_groups.label(point["model"], point["dataset"])


def against(question: str, a: Row, b: Row) -> Row:
    """Return the row of two points, before the correction for many tests."""
    row: Row = (
        {"question": question} | {c: a[c] for c in STATE} | {"unit": a["unit"], "seeds": min(a["seeds"], b["seeds"])}
    )
    for side, x in (("a", a), ("b", b)):
        row |= {f"model_{side}": name_of(x), f"frames_{side}": x["frames"], f"error_{side}": x["error"]}
        row |= {f"model_id_{side}": x["model"], f"mixture_{side}": x["mixture"]}
        row[f"labels_core_h_{side}"] = x["labels_core_h"]
    notes = [f"{name_of(x)}: {x['reason']}" for x in (a, b) if x["reason"] and not x["converged"]]
    few = [name_of(x) for x in (a, b) if x["seeds"] < 2]
    notes += [f"{' and '.join(few)}: one training seed is no claim"] if few else []
    judged = difference(a, b)
    row["verdict"] = "not converged"
    if judged is not None:
        estimate, low, high, p = judged
        row["difference"] = estimate
        if math.isfinite(low) and math.isfinite(high):
            row |= {"ci95_low": low, "ci95_high": high}
            if a["converged"] and b["converged"] and not few:
                row |= {"p_value": p, "verdict": "not distinguishable"}
                row["ends"] = lambda level: (difference(a, b, level) or (0.0, low, high))[1:3]
    return row | because(notes or ([] if row.get("p_value") is not None else ["no interval"]))


def because(notes: Sequence[str]) -> Row:
    """Return the columns that say why: all reasons, the first, and how many there are."""
    return {"reason": "; ".join(notes) or None, "first_reason": notes[0] if notes else None, "reasons": len(notes)}


def difference(a: Row, b: Row, level: float = statistics.LEVEL) -> tuple[float, float, float, float] | None:
    """Return the error of a less that of b, the ends of its interval at a level, and its p-value."""
    if a["property"] in OF_LIQUID:
        found = closer(a, b, a["truth"])
        return None if found is None else (found[0].value, *found[0].interval(level), found[1])
    if a["property"] == "survival":
        return of_shares(a["planned"] - a["done"], a["planned"], b["planned"] - b["done"], b["planned"], level)
    row = verdicts.compare(a, b, a["property"])
    if row["difference"] is None or row["ci95_low"] is None:
        return None
    p = row["p_value"] if row["p_value"] is not None else math.nan
    return row["difference"], *verdicts.ends(row["delta"], row["scale"], level), p


def of_shares(x: int, n: int, y: int, m: int, level: float = statistics.LEVEL) -> tuple[float, float, float, float]:
    """Return x / n - y / m, its interval (Newcombe, Stat. Med. 17 (1998) 873, method 10) and Fisher's exact p-value."""
    p, q = x / n, y / m
    (l1, u1), (l2, u2) = (
        (e.low, e.high)
        for e in (stats.binomtest(k, of).proportion_ci(1 - level, method="wilson") for k, of in ((x, n), (y, m)))
    )
    low = p - q - math.hypot(p - l1, u2 - q)
    high = p - q + math.hypot(u1 - p, q - l2)
    return p - q, low, high, float(stats.fisher_exact([[x, n - x], [y, m - y]]).pvalue)


def decide(rows: list[Row]) -> list[Row]:
    """Correct the p-values and intervals of each question and property, and put verdicts: is the error of a lower?

    Some tests ask for more than their interval does (which side of the truth is an error on? Fisher's of two shares):
    what they do not find, the interval must not claim, so that it is widened to 0.
    """
    for question in dict.fromkeys(row["question"] for row in rows):
        for name in PROPERTIES:
            tested = [
                r for r in rows if (r["question"], r["property"]) == (question, name) and r.get("p_value") is not None
            ]
            p_values = [r["p_value"] for r in tested]
            for row, p, level in zip(tested, statistics.holm(p_values), statistics.holm_levels(p_values), strict=True):
                row["p_holm"] = p
                told = p < statistics.LEVEL
                if question == "framework":
                    row["frames_ratio_holm_low"], row["frames_ratio_holm_high"] = row["ends"](level)
                else:
                    low, high = row["ends"](level)
                    told = told and not low <= 0 <= high
                    row["holm_low"], row["holm_high"] = (low, high) if told else (min(low, 0.0), max(high, 0.0))
                if told:
                    row["verdict"] = "better" if row["difference"] < 0 else "worse"
                elif row["p_value"] < statistics.LEVEL:
                    row["reason"] = f"the interval excludes 0, but not after Holm's correction over {len(tested)} tests"
    return rows


# --- The three questions --------------------------------------------------------------------------------------------


def of_curves(found: list[Row], keys: Sequence[str]) -> Iterator[list[Row]]:
    """Yield the points that agree in some columns, in their order."""
    groups: dict[tuple, list[Row]] = {}
    for point in found:
        groups.setdefault(tuple(point[key] for key in keys), []).append(point)
    yield from groups.values()


def added_kinds(less: str, more: str, datasets: dict[str, Sequence[str]]) -> list[str]:
    """Return the kinds that one mixture has beyond another of which it holds all; none where it does not."""
    (few, out), (many, out_too) = kinds_of(datasets[less]), kinds_of(datasets[more])
    return sorted(many - few) if out == out_too and few < many else []


def about_kinds(found: list[Row], datasets: dict[str, Sequence[str]]) -> list[Row]:
    """Set mixtures with further kinds against those without, at equal numbers of frames and of all frames."""
    rows = []
    for part in of_curves(found, [*STATE, "model"]):
        for b in part:
            for a in part:
                known = {a["mixture"], b["mixture"]} <= set(datasets)
                if not known or not added_kinds(b["mixture"], a["mixture"], datasets):
                    continue
                equal, whole = a["frames"] == b["frames"], a["mixture"] == a["dataset"] and b["mixture"] == b["dataset"]
                if equal or whole:
                    row = against("kinds", a, b)
                    if not equal:
                        note = f"{a['frames']} frames against {b['frames']}: kinds and number differ"
                        row["reason"] = "; ".join(x for x in (note, row["reason"]) if x)
                    rows.append(row)
    return rows


def about_frames(found: list[Row]) -> list[Row]:
    """Set each number of frames against the largest of its mixture."""
    rows = []
    for part in of_curves(found, [*STATE, "model", "mixture"]):
        part = sorted(part, key=lambda p: p["frames"])
        rows += [against("frames", a, part[-1]) for a in part[:-1]]
    return rows


def by_seed(t: Tables, point: Row) -> dict[Any, float]:
    """Return the error of each training seed of a point."""
    mine = (pl.col("model") == point["model"], pl.col("dataset") == point["dataset"])
    name = point["property"]
    if name == "force_rmse":
        whole = t["errors"].filter(
            *mine, pl.col("split") == "test", pl.col("quantity") == "force", pl.col("scope") == "all"
        )
        return dict(whole.select("seed", "rmse").drop_nulls().sort("seed").iter_rows())
    if name == "scan_energy_rmse":
        own = compare_points.scan_points(t["scan"].filter(*mine), point["liquid"])
        (squares,) = own.values()
        seeds = dict(t["scan"].filter(*mine).select("model_key", "seed").unique().iter_rows())
        return {seeds[key]: math.sqrt(float(squares[key].mean())) for key in compare_points.seeds_in(squares)}  # type: ignore[arg-type]
    if name not in OF_LIQUID:
        return {}
    runs, true = point["of_runs"], point["truth"]
    target = true["estimate"].value if true else point["reference"] - point["shift"]
    values = {seed: [v for v, s in zip(runs.values, runs.seeds, strict=True) if s == seed] for seed in set(runs.seeds)}
    return {seed: abs(float(np.mean(v)) - target) for seed, v in sorted(values.items(), key=str)}


def about_frameworks(t: Tables, found: list[Row]) -> list[Row]:
    """Compare how many frames two models need for the same error, of each mixture with two sizes or more."""
    rows = []
    for part in of_curves([p for p in found if p["property"] != "survival"], [*STATE, "mixture"]):
        names = list(dict.fromkeys(p["model"] for p in part))
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                curves = [[p for p in part if p["model"] == name] for name in (first, second)]
                rows.append(assay(t, *curves))
    return [row for row in rows if row]


def assay(t: Tables, a: list[Row], b: list[Row]) -> Row:
    """Return the row of two curves; empty where either has fewer than two numbers of frames."""
    if min(len({p["frames"] for p in curve}) for curve in (a, b)) < 2:
        return {}
    row: Row = {"question": "framework"} | {c: a[0][c] for c in STATE}
    for side, curve in (("a", a), ("b", b)):
        row |= {f"model_id_{side}": curve[0]["model"], f"mixture_{side}": curve[0]["mixture"]}
        row[f"model_{side}"] = compare_groups.label(curve[0]["model"], curve[0]["mixture"])
    row |= {
        "frames_a": max(p["frames"] for p in a),
        "frames_b": max(p["frames"] for p in b),
        "verdict": "not converged",
    }
    row["seeds"] = min(p["seeds"] for p in (*a, *b))
    poor = [f"{name_of(p)}: {p['reason']}" for p in (*a, *b) if not p["converged"]]
    if poor or row["seeds"] < 2:
        return row | because(poor or ["one training seed is no claim"])
    x, y, second = [], [], []
    for number, points_of in enumerate((a, b)):
        for point in points_of:
            for error in by_seed(t, point).values():
                x.append(math.log(point["frames"]))
                y.append(math.log(max(error, 1e-12)))
                second.append(float(number))
    lines = np.array(x), np.array(y), np.array(second)
    ratio = parallel_lines(*lines)
    row["ends"] = lambda level: ((r := parallel_lines(*lines, level)).low, r.high)
    row |= {"frames_ratio": ratio.value, "p_value": ratio.p_value, "verdict": "not distinguishable"}
    row |= {"frames_ratio_ci95_low": ratio.low, "frames_ratio_ci95_high": ratio.high, "reason": ratio.reason}
    row["difference"] = ratio.level  # of ln errors at equal frames: what the verdict is about
    return row


class Ratio:
    """Frames that the first of two models needs over those of the second, for the same error; see `parallel_lines`."""

    def __init__(self, level: float, p_value: float) -> None:
        self.level, self.p_value = level, p_value
        self.value: float | None = None
        self.low: float | None = None
        self.high: float | None = None
        self.reason: str | None = None


def parallel_lines(x: np.ndarray, y: np.ndarray, second: np.ndarray, level_of_test: float = statistics.LEVEL) -> Ratio:
    """Fit y = a + c second + b x and return exp(c / b): first's frames over second's for the same error.

    ``x`` (n,) ln frames, ``y`` (n,) ln errors of single seeds, ``second`` (n,) 0 or 1: whose they are. The p-value is that of
    c = 0. Fieller's interval of c / b, at a level; there is none where b cannot be told from 0 (the errors do not fall), nor where
    lines are not parallel (F test, 5 %).
    """
    design = np.column_stack([np.ones_like(x), second, x])
    dof = len(x) - 3
    beta, *_ = np.linalg.lstsq(design, y, rcond=None)
    residual = y - design @ beta
    variance = float(residual @ residual) / dof
    covariance = variance * np.linalg.inv(design.T @ design)
    level, slope = float(beta[1]), float(beta[2])
    found = Ratio(-level, float(2 * stats.t.sf(abs(level) / math.sqrt(covariance[1, 1]), dof)))
    crossed = np.column_stack([design, second * x])
    left = y - crossed @ np.linalg.lstsq(crossed, y, rcond=None)[0]
    fall = (float(residual @ residual) - float(left @ left)) / (float(left @ left) / (dof - 1))
    wide = float(stats.t.isf(level_of_test / 2, dof))
    g = wide**2 * covariance[2, 2] / slope**2
    if slope >= 0 or g >= 1:
        found.reason = "the errors do not fall with the frames beyond their spread: no ratio of frames"
    elif stats.f.sf(fall, 1, dof - 1) < statistics.LEVEL:
        found.reason = "the two curves are not parallel: the ratio of frames depends on the error asked for"
    else:
        r = level / slope
        middle = r - g * covariance[1, 2] / covariance[2, 2]
        spread = covariance[1, 1] - 2 * r * covariance[1, 2] + r**2 * covariance[2, 2]
        spread -= g * (covariance[1, 1] - covariance[1, 2] ** 2 / covariance[2, 2])
        half = wide / abs(slope) * math.sqrt(max(spread, 0.0))
        found.value = math.exp(r)
        found.low, found.high = (math.exp((middle + sign * half) / (1 - g)) for sign in (-1, 1))
    return found


# --- All together ---------------------------------------------------------------------------------------------------


def tables(
    t: Tables,
    items: dict[str, list[Row]],
    datasets: dict[str, Sequence[str]],
    truth: str | None,
    mixtures: Mapping[str, str],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tables `learning` and `worth`.

    ``items``: what verdicts are made from, by property (`summary`); ``datasets`` the kinds of each mixture; ``truth`` the model that is the method of the labels itself, None where none is.
    """
    found = points(t, items, truth, mixtures)
    rows = about_kinds(found, datasets) + about_frames(found) + about_frameworks(t, found)
    learning = [{c: p.get(c) for c in LEARNING} for p in found]
    worth = [{c: r.get(c) for c in WORTH} for r in decide(rows)]
    return pl.DataFrame(learning, schema=LEARNING), pl.DataFrame(worth, schema=WORTH)
