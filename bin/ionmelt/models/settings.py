"""What a study says of its models."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    JsonValue,
    Tag,
)

from ionmelt.settings import Count, Key, Path_, Real, Section, Sha256, TaskSettings, Text, auto_or_number, count, number
from ionmelt.theory import FITTED

# --- Models --------------------------------------------------------------------------------------------


class AnyModel(Section):
    """What every model shares."""

    if TYPE_CHECKING:
        framework: str  # the second field of each framework's section
    id: Key = Field(description="name of the model in every table: small letters, digits, _ and .")

    @property
    def is_trained(self) -> bool:
        """Whether it is trained in this study."""
        return False

    @property
    def is_imported(self) -> bool:
        """Whether it comes from elsewhere and is used as it is."""
        return False


D3BJ_FUNCTIONALS = FITTED["D3(BJ)"]


class AddedDispersion(Section):
    """D3(BJ), two-body, by simple-dftd3: for a model that imitates a functional without dispersion."""

    functional: Literal[D3BJ_FUNCTIONALS] = Field(  # type: ignore[valid-type]
        description="functional that the model imitates: its D3(BJ) parameters are used"
    )
    cutoff_A: Real = number(
        16.0, 8, 40, "radius of the pairs (A); they are switched off smoothly over the last 2 A, so that energy is kept"
    )


class OwnModel(AnyModel):
    """What a model that comes from elsewhere may say of itself."""

    theory: Text | None = Field(
        default=None,
        description="level of theory that the weights imitate, such as PBE: compared with that of the labels",
    )
    dispersion: AddedDispersion | None = Field(
        default=None, description="D3(BJ) added to a zero-shot model without dispersion, such as {functional: PBE}"
    )

    @property
    def is_imported(self) -> bool:
        """Whether it comes from elsewhere and is used as it is."""
        return not self.is_trained


class LearnedModel(OwnModel):
    """A model that is trained here, or comes as weights."""

    if TYPE_CHECKING:
        mode: str | None  # use of the weights: each framework has its own choices
        learning_rate: float | None
    datasets: tuple[Key, ...] | None = Field(
        default=None,
        min_length=1,
        description="datasets to train on, one model for each; left out, all of them",
    )
    weights: Path_ | None = Field(default=None, description="file of weights to start from or to use as they are")
    sha256: Sha256 | None = Field(default=None, description="sha256 of the weights: checked before they are opened")
    licence: Text | None = Field(default=None, description="licence of the weights, such as MIT")
    head: Text | None = Field(default=None, description="head (branch) of weights that have several")
    theory_change: bool = Field(
        False, description="fine-tune on labels of another level of theory than the weights imitate, knowing it"
    )

    @property
    def is_trained(self) -> bool:
        """Whether it is trained in this study."""
        return self.mode != "zero-shot"


def weight(description: str, share: str) -> Any:
    """Return a field for a weight of the loss; `share` of the gradient is what it begins with where all are left open."""
    return Field(default="auto", description=f"{description}; auto: from the data, for {share} of the gradient")


LossWeight = Annotated[
    Annotated[Literal["auto"], Tag("auto")] | Annotated[Real, Field(ge=0, le=1e9, allow_inf_nan=False), Tag("number")],
    Discriminator(auto_or_number),
]


# --- How long trainings are ------------------------------------------------------------------------------


class TrainingBudget(Section):
    """How much is spent on each training: one length of all, for a comparison at equal cost, and how many settings are tried."""

    core_minutes: Real | None = number(
        None,
        0.1,
        1e7,
        "core-minutes that each training takes, start and validation too (of a GPU: minutes, times the threads): as many steps "
        "or epochs as fit in, by the pace of short trainings before it; their number is in the card, and giving it instead repeats "
        "the training elsewhere; all trials together take them, in equal parts",
    )
    trials: Count | None = count(
        None,
        1,
        8,
        "trainings of each model and seed, of which the one with the least validation errors is kept: the first with the settings of the "
        "study, the others with the learning rate, what it falls to, the weights of energy and stress, and (without core_minutes) as many "
        "or down to half as many steps or epochs, as optuna asks; left out: one, without a search",
    )


# --- Tasks ---------------------------------------------------------------------------------------------


class TrainingSettings(TaskSettings, LearnedModel):
    """What a training is told; each framework adds its section to it. `weights` and other files are names of files."""

    model: str = Field(description="name of the model in the study")
    framework: str
    dataset: str = Field(description="mixture that it is trained on")
    seed: Count = Field(description="seed of the training")
    theory_id: str | None = Field(description="level of theory of the labels")
    labels_theory: str | None = Field(default=None, description="its name")
    core_minutes: Real | None = Field(
        default=None, description="what the training may take; None: the steps or epochs that are given"
    )
    trials: Count | None = Field(
        default=None, description="trainings of which the best is kept; left out: one, without a search"
    )
    round: Count | None = Field(default=None, description="round of active learning; left out where there is none")


class PublishedEnergy(Section):
    """The energy (eV) of some atoms alone in vacuum that a project publishes of its model, in double precision."""

    formula: str
    positions_A: tuple[tuple[float, float, float], ...]
    energy_ev: float


class ImportSettings(TaskSettings):
    """What IMPORT_MODEL is told of a model that comes from elsewhere."""

    model: str = Field(description="name of the model in the study")
    framework: str
    dataset: str | None = None
    seed: Count | None = None
    role: str | None = Field(default=None, description="labels: what made the labels")
    weights: Path_ | None = Field(default=None, description="name of the file of weights")
    sha256: Sha256 | None = None
    licence: Text | None = None
    theory: Text | None = None
    dispersion: AddedDispersion | None = None
    head: Text | None = None
    dtype: Literal["float32", "float64"] | None = None
    calculator: str | None = None
    calculator_sha256: Sha256 | None = None
    arguments: dict[str, JsonValue] = Field(default={})
    weights_argument: str | None = None
    row: str | None = Field(default=None, description="name in the table of named models")
    device_argument: str | None = None
    shipped: dict[str, Sha256] = Field(default={}, description="weights that a package holds: path in it, and sha256")
    elements: tuple[str, ...] | None = None
    cutoff_A: float | None = None
    published: tuple[PublishedEnergy, ...] = Field(default=(), description="energies that its project publishes")
    liquid_elements: tuple[str, ...] = Field(description="elements that the model must know")
