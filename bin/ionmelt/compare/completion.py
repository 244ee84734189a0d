"""Completion of the tables: a row, with the reason, for every run without a number; references; the names of models."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from ionmelt.compare.groups import Row, reference_at
from ionmelt.compare.reading import conform, table
from ionmelt.compare.summary import SHARES
from ionmelt.compare.survival import COMPLETED, MISSING, at_time
from ionmelt.measure.observables import NAMED
from ionmelt.tables.columns import RUN, RUN_MODEL, TEXT, Schema
from ionmelt.tables.comparison import COST, VERSIONS
from ionmelt.tables.published import TABLES

OF_A_MODEL = ["liquid", "temperature_K", "model", "dataset"]
# What tells one number of a run from another, in the tables that have columns `NUMBER`
TELLING = ("species", "feature", "quantity", "pair", "state", "state_from", "state_to", "unit")
NEVER = "never seen in this run"


def why_unmeasured(run: Row, what: str) -> str:
    """Return the reason why a run has no measurement."""
    if run["end"] == MISSING:
        return str(run["detail"])
    if run["end"] != COMPLETED:
        return f"the run ended by {run['end']}{at_time(run)}, without {what}"
    return f"the run completed, but {what} was not measured"


def complete(
    name: str, measured: pl.DataFrame, survival: pl.DataFrame, species: Mapping[str, Sequence[str]] | None = None
) -> pl.DataFrame:
    """Add a row, not converged and with its reason, for every run (and species of its liquid) that a table lacks.

    A measured row without species stands for the whole run: its reason is that of each species.
    """
    what = NAMED[name].noun
    reasons = {}
    if species is not None:
        of_runs = measured.filter(pl.col("species").is_null()).select("run_id", "reason")
        reasons = {run_id: reason for run_id, reason in of_runs.iter_rows() if reason}
        measured = measured.filter(pl.col("species").is_not_null())
    have = set(measured.select("run_id", species="species" if species is not None else pl.lit(None, TEXT)).iter_rows())
    rows = [
        {c: run[c] for c in (*RUN, *RUN_MODEL)}
        | {"converged": False, "reason": reasons.get(run["run_id"]) or why_unmeasured(run, what)}
        | ({} if species is None else {"species": ion})
        for run in survival.to_dicts()
        for ion in ([None] if species is None else species.get(run["liquid"], []))
        if (run["run_id"], ion) not in have
    ]
    added = conform(pl.DataFrame(rows, infer_schema_length=None), TABLES[name])
    return table([measured, added], TABLES[name])


def complete_numbers(name: str, measured: pl.DataFrame, survival: pl.DataFrame) -> pl.DataFrame:
    """Add to a table of numbers a row for every run that lacks one which another run of its model has.

    A state that a run never shows has a share of 0 there, and nothing goes over to it: the mean of the runs that show it would be too large. Where the
    run shows nothing of the kind, the row has no value.
    """
    keys = [column for column in TELLING if column in TABLES[name]]
    runs = survival.select(*RUN, *RUN_MODEL, "end", "detail", "survived_ps")
    wanted = runs.join(measured.select(*OF_A_MODEL, *keys).unique(), on=OF_A_MODEL, nulls_equal=True)
    lacking = wanted.join(measured, on=["run_id", *keys], how="anti", nulls_equal=True)
    of_kind = ["run_id", *(column for column in keys if column not in ("state", "state_to"))]
    seen = measured.drop_nulls("value").select(of_kind).unique().with_columns(is_seen=True)
    lacking = lacking.join(seen, on=of_kind, how="left", nulls_equal=True)
    is_part = pl.col("quantity") == "transition_rate"
    if "state" in keys:
        is_part = pl.col("quantity").str.contains(f"({'|'.join(SHARES)})$") & pl.col("state").is_not_null()
    lacking = lacking.with_columns(is_never=pl.col("is_seen").fill_null(False) & is_part)
    have = set(measured["run_id"])
    reasons = [
        NEVER
        if run["is_never"]
        else "not seen in this run"
        if run["run_id"] in have
        else why_unmeasured(run, "structure")
        for run in lacking.to_dicts()
    ]
    added = lacking.select(*RUN, *RUN_MODEL, *keys).with_columns(
        value=pl.Series([0.0 if is_never else None for is_never in lacking["is_never"]], dtype=pl.Float64),
        converged=pl.lit(False),
        reason=pl.Series(reasons, dtype=TEXT),
    )
    return table([measured, added], TABLES[name])


def species_of(ions: Mapping[str, Sequence[str]], diffusion: pl.DataFrame) -> dict[str, list[str]]:
    """Return the ion kinds of every liquid: ``ions``, those that the study asks for, and any that were measured."""
    species = {liquid: set(names) for liquid, names in ions.items()}
    for liquid, name in diffusion.select("liquid", "species").drop_nulls().unique().iter_rows():
        species.setdefault(liquid, set()).add(name)
    return {liquid: sorted(names) for liquid, names in species.items()}


def with_reference(density: pl.DataFrame, references: pl.DataFrame) -> pl.DataFrame:
    """Fill in the reference density at each row's temperature, where one is known."""
    states = density.select("liquid", "temperature_K").unique(maintain_order=True)
    rows = []
    for liquid, kelvin in states.iter_rows():
        if reference := reference_at(references, liquid, "density", None, kelvin):
            rows.append({
                "liquid": liquid, "temperature_K": kelvin, "reference_kg_m3": reference.value,
                "reference_low_kg_m3": reference.low, "reference_high_kg_m3": reference.high,
                "reference_source": reference.source, "reference_interpolated": reference.interpolated,
                "reference_second_hand": reference.second_hand,
            })  # fmt: skip
    names = [c for c in TABLES["density"] if c.startswith("reference_")]
    measured = conform(
        pl.DataFrame(rows, infer_schema_length=None), {c: TABLES["density"][c] for c in (*states.columns, *names)}
    )
    return conform(density.drop(names).join(measured, on=states.columns, how="left"), TABLES["density"])


def name_models(frame: pl.DataFrame, models: pl.DataFrame, columns: tuple[str, ...], schema: Schema) -> pl.DataFrame:
    """Add to a table of model_key what the plan (or else the model cards) says about each model."""
    names = models.select(*columns, model_key="key")
    named = frame.drop([c for c in columns if c in frame.columns]).join(names, on="model_key", how="left")
    if "model" in columns:
        named = named.with_columns(pl.coalesce("model", "model_key").alias("model"))
    return conform(named, schema)


def cost_of(tasks: Iterable[Row]) -> pl.DataFrame:
    """Return the cost of every task."""
    return conform(pl.DataFrame([{c: task.get(c) for c in COST} for task in tasks], infer_schema_length=None), COST)


def versions_of(tasks: Iterable[Row]) -> pl.DataFrame:
    """Return the versions of the libraries that each process ran with, and in how many tasks."""
    times = Counter((t["process"], library, str(v)) for t in tasks for library, v in t.get("versions", {}).items())
    return conform(pl.DataFrame([(*key, n) for key, n in times.items()], VERSIONS, orient="row"), VERSIONS)
