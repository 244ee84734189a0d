"""Judge the models: one number for each, the verdicts between them, and what the data were worth."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from ionmelt.compare import answers, curves, distillation, seeds, verdicts, worth
from ionmelt.compare.answers import Answer
from ionmelt.compare.comparison import Comparison, comparisons
from ionmelt.compare.displacements import curves_of
from ionmelt.compare.errors import summarise_forces, summarise_scans
from ionmelt.compare.groups import Group, Reference, with_spread
from ionmelt.compare.learning import points
from ionmelt.compare.points import frame_points
from ionmelt.compare.reading import conform, table
from ionmelt.compare.statistics import Z95
from ionmelt.compare.summary import summarise_runs
from ionmelt.compare.survival import groups_of_survival
from ionmelt.measure.measurement import Observable
from ionmelt.measure.observables import OBSERVABLES
from ionmelt.tables.columns import REAL, TEXT
from ionmelt.tables.comparison import COMMITTEE, SUMMARY, VERDICTS


def run_rows(frame: pl.DataFrame, observable: Observable, survival: pl.DataFrame) -> pl.DataFrame:
    """Bring the measurements of a property of the liquid into the common form that `summary` combines.

    ``survival`` says how each run began and ended.
    """
    end = observable.suffix
    if "n_effective" in observable.columns:
        error, dof = pl.col(f"standard_error_{end}"), pl.col("n_effective") - 1
    else:
        error, dof = (pl.col(f"ci95_high_{end}") - pl.col(f"ci95_low_{end}")) / (2 * Z95), pl.lit(math.inf)
    runs = survival.select("run_id", "end", "start_volume").unique("run_id", keep="first", maintain_order=True)
    return frame.join(runs, on="run_id", how="left", maintain_order="left").with_columns(
        value=observable.column,
        standard_error=error,
        dof=dof,
        correction=pl.col(observable.correction) if observable.correction else pl.lit(None, REAL),
        correction_error=pl.col(observable.correction_error) if observable.correction_error else pl.lit(None, REAL),
        correction_source=pl.col(observable.correction_source) if observable.correction_source else pl.lit(None, TEXT),
        species=pl.col("species") if observable.by_species else pl.lit(None, TEXT),
    )


@dataclass(frozen=True)
class Models:
    """The models that there should be, as the study names and orders them.

    ``frame`` is the table of models (`comparison.MODELS`). ``mixtures`` are the named datasets of the study, with their kinds.
    ``truth`` is the model that is the method of the labels itself, None where none is. ``margins``: by property, the share of its value
    that does not matter.
    """

    frame: pl.DataFrame
    names: Sequence[str]
    mixtures: Mapping[str, Sequence[str]]
    truth: str | None = None
    margins: Mapping[str, float] = field(default_factory=dict)

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
    """Return the tables summary (one number per model and property), verdicts, committee, distillation, learning and worth.

    In a pair, model_a is the one that the study names first. ``frames`` holds the errors of test frames one by one.
    """
    groups = groups_of(tables, references, frames, models)
    summary = [group.row() for quantity, of in groups.items() if quantity != "survival" for group in of]
    mixtures = {dataset: mixture for dataset, (mixture, _) in models.cuts().items() if mixture is not None}
    curve = points(tables, groups, mixtures)
    asked = worth.questions(tables, curve, models.mixtures)
    made = [comparison for of in groups.values() for comparison in comparisons(of, models.truth)]
    beside, besides = asked_once(made, asked)
    judged = verdicts.judge(made, models.margins, answers.p_values_of(besides))
    learning, worth_table = worth.tables(curve, answers.decide(asked, verdicts.winning_p_values(beside)))
    return {
        "summary": table([pl.DataFrame(summary, schema=SUMMARY)], SUMMARY),
        "verdicts": conform(pl.DataFrame([verdict.row() for verdict in judged], schema=VERDICTS), VERDICTS, sort=False),
        "committee": table([seeds.table(tables, groups, models.trained())], COMMITTEE),
        "distillation": distillation.table(tables, groups, models.truth),
        "learning": learning,
        "worth": worth_table,
    }


def asked_once(made: Sequence[Comparison], asked: Sequence[Answer]) -> tuple[list[Comparison], list[Answer]]:
    """Return the comparisons that no answer repeats, and the answers that repeat no comparison.

    Whether the errors of two datasets of one model differ is asked by both: one test, that counts once in their family.
    """
    of_answers = {answer.pair for answer in asked if answer.p_value is not None and answer.pair is not None}
    of_comparisons = {comparison.pair for comparison in made if comparison.is_decidable and comparison.b is not None}
    return (
        [comparison for comparison in made if comparison.pair not in of_answers],
        [answer for answer in asked if answer.pair not in of_comparisons],
    )


def groups_of(
    tables: dict[str, pl.DataFrame], references: pl.DataFrame, frames: pl.DataFrame, models: Models
) -> dict[str, list[Group]]:
    """Return the groups of each property and of survival, in the order of the study."""
    displaced = {"diffusion": curves_of(tables["displacement"])}
    groups = {
        observable.name: summarise_runs(
            run_rows(tables[observable.name], observable, tables["survival"]), observable.name, references,
            displaced.get(observable.name),
        )
        for observable in OBSERVABLES
    }  # fmt: skip
    heavy = tables["survival"].select(pl.col("hydrogen_mass_u").max()).item()
    for observable in OBSERVABLES:
        if observable.of_motion:
            groups[observable.name] = [replace(group, hydrogen_mass_u=heavy) for group in groups[observable.name]]
    liquids = tables["dataset"]["liquid"].unique().sort().to_list()
    of_all = liquids[0] if len(liquids) == 1 else "all"
    planned, cuts, undertrained = models.trained(), models.cuts(), curves.undertrained(tables["trainings"])
    groups["force_rmse"] = summarise_forces(tables["errors"], of_all, frame_points(frames), planned)
    groups["scan_energy_rmse"] = summarise_scans(tables["scan"], planned)
    groups["survival"] = groups_of_survival(tables["survival"])

    def with_training(group: Group) -> Group:
        mixture, size = cuts.get(group.dataset, (None, None)) if group.dataset is not None else (None, None)
        short = undertrained.get((group.model, group.dataset), ())
        return replace(group, mixture=mixture, size=size, undertrained=tuple(short))

    groups = {quantity: models.ordered([with_training(group) for group in of]) for quantity, of in groups.items()}
    of_liquid = [observable.name for observable in OBSERVABLES]
    return groups | {quantity: with_truth(with_spread(groups[quantity]), models.truth) for quantity in of_liquid}


def with_truth(groups: Sequence[Group], truth: str | None) -> list[Group]:
    """Give the groups of trained models the truth in their state, where the study runs it, as what they are held against.

    It takes the place of experiment, which is another question: what the labels are worth. A truth that is not converged is none.
    """
    true = {group.state: group for group in groups if group.model == truth}
    return [
        group if group.dataset is None or group.state not in true else replace(
            group, truth=true[group.state], reference=truth_as_reference(true[group.state]),
        )
        for group in groups
    ]  # fmt: skip


def truth_as_reference(truth: Group) -> Reference | None:
    """Return the reference that a truth is; None where it is not converged."""
    if not truth.converged or truth.estimate is None or truth.interval is None:
        return None
    low, high = truth.interval
    source = f"{truth.name}, the method of the labels itself"
    return Reference(truth.estimate.value, low, high, source, second_hand=False, is_truth=True)
