"""Judge the models: one number for each, the verdicts between them, and what the data were worth."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from ionmelt.compare import verdicts
from ionmelt.compare.errors import summarise_forces, summarise_scans
from ionmelt.compare.groups import Group
from ionmelt.compare.points import frame_points
from ionmelt.compare.reading import conform, table
from ionmelt.compare.statistics import Z95
from ionmelt.compare.summary import summarise_runs
from ionmelt.compare.worth import learning_and_worth
from ionmelt.measure.measurement import Observable
from ionmelt.measure.observables import OBSERVABLES
from ionmelt.tables.columns import REAL, TEXT
from ionmelt.tables.comparison import SUMMARY, VERDICTS


def run_rows(frame: pl.DataFrame, observable: Observable) -> pl.DataFrame:
    """Bring the measurements of a property of the liquid into the common form that `summary` combines."""
    end = observable.suffix
    if "n_effective" in observable.columns:
        error, dof = pl.col(f"standard_error_{end}"), pl.col("n_effective") - 1
    else:
        error, dof = (pl.col(f"ci95_high_{end}") - pl.col(f"ci95_low_{end}")) / (2 * Z95), pl.lit(math.inf)
    return frame.with_columns(
        value=observable.column,
        standard_error=error,
        dof=dof,
        correction=pl.col(observable.correction) if observable.correction else pl.lit(None, REAL),
        species=pl.col("species") if observable.by_species else pl.lit(None, TEXT),
    )


@dataclass(frozen=True)
class Models:
    """The models that there should be, as the study names and orders them.

    ``frame`` is the table of models (`comparison.MODELS`). ``mixtures`` are the named datasets of the study, with their kinds.
    ``truth`` is the model that is the method of the labels itself, None where none is.
    """

    frame: pl.DataFrame
    names: Sequence[str]
    mixtures: Mapping[str, Sequence[str]]
    truth: str | None = None

    def trained(self) -> dict[tuple[str, str | None], int]:
        """Return how many models there should be of each (model, dataset) that is trained."""
        trained = self.frame.filter(pl.col("dataset").is_not_null()).group_by("model", "dataset").len()
        return {(model, dataset): n for model, dataset, n in trained.sort("model", "dataset").iter_rows()}

    def cuts(self) -> dict[str, tuple[str | None, int | None]]:
        """Return of each dataset the mixture of the study that it is, and the number of frames it is cut to."""
        rows = self.frame.select("dataset", "mixture", "size").drop_nulls("dataset").iter_rows()
        return {dataset: (mixture, size) for dataset, mixture, size in rows}

    def ordered(self, groups: Sequence[Group]) -> list[Group]:
        """Return groups as the study orders its models and mixtures; others come last, and untrained models first."""
        mixtures = list(self.mixtures)

        def position(group: Group) -> tuple[int, int]:
            first = self.names.index(group.model) if group.model in self.names else len(self.names)
            return first, mixtures.index(group.dataset) if group.dataset in mixtures else -1

        return sorted(groups, key=position)


def judge(
    tables: dict[str, pl.DataFrame], references: pl.DataFrame, frames: pl.DataFrame, models: Models
) -> dict[str, pl.DataFrame]:
    """Return the tables summary (one number per model and property), verdicts, learning and worth.

    In a pair, model_a is the one that the study names first. ``frames`` holds the errors of test frames one by one.
    """
    groups = {
        observable.name: summarise_runs(run_rows(tables[observable.name], observable), observable.name, references)
        for observable in OBSERVABLES
    }
    liquids = tables["dataset"]["liquid"].unique().sort().to_list()
    of_all = liquids[0] if len(liquids) == 1 else "all"
    planned = models.trained()
    groups["force_rmse"] = summarise_forces(tables["errors"], of_all, frame_points(frames), planned)
    groups["scan_energy_rmse"] = summarise_scans(tables["scan"], planned)
    cuts = models.cuts()

    def with_cut(group: Group) -> Group:
        mixture, size = cuts.get(group.dataset, (None, None)) if group.dataset is not None else (None, None)
        return replace(group, mixture=mixture, size=size)

    groups = {quantity: models.ordered([with_cut(group) for group in of]) for quantity, of in groups.items()}
    summary = [group.row() for of in groups.values() for group in of]
    judged = [verdict.row() for of in groups.values() for verdict in verdicts.judge(of)]
    mixtures = {dataset: mixture for dataset, (mixture, _) in cuts.items() if mixture is not None}
    learning, worth = learning_and_worth(tables, groups, models.mixtures, models.truth, mixtures)
    return {
        "summary": table([pl.DataFrame(summary, schema=SUMMARY)], SUMMARY),
        "verdicts": conform(pl.DataFrame(judged, schema=VERDICTS), VERDICTS, sort=False),
        "learning": learning,
        "worth": worth,
    }
