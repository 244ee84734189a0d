"""Every table of the results by its name, with its columns in their order; columns beyond these follow them."""

from ionmelt.measure.observables import MEASUREMENTS
from ionmelt.tables import comparison, evaluation
from ionmelt.tables.columns import Schema
from ionmelt.tables.frames import EXPLORATION, SAMPLING
from ionmelt.tables.labels import LABELS
from ionmelt.tables.liquid import EQUILIBRATION
from ionmelt.tables.references import REFERENCES
from ionmelt.tables.runs import SURVIVAL
from ionmelt.tables.training import CURVES

TABLES: dict[str, Schema] = {
    "equilibration": EQUILIBRATION,
    "power": comparison.POWER,
    "labels": LABELS,
    "dataset": comparison.DATASET,
    "errors": evaluation.ERRORS,
    "survival": SURVIVAL,
    **{measurement.name: measurement.table for measurement in MEASUREMENTS},
    "scan": evaluation.named(evaluation.SCAN),
    "pressures": evaluation.named(evaluation.PRESSURES),
    "curves": CURVES,
    "trainings": comparison.TRAININGS,
    "sampling": SAMPLING,
    "cost": comparison.COST,
    "versions": comparison.VERSIONS,
    "dimers": evaluation.named(evaluation.DIMERS),
    "long_range": evaluation.named(evaluation.LONG_RANGE),
    "committee": comparison.COMMITTEE,
    "exploration": EXPLORATION,
    "rounds": comparison.ROUNDS,
    "forgetting": comparison.FORGETTING,
    "distillation": comparison.DISTILLATION,
    "summary": comparison.SUMMARY,
    "verdicts": comparison.VERDICTS,
    "pareto": comparison.PARETO,
    "learning": comparison.LEARNING,
    "worth": comparison.WORTH,
    "uncertainty": comparison.UNCERTAINTY,
    "references": REFERENCES,
    "failures": comparison.FAILURES,
}
