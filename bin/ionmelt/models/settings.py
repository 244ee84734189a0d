"""What a study says of its models."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    JsonValue,
    Tag,
)

from ionmelt.mistakes import CLASS, FOLDER, IMAGE
from ionmelt.settings import Count, Key, Path_, Real, Section, Sha256, Text, auto_or_number, count, finite, number
from ionmelt.theory import FITTED

# --- Models --------------------------------------------------------------------------------------------


class AnyModel(Section):
    """What every model shares."""

    id: Key = Field(description="name of the model in every table: small letters, digits, _ and .")


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


class LearnedModel(OwnModel):
    """A model that is trained here, or comes as weights."""

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


def weight(description: str, share: str) -> Any:
    """Return a field for a weight of the loss; `share` of the gradient is what it begins with where all are left open."""
    return Field(default="auto", description=f"{description}; auto: from the data, for {share} of the gradient")


LossWeight = Annotated[
    Annotated[Literal["auto"], Tag("auto")] | Annotated[Real, Field(ge=0, le=1e9, allow_inf_nan=False), Tag("number")],
    Discriminator(auto_or_number),
]


class MaceModel(LearnedModel):
    """A MACE model."""

    framework: Literal["mace"] = Field(description="mace")
    mode: Literal["zero-shot", "finetune", "replay", "lora"] | None = Field(
        default=None,
        description="use of the weights: as they are; fine-tuned; fine-tuned along with replay_frames, in a head of their "
        "own; or changed by matrices of low rank alone",
    )
    replay_frames: Path_ | None = Field(
        default=None, description="extxyz of the foundation model's own data (mode replay)"
    )
    replay_per_frame: Real = number(4.0, 0.01, 1e4, "replayed frames for each training frame, at most (mode replay)")
    freeze: Literal["none", "embedding", "interactions", "products"] = Field(
        default="none", description="part of weights up to which they stay as they are (modes finetune and replay)"
    )
    lora_rank: Count = count(4, 1, 1024, "rank of the changes (mode lora)")
    channels: Count = count(128, 1, 2048, "feature channels")
    max_L: Count = count(1, 0, 4, "highest order of the equivariant messages")
    r_max_A: Real = number(6.0, 2, 15, "cut-off radius (A)")
    interactions: Count = count(2, 1, 4, "message-passing layers")
    max_ell: Count = count(3, 1, 6, "highest order of the spherical harmonics of an edge")
    correlation: Count = count(3, 1, 4, "body order of the messages, less one")
    epochs: Count = count(200, 1, 1_000_000, "passes over the training frames")
    batch_size: Count = count(5, 1, 10_000, "frames in a gradient step")
    learning_rate: Real | None = number(
        None, 1e-7, 1, "first learning rate; left out, 0.01, or 0.001 (lora: 0.005) where weights are tuned"
    )
    final_learning_rate: Real | None = number(
        None, 1e-10, 1, "last learning rate, reached exponentially; left out, a fiftieth of the first"
    )
    energy_weight: LossWeight = weight("weight of the energy (per atom, squared) in the loss", "a sixth")
    forces_weight: LossWeight = Field(default="auto", description="weight of the forces in the loss; auto is 100")
    stress_weight: LossWeight = weight("weight of the stress in the loss, on which the density depends", "a third")
    dtype: Literal["float32", "float64"] = Field("float32", description="precision of training and MD")


class DeepmdModel(LearnedModel):
    """A DeePMD model."""

    framework: Literal["deepmd"] = Field(description="deepmd")
    mode: Literal["zero-shot", "finetune"] | None = Field(
        default=None, description="use of the weights: as they are, or fine-tuned (a checkpoint; DPA-2 and DPA-3 too)"
    )
    descriptor: Literal["se_e2_a"] = Field("se_e2_a", description="descriptor; weights bring their own")
    rcut_A: Real = number(6.0, 2, 15, "cut-off radius (A)")
    rcut_smth_A: Real = number(0.5, 0, 14.9, "radius where the cut-off begins to smooth (A)")
    neurons: tuple[Annotated[Count, Field(ge=1, le=4096)], ...] = Field(
        (25, 50, 100), min_length=1, max_length=10, description="widths of the embedding net's layers"
    )
    axis_neurons: Count = count(16, 1, 1024, "width of the descriptor's axis; at most the last of neurons")
    fitting_neurons: tuple[Annotated[Count, Field(ge=1, le=4096)], ...] = Field(
        (240, 240, 240), min_length=1, max_length=10, description="widths of the fitting net's layers"
    )
    steps: Count = count(400_000, 1, 100_000_000, "gradient steps")
    batch_size: Count = count(1, 1, 10_000, "frames in a gradient step")
    learning_rate: Real = number(0.001, 1e-7, 1, "first learning rate; it falls exponentially over the steps")
    final_learning_rate: Real | None = number(None, 1e-10, 1, "last learning rate; left out, a hundredth of the first")
    # From its start to its limit each weight goes as the learning rate does: limit + (start - limit) * rate / first rate.
    start_pref_e: LossWeight = weight("weight of the energy in the loss at the start", "a sixth")
    limit_pref_e: LossWeight = weight("weight of the energy as the learning rate nears zero", "a sixth")
    start_pref_f: LossWeight = Field(default="auto", description="weight of the forces at the start; auto is 1")
    limit_pref_f: LossWeight = Field(
        default="auto", description="weight of the forces as the learning rate nears zero; auto is 1"
    )
    start_pref_v: LossWeight = weight("weight of the virial at the start, on which the density depends", "a third")
    limit_pref_v: LossWeight = weight("weight of the virial as the learning rate nears zero", "a third")


class ClassicalModel(AnyModel):
    """The liquid's own classical force field, as a baseline."""

    framework: Literal["classical"] = Field(description="classical: the force field of each liquid")


class XtbModel(AnyModel):
    """A semi-empirical method as a model."""

    framework: Literal["xtb"] = Field(description="xtb: MD by the semi-empirical method itself")
    method: Literal["GFN1-xTB", "GFN2-xTB"] = Field("GFN1-xTB", description="the Hamiltonian")
    accuracy: Real = number(0.1, 1e-4, 10, "tblite's accuracy factor: smaller is tighter")


PLAIN_DATA = "true, false, numbers, texts, and lists and sections of them"


class AseModel(OwnModel):
    """Any ASE calculator, in an environment of your own; it is first imported by its own task, not by the plan."""

    framework: Literal["ase"] = Field(description="ase: a calculator class of any Python library")
    calculator: Annotated[str, Field(pattern=CLASS, max_length=200)] = Field(
        description="dotted name of a subclass of ASE's Calculator, such as tblite.ase.TBLite, or of a class method that "
        "makes one"
    )
    arguments: dict[str, Annotated[JsonValue, AfterValidator(finite)]] = Field(
        {}, max_length=50, description=f"arguments of the calculator, by name: {PLAIN_DATA}"
    )
    weights: Path_ | None = Field(default=None, description="file of weights that the calculator loads")
    weights_argument: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$", max_length=100)] | None = Field(
        default=None, description="name of the argument that takes the path of the weights"
    )
    sha256: Sha256 | None = Field(default=None, description="sha256 of the weights: checked before they are opened")
    licence: Text | None = Field(default=None, description="licence of the model, such as MIT")
    image: Annotated[str, Field(pattern=IMAGE, max_length=300)] | None = Field(
        default=None,
        description="container image with the library, Python 3.11 or newer, ase, numpy, polars and mdtraj; left out, that "
        "of the analysis",
    )
    environment: Annotated[str, Field(pattern=FOLDER, max_length=300)] | None = Field(
        default=None,
        description="where no containers run: folder of a Python environment with the same, or analysis, dft, mace or "
        "deepmd; left out, analysis",
    )


Model = Annotated[MaceModel | DeepmdModel | ClassicalModel | XtbModel | AseModel, Field(discriminator="framework")]
