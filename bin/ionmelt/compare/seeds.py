"""The spread between training seeds, beside the statistical error of the runs.

A committee of models that differ by their training seed alone shows how much of a density or a diffusion coefficient is
an accident of the training. That spread stands beside the statistical error of the runs, which longer runs would make
smaller and the spread would not.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from ionmelt.compare.groups import Row, grouped
from ionmelt.compare.many_tests import holm
from ionmelt.compare.runs import Run, run_of
from ionmelt.compare.seed_spread import SeedSpread, seed_spread
from ionmelt.compare.statistics import LEVEL, Z95
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


@dataclass(frozen=True)
class SeedMeans:
    """Mean values of training seeds (seeds,), each over its runs, and the statistical errors of these means (seeds,)."""

    means: np.ndarray
    errors: np.ndarray


def seed_means(runs: Iterable[Run]) -> SeedMeans:
    """Return the mean of each seed over its runs."""
    by_seed: dict[object, list[Run]] = {}
    for run in runs:
        by_seed.setdefault(run.seed, []).append(run)
    means, errors = [], []
    for _, members in sorted(by_seed.items(), key=lambda item: str(item[0])):
        means.append(np.mean([run.value for run in members]))
        errors.append(math.sqrt(sum(run.standard_error**2 for run in members)) / len(members))
    return SeedMeans(np.array(means, float), np.array(errors, float))


def of_numbers(frame: pl.DataFrame, name: str, unit: str | None = None) -> Iterator[Committee]:
    """Yield the committees of a table of runs: value, standard_error, converged, and what tells its numbers apart.

    ``name`` is the property; of a table with quantities and pairs those are the property and the species.
    """
    telling = [c for c in ("quantity", "state", "pair", "species", "unit") if c in frame.columns]
    keys = ["liquid", "temperature_K", *telling, "model", "dataset"]
    for key, rows in grouped(frame.filter(pl.col("seed").is_not_null()), keys):
        if len({row["seed"] for row in rows}) < 2:
            continue
        words = " ".join(key[c] for c in ("quantity", "state") if key.get(c))
        yield of_runs(key, [run_of(row) for row in rows], words or name, key.get("unit") or unit)


def of_runs(key: Row, runs: Sequence[Run], name: str, unit: str | None) -> Committee:
    """Return the committee of runs of one number."""
    used = [run for run in runs if run.is_used]
    seeds = len({run.seed for run in used})
    by_seed = seed_means(used)
    spread = seed_spread(by_seed.means, by_seed.errors) if seeds > 1 else None
    verdict, reason = judged(spread, runs)
    return Committee(
        key["liquid"], key["temperature_K"], name, key.get("pair") or key.get("species"), key["model"], key["dataset"],
        unit, seeds, verdict, reason, spread,
    )  # fmt: skip


def judged(spread: SeedSpread | None, runs: Sequence[Run]) -> tuple[str, str | None]:
    """Return the verdict on a spread and its reason; those of ``runs`` that have a number are behind it."""
    if spread is None:
        return "not judged", "fewer than two seeds gave a number"
    if lost := sum(not run.is_used for run in runs):
        return "not converged", f"{lost} of {len(runs)} runs have no number: those that are left are a biased sample"
    if poor := sum(not run.converged for run in runs):
        return "not converged", f"{poor} of {len(runs)} runs not converged: their statistical errors are too small"
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


def committee(t: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Return the table of the spread between training seeds, for every property of every model with two seeds or more."""
    density = t["density"].with_columns(value="density_kg_m3", standard_error="standard_error_kg_m3")
    half = (pl.col("ci95_high_m2_s") - pl.col("ci95_low_m2_s")) / (2 * Z95)
    diffusion = t["diffusion"].with_columns(value="diffusion_m2_s", standard_error=half)
    committees = [
        *of_numbers(density, "density", "kg/m3"),
        *of_numbers(diffusion, "diffusion", "m2/s"),
        *of_numbers(t["coordination"], "coordination"),
        *of_curves(t["structure"]),
    ]
    return pl.DataFrame([committee.row() for committee in corrected(committees)], schema=COMMITTEE)


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
