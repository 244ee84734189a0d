"""The rows of the plan's tables of keys, one class a table: its fields are the columns, in their order."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BoxRow:
    """A box to build: a row of boxes.csv; ``for_labels`` says whether its force field is what the frames are labelled by."""

    key: str
    liquid: str
    replica: int
    for_labels: bool = False


@dataclass(frozen=True)
class StateRow:
    """A box at a temperature, to equilibrate: a row of states.csv."""

    key: str
    box: str
    liquid: str
    temperature_K: float
    replica: int


@dataclass(frozen=True)
class ModelRow:
    """A model: a row of models.csv.

    ``image`` and ``environment`` say what it runs in, with containers and without. ``role`` is ``model``, ``start`` (the
    weights that a tuned model starts from, evaluated but not run) or ``labels`` (what made the labels, where it is cheap: of it
    only atoms and pairs are computed); ``start`` names the row of the weights that a tuned model starts from.
    ``dataset`` is the ``mixture`` of the study, cut to ``size`` frames where there is one. ``theory`` is the level that a
    model from elsewhere imitates, ``same_theory`` whether it is that of the labels.
    """

    key: str
    model: str
    framework: str
    dataset: str | None = None
    mixture: str | None = None
    size: int | None = None
    seed: int | None = None
    trained: bool = False
    imported: bool = False
    image: str = "analysis"
    environment: str = "analysis"
    role: str = "model"
    start: str | None = None
    theory: str | None = None
    labels_theory: str | None = None
    same_theory: bool | None = None


@dataclass(frozen=True)
class RunRow:
    """The molecular dynamics of a model in a state: a row of runs.csv."""

    key: str
    liquid: str
    state: str
    model_key: str
    framework: str
    batch: str
    batch_size: int
    image: str
    environment: str


@dataclass(frozen=True)
class SampleRow:
    """A liquid that is sampled: a row of samples.csv."""

    key: str


@dataclass(frozen=True)
class LabelEngineRow:
    """What computes the labels of the study, and what it runs in: the row of label_engine.csv."""

    engine: str = ""  # nothing where no label is computed
    image: str = "analysis"
    environment: str = "analysis"
    gpu: bool = False


@dataclass(frozen=True)
class FileRow:
    """A file that the study names, what it is for, and for which box or model: a row of files.csv."""

    role: str
    id: str
    path: str


@dataclass(frozen=True)
class ExploreRow:
    """A walk of a committee in active learning: a row of explore.csv; its members are keys of models."""

    key: str
    liquid: str
    state: str
    dataset: str
    members: str
    image: str
    environment: str


@dataclass(frozen=True)
class ChooseRow:
    """A choice among the frames of a liquid that walks of a round have found: a row of choose.csv."""

    key: str
    liquid: str
