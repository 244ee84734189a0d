"""The results of a study, as the sections of the report read them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from ionmelt.chemical_names import ChemicalNames
from ionmelt.measure.view import View
from ionmelt.models.card import Card
from ionmelt.report.figures import Style
from ionmelt.report.structures import Structure
from ionmelt.report.words import Row, Tables


@dataclass(frozen=True)
class Results:
    """The tables of a study by name, and what the report shows beside them."""

    tables: Tables
    study: Row  # study.json and labels.json, as the plan wrote them
    labels: Row
    estimate: Row = field(default_factory=dict)  # estimate.json; empty where the plan has none
    cards: Sequence[Card] = ()
    warnings: Sequence[str] = ()  # of the plan
    parity: pl.DataFrame = field(default_factory=pl.DataFrame)
    calibration: dict[tuple[str, str, str], dict[str, list[float]]] = field(
        default_factory=dict
    )  # by committee, quantity
    models: pl.DataFrame = field(default_factory=pl.DataFrame)
    cuts: dict[str, str] = field(default_factory=dict)  # dataset -> the mixture that it is a part of
    delivered: set[str] = field(default_factory=set)  # keys of the models that are there
    view: View | None = None
    structures: Sequence[Structure] = ()  # frames of the test set that the page can show
    names: ChemicalNames = field(default_factory=ChemicalNames)

    @cached_property
    def style(self) -> Style:
        """The colours and markers of models and datasets."""
        return Style(self.tables, self.study)

    @property
    def datasets(self) -> dict[str, Sequence[str]]:
        """What each dataset is made of."""
        return self.study.get("datasets") or {}
