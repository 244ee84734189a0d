"""The study file: what a user may write, in which units and within which bounds.

The pydantic models below are the one definition: `studies/schema.json` is made from them, and `read_draft`
turns every departure from them into one line that names the field, the value and what would be right. What
needs more than one field to judge (charges, boxes, datasets) is in the `check_*.py` beside it.
"""

import json
from typing import Annotated

from pydantic import (
    Field,
)

from ionmelt.compare.settings import Margins
from ionmelt.compare.truth import labellers
from ionmelt.dataset.settings import Split
from ionmelt.dynamics.settings import Md
from ionmelt.frames.settings import Active, Sampling
from ionmelt.labels.engines import ENGINES, LabelEngine
from ionmelt.labels.engines.settings import LabelTasks
from ionmelt.labels.settings import Labels
from ionmelt.liquid.settings import Equilibration, Liquid
from ionmelt.models.frameworks import Model
from ionmelt.models.settings import TrainingBudget
from ionmelt.settings import Count, Key, Path_, Real, SettingsFile, number


class Study(SettingsFile):
    """A study for Ionmelt: liquids, labels, models and the molecular dynamics that compares them."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=60)] = Field(
        "study", description="name of the study: small letters, digits, _, . and -"
    )
    description: str | None = Field(default=None, max_length=2000, description="what the study is for, in a sentence")
    liquids: tuple[Liquid, ...] = Field(min_length=1, max_length=200, description="liquids to study")
    equilibration: Equilibration = Field(
        default_factory=Equilibration, description="the classical run that all models start from"
    )
    sampling: Sampling | None = Field(
        default=None, description="frames to label; needed to train, unless labels.frames"
    )
    labels: Labels | None = Field(default=None, description="level of theory of the labels; needed to train")
    datasets: dict[Key, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        {},
        max_length=50,
        description="named mixtures of kinds to train on, such as {eq: [eq], both: [eq, neq]}; -LIQUID leaves a liquid out, "
        "to see whether a model knows it without having been trained on it",
    )
    sizes: tuple[Annotated[Count, Field(ge=1, le=1_000_000)], ...] = Field(
        (),
        max_length=20,
        description="learning curves: numbers of training frames that each dataset is cut to, besides all of them; the "
        "frames that differ most are kept",
    )
    whole_datasets: bool = Field(
        True,
        description="train on the whole datasets too, besides those cut to sizes; false: on equal numbers of frames only",
    )
    split: Split = Field(default_factory=Split, description="division into training, validation and test")
    active: Active | None = Field(
        default=None,
        description="active learning: what a round (--previous) adds to datasets with the kind active, such as {al: [eq, active]}",
    )
    models: tuple[Model, ...] = Field(min_length=1, max_length=100, description="models to compare")
    training: TrainingBudget | None = Field(
        default=None,
        description="what each training takes, in place of steps and epochs, such as {core_minutes: 60}: all models at equal cost; and "
        "how many settings are tried, such as {trials: 4}",
    )
    heldout_frames: Path_ | None = Field(
        default=None,
        description="labelled frames of other chemistry (extxyz with REF_energy, REF_forces and, where they have one, REF_stress), at the level of "
        "the weights: tells what a fine-tuned model has lost",
    )
    seeds: tuple[Annotated[Count, Field(ge=0, le=2**31 - 1)], ...] = Field(
        (1,),
        min_length=1,
        max_length=100,
        description="every learned model is trained once for each of these seeds",
    )
    md: Md = Field(default_factory=Md, description="molecular dynamics of every model")
    references: tuple[Path_, ...] = Field(
        ("assets/references/ilthermo.csv", "assets/references/solvents.csv"),
        max_length=50,
        description="CSV files of measured values to compare with",
    )
    margins: Margins | None = Field(
        default=None,
        description="differences that do not matter, in percent, such as {density_percent: 1, diffusion_percent: 15}: models within "
        "them are called equivalent",
    )
    budget_core_hours: Real = number(
        100_000.0, 0.001, 1e9, "the plan is refused where its estimated cost is above this (CPU core-hours)"
    )

    @property
    def label_engine(self) -> LabelEngine | None:
        """The row of the engine that computes the labels; None where none are computed."""
        return ENGINES[self.labels.engine] if isinstance(self.labels, LabelTasks) else None

    @property
    def truths(self) -> list[str]:
        """The models that are the method of the labels itself; none where none is, or no label is computed."""
        if not isinstance(self.labels, LabelTasks):
            return []
        models = [model.model_dump(mode="json") for model in self.models]
        return labellers({"models": models}, self.labels.model_dump(mode="json"))

    @property
    def refines(self) -> bool:
        """Whether equilibrium frames are taken from dynamics of the models of the round before."""
        return self.sampling is not None and self.sampling.eq is not None and self.sampling.eq.refine > 0

    def runs(self, model: str) -> bool:
        """Return whether a model, by its id, runs molecular dynamics."""
        return self.md.models is None or model in self.md.models


def schema() -> str:
    """Return the JSON schema of the study file, as `studies/schema.json` holds it."""
    body = Study.model_json_schema()
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **body}, indent=2) + "\n"
