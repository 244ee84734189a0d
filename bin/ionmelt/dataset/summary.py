"""dataset.json: what the split of the labelled frames says of itself, and what a training reads of it."""

import json
from pathlib import Path

from ionmelt.dataset.settings import Split
from ionmelt.settings import Section, SettingsFile


class Dataset(Section):
    """One mixture: counts by part (train, valid), hashes of its frames and of their split, reference energies (eV) by element."""

    kinds: list[str]
    frames: dict[str, int]
    frames_with_stress: dict[str, int]
    dataset_hash: str
    split_hash: str
    fitted_e0s_ev: dict[str, float]  # to the training frames
    e0s_ev: dict[str, float]  # those of free atoms where they were given, else the fitted ones


class Chemistry(SettingsFile):
    """The level of theory of the labels, and the elements of all frames in the order of DeePMD's types."""

    theory_id: str
    elements: list[str]
    type_map: list[str]


class TrainingData(Dataset, Chemistry):
    """What a training is told of the mixture that it is on."""


class DatasetSummary(Chemistry):
    """The dataset.json beside the frames of a mixture: what is about another changes nothing for its trainings."""

    datasets: dict[str, Dataset]

    def training_data(self, name: str) -> TrainingData:
        """Return what a training on a mixture is told."""
        chemistry = {"theory_id": self.theory_id, "elements": self.elements, "type_map": self.type_map}
        return TrainingData.model_validate(self.datasets[name].model_dump() | chemistry)


class LabelCounts(Section):
    """How many frames were labelled, and how many of them without success."""

    tried: int
    failed: int


class TestSet(Section):
    """The frames that no training sees: their number, without those kept near the training, and the sha256 of their file."""

    frames: int
    hash: str


class SplitSummary(Chemistry):
    """The dataset.json of the whole split."""

    e0s_method: str
    split: Split
    groups: dict[str, int]  # by train, valid and test
    labels: LabelCounts
    duplicates: int
    test: TestSet
    datasets: dict[str, Dataset]

    def of(self, name: str) -> DatasetSummary:
        """Return what is about one mixture."""
        return DatasetSummary(
            theory_id=self.theory_id,
            elements=self.elements,
            type_map=self.type_map,
            datasets={name: self.datasets[name]},
        )


def write_summary(summary: SplitSummary | DatasetSummary, path: Path) -> None:
    """Write a summary as JSON."""
    path.write_text(json.dumps(summary.model_dump(mode="json"), indent=2) + "\n")
