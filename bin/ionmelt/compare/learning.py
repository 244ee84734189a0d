"""Learning curves: the error of each model and dataset against its frames and the cost of their labels."""

import math
from collections.abc import Iterable, Mapping

import polars as pl
from scipy import stats

from ionmelt.compare import cost, statistics, verdicts
from ionmelt.compare import groups as compare_groups
from ionmelt.compare.cost import Tables
from ionmelt.compare.groups import Row

# Errors that are judged, in the order of the report. Of the liquid: the table's property.
OF_LIQUID = {"density_error": "density", "diffusion_error": "diffusion"}
PROPERTIES = ("scan_energy_rmse", "density_error", "diffusion_error", "survival", "force_rmse")
COMPLETED = "completed"


# --- The points -----------------------------------------------------------------------------------------------------


def cells(t: Tables) -> dict[str, tuple[int, float | None]]:
    """Return of each dataset that was trained on its number of training frames, and the core-hours of its labels."""
    train = t["dataset"].filter((pl.col("split") == "train") & pl.col("dataset").is_not_null())
    hours = cost.label_hours(t)
    return {name: (n, hours.get(name)) for name, n in train.group_by("dataset").len().sort("dataset").iter_rows()}


def truth_of(items: Iterable[Row], truth: str | None, state: tuple) -> Row | None:
    """Return the item of the truth in a state, None where it was not run."""
    return next((x for x in items if x["model"] == truth and key_of(x) == state), None)


def key_of(item: Row) -> tuple:
    """Return the state of an item: liquid, temperature, species."""
    return item["liquid"], item["temperature_K"], item["species"]


def offset(item: Row, truth: Row | None) -> statistics.Estimate | None:
    """Return how far an item lies above the truth, box by box where they share two; None where there is nothing to compare."""
    if item["estimate"] is None:
        return None
    if truth is not None:
        return None if truth["estimate"] is None else verdicts.weighted(item, truth, (1.0, -1.0))[0]
    return (
        None
        if item.get("reference") is None
        else statistics.difference(verdicts.shifted(item), verdicts.reference_estimate(item))
    )


def seeds_of(item: Row) -> int:
    """Return the number of training seeds behind an item."""
    runs = item.get("of_runs")
    return int(item["runs"]) if runs is None else len(set(runs.seeds))


def survivals(survival: pl.DataFrame) -> list[Row]:
    """Return an item for each group of runs: how many of them were planned, and how many reached their end."""
    items = []
    trained = survival.filter(pl.col("dataset").is_not_null())
    for key, runs in compare_groups.groups(trained, ["liquid", "temperature_K", "model", "dataset", "framework"]):
        done = sum(run["end"] == COMPLETED for run in runs)
        missing = sum(run["end"] == "missing" for run in runs)
        ends = stats.binomtest(done, len(runs)).proportion_ci(method="exact")
        items.append(
            key
            | {"property": "survival", "species": None, "unit": "1", "value": 1 - done / len(runs), "done": done}
            | {"planned": len(runs), "ci95_low": 1 - ends.high, "ci95_high": 1 - ends.low, "converged": not missing}
            | {"runs": len({run["seed"] for run in runs})}
            | {"reason": f"{missing} of {len(runs)} runs are missing" if missing else None}
        )
    return items


def points(t: Tables, items: dict[str, list[Row]], truth: str | None, mixtures: Mapping[str, str]) -> list[Row]:
    """Return the items that were trained, each with its error and what belongs to its dataset: rows of LEARNING and more."""
    known = cells(t)
    frameworks = dict(t["survival"].select("model", "framework").unique().sort("model").iter_rows())
    found = []
    for name in PROPERTIES:
        own = survivals(t["survival"]) if name == "survival" else items.get(OF_LIQUID.get(name, name), [])
        for item in own:
            if item["dataset"] not in known:
                continue
            frames, hours = known[item["dataset"]]
            row = item | {"property": name, "mixture": mixtures.get(item["dataset"], item["dataset"]), "frames": frames}
            row |= {"labels_core_h": hours, "seeds": seeds_of(item), "against": "the labels", "truth": None}
            row |= {"framework": item["framework"] or frameworks.get(item["model"])}
            if name in OF_LIQUID:
                true = truth_of(own, truth, key_of(item))
                off = offset(item, true)
                if off is None:
                    continue
                low, high = off.interval()
                half = (high - low) / 2
                row |= {"error": abs(off.value), "ci95_low": max(0.0, abs(off.value) - half), "truth": true}
                row |= {"ci95_high": abs(off.value) + half, "against": truth if true else "experiment"}
                if not math.isfinite(half):
                    row |= {"ci95_low": None, "ci95_high": None}
                if true and not true["converged"]:
                    row["converged"] = False
                    row["reason"] = "; ".join(x for x in (row["reason"], f"{truth}: {true['reason']}") if x)
            else:
                row["error"] = item["value"]
            if name == "survival":
                row["against"] = "share of the runs that broke"
            found.append(row)
    return found
