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

import polars as pl

from ionmelt.compare import statistics
from ionmelt.compare.groups import Row, count, finite, groups
from ionmelt.study import references as study_references

# properties of the liquid that have verdicts, with the unit of their tables
LIQUID_UNITS = {"density": "kg/m3", "diffusion": "m2/s", "conductivity": "S/m", "viscosity": "Pa.s"}


def reference_at(
    references: pl.DataFrame, liquid: str, quantity: str, species: str | None, temperature_K: float
) -> Row | None:
    """Return the columns of the reference of a quantity at a temperature (`references.best`), or None.

    ``reference_low`` and ``reference_high`` are the ends of its 95 % interval, whatever range the source gives.
    """
    row = study_references.best(references, liquid, quantity, species, temperature_K)
    if row is None:
        return None
    half = None if row["standard_uncertainty"] is None else statistics.Z95 * row["standard_uncertainty"]
    return {
        "reference": row["value"],
        "reference_low": None if half is None else row["value"] - half,
        "reference_high": None if half is None else row["value"] + half,
        "reference_source": row["source"],
        "reference_second_hand": row["second_hand"],
        "reference_interpolated": row["interpolated"],
    }


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
        runs_used = statistics.Runs(
            [r["value"] for r in used],
            [math.nan if finite(r["standard_error"]) is None else r["standard_error"] for r in used],
            [r["seed"] for r in used],
            [r["replica"] for r in used],
            [r["dof"] if finite(r["dof"]) else math.inf for r in used],
        )
        estimate = None
        if used:
            factors = [runs_used.seeds, runs_used.replicas]
            estimate = statistics.combine(runs_used.values, runs_used.standard_errors, factors, runs_used.dofs)
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
            estimate = statistics.combine([r["value"] for r in used], errors, factors)
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
