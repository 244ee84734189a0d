"""The spread between training seeds, beside the statistical error of the runs.

A committee of models that differ by their training seed alone shows how much of a density or a diffusion coefficient is
an accident of the training. That spread stands beside the statistical error of the runs, which longer runs would make
smaller and the spread would not.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from ionmelt.compare.groups import Group, Row, grouped
from ionmelt.compare.many_tests import holm
from ionmelt.compare.runs import run_of
from ionmelt.compare.seed_spread import SeedSpread, seed_spread
from ionmelt.compare.statistics import LEVEL, Runs
from ionmelt.compare.summary import reasons_of, runs_behind
from ionmelt.measure.observables import OBSERVABLES
from ionmelt.tables.comparison import COMMITTEE

TESTED = DIFFER, WITHIN = "seeds differ", "within the error"  # verdicts of a test
FILLED = 0.05  # g(r) below this is the empty core of an atom: nothing there to differ


@dataclass(frozen=True)
class Committee:
    """The seeds of one model and one of its numbers: the columns of the table `committee`.

    ``spread`` is None where fewer than two of the ``seeds`` gave a number.
    """

    liquid: str
    temperature_K: float
    quantity: str
    species: str | None
    model: str
    dataset: str | None
    unit: str | None
    seeds: int
    verdict: str
    reason: str | None = None
    spread: SeedSpread | None = None

    def row(self) -> dict[str, object]:
        """Return the row of the table."""
        spread = self.spread
        return {
            "liquid": self.liquid,
            "temperature_K": self.temperature_K,
            "property": self.quantity,
            "species": self.species,
            "model": self.model,
            "dataset": self.dataset,
            "seeds": self.seeds,
            "mean": spread.mean if spread else None,
            "unit": self.unit,
            "between_seeds": spread.between if spread else None,
            "between_seeds_ci95_low": spread.low if spread else None,
            "between_seeds_ci95_high": spread.high if spread else None,
            "within_seed": spread.within if spread else None,
            "p_value": spread.p_value if spread else None,
            "verdict": self.verdict,
            "reason": self.reason,
        }


def spread_behind(behind: Runs) -> SeedSpread:
    """Return the spread of the means of training seeds, each over its runs; of two seeds at least."""
    means, errors = [], []
    for level in sorted(set(behind.seeds), key=str):
        mine = [i for i, seed in enumerate(behind.seeds) if seed == level]
        means.append(np.mean([behind.values[i] for i in mine]))
        errors.append(math.sqrt(sum(behind.standard_errors[i] ** 2 for i in mine)) / len(mine))
    return seed_spread(np.array(means, float), np.array(errors, float))


def of_groups(groups: Iterable[Group], seeds: Mapping[tuple[str, str | None], int]) -> Iterator[Committee]:
    """Yield the committees of a property of the liquid, converged where their groups are; ``seeds``: how many each model was to be trained with."""
    for group in groups:
        if seeds.get((group.model, group.dataset), 0) > 1 and group.behind is not None:
            key = {"liquid": group.liquid, "temperature_K": group.temperature_K, "species": group.species}
            key |= {"model": group.model, "dataset": group.dataset}
            why = None if group.converged else group.reason or "no reason given"
            yield of_runs(key, group.behind, why, group.quantity, group.unit)


def of_numbers(frame: pl.DataFrame) -> Iterator[Committee]:
    """Yield the committees of a table of numbers of runs, which are judged together."""
    keys = ["liquid", "temperature_K", "quantity", "state", "pair", "unit", "model", "dataset"]
    for key, rows in grouped(frame.filter(pl.col("seed").is_not_null()), keys):
        if len({row["seed"] for row in rows}) < 2:
            continue
        runs = [run_of(row) for row in rows]
        name = " ".join(key[c] for c in ("quantity", "state") if key[c])
        why = "; ".join(reasons_of(runs)) or None
        yield of_runs(key, runs_behind([run for run in runs if run.is_used]), why, name, key["unit"])


def of_runs(key: Row, behind: Runs, why: str | None, name: str, unit: str | None) -> Committee:
    """Return the committee of the runs behind a number; ``why`` it is not converged, None where it is."""
    seeds = len(set(behind.seeds))
    spread = spread_behind(behind) if seeds > 1 else None
    verdict, reason = judged(spread, why)
    return Committee(
        key["liquid"], key["temperature_K"], name, key.get("pair") or key.get("species"), key["model"], key["dataset"],
        unit, seeds, verdict, reason, spread,
    )  # fmt: skip


def judged(spread: SeedSpread | None, why: str | None) -> tuple[str, str | None]:
    """Return the verdict on a spread and its reason; ``why`` the number is not converged, None where it is."""
    if spread is None:
        return "not judged", "fewer than two seeds gave a number"
    if why is not None:
        return "not converged", why
    if spread.p_value is None:
        return "not judged", "a run has no statistical error"
    return DIFFER if spread.p_value < LEVEL else WITHIN, None


def of_curves(structure: pl.DataFrame) -> Iterator[Committee]:
    """Yield the committees of each radial distribution function: root mean squares over the distances where it is not empty."""
    curves = structure.filter(
        (pl.col("quantity") == "rdf") & pl.col("seed").is_not_null() & pl.col("value").is_not_null()
    )
    for key, rows in grouped(curves, ["liquid", "temperature_K", "pair", "model", "dataset"]):
        frame = pl.DataFrame(rows, infer_schema_length=None)
        spread = spread_over_distances(frame) if frame["seed"].n_unique() > 1 else None
        if spread is not None:
            yield Committee(
                key["liquid"], key["temperature_K"], "rdf", key["pair"], key["model"], key["dataset"], "1", spread.seeds,
                "not judged", "root mean squares over r; neighbouring r are not independent, so there is no test", spread,
            )  # fmt: skip


def spread_over_distances(frame: pl.DataFrame) -> SeedSpread | None:
    """Return the spread of a curve over r_A, without an interval or a test; None where the seeds share no distance that is filled."""
    seeds = frame["seed"].n_unique()
    by_seed = (
        frame.sort("r_A", "seed", "replica")
        .group_by("r_A", "seed", maintain_order=True)
        .agg(
            pl.col("value").mean(),
            (pl.col("standard_error").cast(pl.Float64) ** 2).sum().sqrt() / pl.len(),
        )
    )
    distances = (
        by_seed.sort("r_A", "seed")
        .group_by("r_A", maintain_order=True)
        .agg(
            pl.col("value").mean().alias("mean"),
            pl.col("value").std(ddof=1).alias("between"),
            (pl.col("standard_error") ** 2).mean().alias("within"),
            pl.len().alias("seeds"),
        )
        .filter((pl.col("mean") > FILLED) & (pl.col("seeds") == seeds))
    )
    if not distances.height:
        return None
    within = distances["within"].mean()
    return SeedSpread(
        seeds,
        float(distances["mean"].mean()),  # type: ignore[arg-type]
        math.sqrt(float((distances["between"] ** 2).mean())),  # type: ignore[arg-type]
        low=None,
        high=None,
        within=math.sqrt(within) if isinstance(within, float) and math.isfinite(within) else None,
        p_value=None,
    )


def table(
    tables: dict[str, pl.DataFrame], groups: Mapping[str, Sequence[Group]], seeds: Mapping[tuple[str, str | None], int]
) -> pl.DataFrame:
    """Return the table `committee`, the spread between training seeds of each model with two or more: of each property of the liquid, and of its structure.

    ``groups``: by property; ``seeds``: how many each model was to be trained with.
    """
    ends = tables["survival"].select("run_id", "end").unique("run_id", keep="first", maintain_order=True)
    coordination = tables["coordination"].join(ends, on="run_id", how="left", maintain_order="left")
    committees = [
        *(one for observable in OBSERVABLES for one in of_groups(groups[observable.name], seeds)),
        *of_numbers(coordination),
        *of_curves(tables["structure"]),
    ]
    return pl.DataFrame([one.row() for one in corrected(committees)], schema=COMMITTEE)


def corrected(committees: Sequence[Committee]) -> list[Committee]:
    """Return committees of which "seeds differ" is said after Holm's correction over all that are tested: of many numbers some do by chance."""
    p_values = {i: one.spread.p_value for i, one in enumerate(committees) if one.verdict in TESTED and one.spread}
    tested = {i: p for i, p in p_values.items() if p is not None}
    said = list(committees)
    for i, p in zip(tested, holm(list(tested.values())), strict=True):
        if committees[i].verdict == DIFFER and p >= LEVEL:
            words = f"seeds would differ if this were the only one of {len(tested)} tests (Holm's correction)"
            said[i] = replace(committees[i], verdict=WITHIN, reason=words)
    return said
