"""From the gathered tables to one number per model (`summary`) and to the verdicts between them.

The rules, which report.html repeats in words:

- A *group* is one liquid, model, dataset and temperature. Its runs (replicas, model seeds) are combined by
  `verdicts.combine`. A group is converged when every planned run of it has a converged measurement; a run
  that broke, failed or never ran makes the group not converged (the survivors alone would be a biased
  sample), yet the mean of what was measured is still shown.
- Pairs differ in one thing: the model, or the dataset, or one side is an untrained model. Each model is also
  set against the reference, whose 95 % interval comes from its standard uncertainty (`references`).
- ``difference`` is model_a minus model_b with its 95 % interval. Two models that ran from the same boxes
  (``pairs`` of them, at least two) are compared box by box (`verdicts.paired`), else as independent.
- ``ci95_*`` are the ends of one 95 % interval. p-values are corrected by Holm over all verdicts of one property,
  since a reader looks for the best model of a property; ``holm_low`` and ``holm_high`` are the ends of the interval at
  the level of that test (`verdicts.holm_levels`): words, colours and bars come from it. ``not distinguishable``:
  it holds 0, which is no proof of agreement. ``not converged``: either side is not converged; the difference is for
  orientation only, and there is no test.
- ``a`` or ``b``: that model is closer to the reference (of a property of the liquid: the models differ, and the
  reference lies on that side of their midpoint, both beyond the error), or has the lower error (force_rmse,
  scan_energy_rmse).
- Errors are compared on the test points (frames, or places of the scan) that both answered. A model that gave no
  answer where the other did, or of which a trained model has no errors, may lose but never win, nor be called as good:
  what it failed on need not be like the rest. ``points_missing_a`` and ``points_missing_b`` count those points.
- ``differs``: the two differ, but without a usable reference larger is not better, so neither wins. Against
  the reference itself it means: the model is off by more than the error.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ionmelt.compare import verdicts as iv
from ionmelt.study import references as study_references

Row = dict[str, Any]
Points = dict[tuple[str, str | None], pl.DataFrame]  # by (model, dataset); columns: `INDEX`, and one for each seed
INDEX = ("block", "point", "n")  # what leaves together, what was asked, and for how many numbers it stands


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
    """Return the columns of the reference of a quantity at a temperature (`references.best`), or None.

    ``reference_low`` and ``reference_high`` are the ends of its 95 % interval, whatever range the source gives.
    """
    row = study_references.best(references, liquid, quantity, species, temperature_K)
    if row is None:
        return None
    half = None if row["standard_uncertainty"] is None else iv.Z95 * row["standard_uncertainty"]
    return {
        "reference": row["value"],
        "reference_low": None if half is None else row["value"] - half,
        "reference_high": None if half is None else row["value"] + half,
        "reference_source": row["source"],
        "reference_second_hand": row["second_hand"],
        "reference_interpolated": row["interpolated"],
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


def summarise_forces(
    errors: pl.DataFrame,
    liquid: str,
    points: Points | None = None,
    planned: dict[tuple[str, str | None], int] | None = None,
) -> tuple[list[Row], list[Row]]:
    """Combine the seeds of each model: RMSE of the forces over the test frames that it answered.

    The test set is common to all models and seeds, so its sampling error is added, not averaged. ``points``: the
    errors frame by frame (`frame_points`), on which two models are compared; ``planned``: the number of seeds of each
    model that was to be judged. What is missing makes the error not converged: the frames that were answered would be
    a biased sample.
    """
    points, planned = points or {}, planned or {}
    test = errors.filter(pl.col("split") == "test")
    rows = test.filter((pl.col("quantity") == "force") & (pl.col("scope") == "all") & pl.col("rmse").is_not_null())
    failed = test.filter(pl.col("quantity") == "failed").group_by("model", "dataset").agg(pl.col("n").sum())
    lost = {(m, d): int(n) for m, d, n in failed.iter_rows()}
    found = {(key["model"], key["dataset"]): seeds for key, seeds in groups(rows, ["model", "dataset"])}
    summary, items = [], []
    for name in sorted({*found, *(points or {}), *(planned if test.height else {})}, key=str):
        seeds = [r for r in found.get(name, []) if finite(r["rmse"]) is not None]
        errors_1 = [
            (r["rmse_ci95_high"] - r["rmse_ci95_low"]) / (2 * iv.Z95)
            if finite(r["rmse_ci95_high"]) is not None and finite(r["rmse_ci95_low"]) is not None
            else math.nan
            for r in seeds
        ]
        estimate = None
        if seeds:
            estimate = iv.combine([r["rmse"] for r in seeds], errors_1, [[r["seed"] for r in seeds]], shared_error=True)
        key = {"model": name[0], "dataset": name[1]}
        here = points.get(name)
        asked, missing = (None, lost.get(name, 0)) if here is None else (here.height, unanswered(here))
        row = error_row(key, liquid, "force_rmse", "eV/A", estimate, len(seeds), planned.get(name, 0), asked, missing)
        summary.append(row)
        items.append(row | {"estimate": estimate, "shift": 0.0, "of_points": here})
    return summary, items


def summarise_scans(scan: pl.DataFrame, planned: dict[tuple[str, str | None], int]) -> tuple[list[Row], list[Row]]:
    """Combine the seeds of each model and liquid: RMSE of the energies of the frozen-ion volume scan."""
    summary, items = [], []
    for liquid in scan["liquid"].unique().sort().to_list():
        for (model, dataset), points in scan_points(scan, liquid).items():
            estimate = own_estimate(points)
            seeds = sum(points[c].count() > 0 for c in seeds_in(points))
            row = error_row(
                {"model": model, "dataset": dataset}, liquid, "scan_energy_rmse", "eV/atom", estimate, seeds,
                planned.get((model, dataset), 0), points.height, unanswered(points),
            )  # fmt: skip
            summary.append(row)
            items.append(row | {"estimate": estimate, "shift": 0.0, "of_points": points})
    return summary, items


def error_row(
    key: Row,
    liquid: str,
    quantity: str,
    unit: str,
    estimate: iv.Estimate | None,
    seeds: int,
    planned: int,
    asked: int | None,
    missing: int,
) -> Row:
    """Return the summary row of an error of a model: converged where it has an interval and nothing is missing.

    ``seeds`` of ``planned`` gave an error; of the ``asked`` test points (None: not known) ``missing`` have no answer
    of at least one seed.
    """
    known = estimate is not None and math.isfinite(estimate.standard_error)
    low, high = (max(0.0, x) for x in estimate.interval()) if estimate and known else (None, None)
    counts = {
        "property": quantity,
        "runs": seeds,
        "planned_runs": max(seeds, planned),
        "points": None if asked is None else asked - missing,
        "points_missing": missing,
    }
    lacking = lacks(counts)
    notes = list(lacking)
    if not known:
        notes.append("too few points for an interval" if estimate else "no error is known")
    elif seeds == 1 and key["dataset"] is not None:
        notes.append("one seed: the spread between seeds is not included")
    return (
        key
        | counts
        | {
            "liquid": liquid,
            "temperature_K": None,
            "species": None,
            "framework": None,
            "value": estimate.value if estimate else None,
            "standard_error": estimate.standard_error if estimate and known else None,
            "ci95_low": low,
            "ci95_high": high,
            "unit": unit,
            "converged": known and not lacking,
            "reason": "; ".join(notes) or None,
        }
    )


def lacks(row: Row) -> list[str]:
    """Say what a summary row of an error lacks: answers on test points, and trained models without an error."""
    missing, absent = row["points_missing"] or 0, row["planned_runs"] - row["runs"]
    what = "test frames" if row["property"] == "force_rmse" else "points of the scan"
    asked = "" if row["points"] is None else f"of {row['points'] + missing} "
    return [f"no answer on {missing} {asked}{what}"] * bool(missing) + (
        [f"no error of {absent} of {row['planned_runs']} trained models"] * bool(absent)
    )


# --- Errors point by point ---


def pivoted(rows: pl.DataFrame) -> Points:
    """Return per (model, dataset) a row for each point that any model was asked: `INDEX`, and a column per seed.

    ``rows``: `INDEX`, model, dataset, model_key and ``square``, the mean squared error; null: no answer.
    """
    asked = rows.select(INDEX).unique().sort("block", "point")
    found: Points = {}
    for (model, dataset), part in rows.sort("model_key").group_by(["model", "dataset"], maintain_order=True):
        wide = part.pivot("model_key", index=list(INDEX), values="square", aggregate_function="mean", sort_columns=True)
        found[str(model), dataset] = asked.join(wide, on=list(INDEX), how="left").sort("block", "point")
    return found


def scan_points(scan: pl.DataFrame, liquid: str) -> Points:
    """Return the squared energy errors of the volume scan of a liquid, eV^2 per atom^2, as `pivoted` says.

    Energies are relative to scale 1, which therefore is no test and is left out. The jackknife block of a point is
    the scan it belongs to, or with fewer than 4 scans its scale.
    """
    rows = scan.filter(
        (pl.col("liquid") == liquid)
        & ((pl.col("scale") - 1).abs() > 1e-9)
        & pl.col("energy_ref_ev_per_atom").is_not_null()
    )
    block = "group" if rows["group"].n_unique() >= 4 else "scale"
    return pivoted(
        rows.with_columns(
            block=pl.col(block).cast(pl.String),
            point=pl.concat_str("group", pl.col("scale").cast(pl.String), separator=" "),
            n=pl.lit(1),
            square=((pl.col("energy_model_ev_per_atom") - pl.col("energy_ref_ev_per_atom")) ** 2).fill_nan(None),
        )
    )


def frame_points(frames: pl.DataFrame) -> Points:
    """Return the mean squared force errors of each test frame, (eV/A)^2, as `pivoted` says; blocks are trajectories.

    ``frames``: model_key, model, dataset, frame_id, group, n and force_square, the sum over n components.
    """
    return pivoted(
        frames.with_columns(
            block=pl.col("group"),
            point=pl.col("frame_id"),
            square=(pl.col("force_square") / pl.col("n")).fill_nan(None),
        )
    )


def seeds_in(points: pl.DataFrame) -> list[str]:
    """Return the columns of points that hold the errors of a seed each."""
    return [c for c in points.columns if c not in INDEX]


def complete(points: pl.DataFrame) -> pl.DataFrame:
    """Return the points that every seed answered."""
    return points.drop_nulls(seeds_in(points))


def unanswered(points: pl.DataFrame) -> int:
    """Return how many of the points that were asked some seed did not answer."""
    return points.height - complete(points).height


def squares_of(points: pl.DataFrame) -> np.ndarray:
    """Return the mean squared errors (seeds, points); errors below 1e-9 count as that."""
    return np.maximum(points.select(seeds_in(points)).to_numpy().T, 1e-18)


def of_points(squares: list[np.ndarray], points: pl.DataFrame) -> iv.Estimate:
    """Return the RMSE of one model over points, or the paired ln(RMSE / RMSE) of two.

    The jackknife over blocks and the spread between seeds add. Neighbouring points of one block are correlated, so
    that with few blocks the error is a lower bound.
    """
    weights = points["n"].to_numpy()
    estimate = iv.rmse_over_points(np.array([s.mean(axis=0) for s in squares]), points["block"].to_list(), weights)
    parts = [(estimate.standard_error**2, estimate.dof)]
    for s in squares:
        if len(s) > 1:
            roots = np.sqrt(np.average(s, axis=1, weights=weights))
            spread = float(np.var(np.log(roots) if len(squares) == 2 else roots, ddof=1))
            parts.append((spread / len(s), len(s) - 1))
    variance = sum(v for v, _ in parts)
    return iv.Estimate(estimate.value, math.sqrt(variance), iv.satterthwaite(variance, parts))


def own_estimate(points: pl.DataFrame) -> iv.Estimate | None:
    """Return the RMSE of a model over the points that all its seeds answered; None: there are none."""
    whole = complete(points)
    return of_points([squares_of(whole)], whole) if whole.height else None


@dataclass
class Apart:
    """Two models on the points that both answered: ``ratio`` is ln(RMSE / RMSE), ``scale`` the geometric mean of the two.

    ``missing`` counts the points that the other of the two answered and the first or the second did not.
    """

    ratio: iv.Estimate | None
    scale: float
    points: int
    missing: tuple[int, int]


def apart(a: pl.DataFrame, b: pl.DataFrame) -> Apart:
    """Set two models against each other on the points that both answered."""
    first, second = complete(a), complete(b)
    shared = first.join(second.select(INDEX), on=list(INDEX), how="inner").sort("block", "point")
    other = second.join(first.select(INDEX), on=list(INDEX), how="inner").sort("block", "point")
    missing = second.height - shared.height, first.height - shared.height
    if not shared.height:
        return Apart(None, 1.0, 0, missing)
    squares = [squares_of(shared), squares_of(other)]
    weights = shared["n"].to_numpy()
    means = [float(np.average(s.mean(axis=0), weights=weights)) for s in squares]
    return Apart(of_points(squares, shared), (means[0] * means[1]) ** 0.25, shared.height, missing)


def one_factor_apart(a: Row, b: Row) -> bool:
    """Tell whether two groups differ in one thing only (of a dataset: its kinds or its size), or one is an untrained model."""
    if a["dataset"] is None or b["dataset"] is None or a["dataset"] == b["dataset"]:
        return True
    (whole_a, size_a), (whole_b, size_b) = cut_of(a), cut_of(b)
    return a["model"] == b["model"] and (whole_a == whole_b or size_a == size_b)


def cut_of(item: Row) -> tuple[str, int | None]:
    """Return the mixture that a group was trained on, and the number of frames it was cut to: a dataset that is no cut is its own."""
    return item.get("mixture") or item["dataset"], item.get("size")


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
    for r, p, level in zip(tested, iv.holm(p_values), iv.holm_levels(p_values), strict=True):
        r["p_holm"] = p
        r["holm_low"], r["holm_high"] = ends(r["delta"], r["scale"], level)
    sided = iv.holm([max(r["p_value"], r["p_side"]) for r in tested])
    for r, p in zip(tested, sided, strict=True):
        if r["p_holm"] >= iv.LEVEL:
            r["verdict"] = "not converged" if r["barred"] else "not distinguishable"
            if r["p_value"] < iv.LEVEL:
                r["notes"].insert(
                    0, f"the interval excludes 0, but not after Holm's correction over {len(tested)} tests"
                )
        elif r["side"] is None:
            r["verdict"] = "differs"
        elif r["side"] in r["barred"]:
            r["verdict"] = "not converged"
        elif p < iv.LEVEL:
            r["verdict"] = r["side"]
        else:
            r["verdict"] = "differs"
            r["notes"].insert(0, "which of the two is closer to the reference is within the error")
    for r in rows:
        r["reason"] = "; ".join(r.pop("notes")) or None
        del r["delta"], r["scale"], r["barred"]
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


def verdict_row(a: Row, b: Row | None, delta: iv.Estimate | None, scale: float | None = None) -> Row:
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
    seen = iv.Estimate(delta.value + a["shift"] - b["shift"], delta.standard_error, delta.dof)
    half, _ = weighted(a, b, (0.5, 0.5))
    half = iv.Estimate(half.value + (a["shift"] + b["shift"]) / 2, half.standard_error, half.dof)
    middle = iv.difference(half, reference_estimate(a))
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
    """Return the reference as an estimate; one without an uncertainty counts as exact, and every reason says so."""
    low, high = finite(item.get("reference_low")), finite(item.get("reference_high"))
    error = 0.0 if low is None or high is None else (high - low) / (2 * iv.Z95)
    return iv.Estimate(item["reference"], error)


def reference_words(item: Row) -> str:
    """Return the reference's name for a reason, second-hand ones called so."""
    kind = "second-hand reference" if item["reference_second_hand"] else "reference"
    ranged = "" if item.get("reference_low") is not None else ", taken as exact: its uncertainty is not known"
    return f"{kind}: {item['reference_source']}{ranged}"


def compare_with_reference(a: Row) -> Row:
    """Return the verdict row of a model against its reference, before the correction for many tests."""
    delta = None if a["estimate"] is None else iv.difference(shifted(a), reference_estimate(a))
    row = verdict_row(a, None, delta)
    row["notes"] = [reference_words(a)] + ([a["reason"]] if a["reason"] else [])
    if a["converged"] and delta is not None:
        row["p_value"] = delta.p_value()
    return row
