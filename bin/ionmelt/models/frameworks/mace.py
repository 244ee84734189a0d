"""MACE models: what a study says of them, how they are loaded, what they cost, and what is handed out."""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from ase.calculators.calculator import Calculator
from pydantic import BaseModel, Field

from ionmelt.laws import CORES
from ionmelt.models.card import Card
from ionmelt.models.framework import Export, Loading
from ionmelt.models.settings import LearnedModel, LossWeight, TrainingSettings, weight
from ionmelt.models.tool import environment, run_tool
from ionmelt.settings import Count, Path_, Real, count, number

COMMAND = "mace_run_train.txt"  # what its own tool was given, beside the weights
ATOM_STEPS_S = 3900.0  # with the compiled kernels; without them a third of it
MD_MEASURED = "MACE 32x0e+32x1o, r 4.5 A, float32, 560 atoms"
TRAIN_ATOM_S = 70.0 / (250 * 70)  # s for one atom in one gradient step
TRAINING_MEASURED = "MACE 32x0e+32x1o, r 4.5 A, float32, 70 atoms"
FLOAT64 = 3.0  # float64 is slower by about this
LAMMPS_FILE = "model.pt-lammps.pt"


# First learning rates where a study gives none: of a training from nothing (mode None), and of weights that are tuned.
LEARNING_RATES = {None: 0.01, "finetune": 0.001, "replay": 0.001, "lora": 0.005}


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
    radial_bases: Count = count(8, 1, 100, "functions of a distance that enter the radial nets")
    radial_neurons: tuple[Annotated[Count, Field(ge=1, le=4096)], ...] = Field(
        (64, 64, 64), min_length=1, max_length=10, description="widths of the radial nets' layers"
    )
    cutoff_power: Count = count(
        5, 1, 20, "power of the polynomial that takes the radial functions to zero at the cut-off"
    )
    readout_channels: Count = count(16, 1, 1024, "channels of the net that reads the energy from the last layer")
    zbl: bool = Field(
        default=False,
        description="repulsion of screened nuclei (ZBL) beneath what is learnt, for atoms that come too close; weights bring "
        "their own",
    )
    distance_transform: Literal["none", "agnesi"] = Field(
        default="none",
        description="how distances enter the radial functions: as they are, or stretched by the sizes of the atoms (Agnesi); "
        "weights bring their own",
    )
    long_range: Literal["les"] | None = Field(
        default=None,
        description="energy of charges beyond the cut-off: les (latent Ewald summation) is refused until its library can be pinned",
    )
    epochs: Count = count(200, 1, 1_000_000, "passes over the training frames")
    batch_size: Count = count(5, 1, 10_000, "frames in a gradient step")
    learning_rate: Real | None = number(
        None, 1e-7, 1, "first learning rate; left out, 0.01, or 0.001 (lora: 0.005) where weights are tuned"
    )
    schedule: Literal["exponential", "plateau"] = Field(
        default="exponential",
        description="how the learning rate falls: exponentially over the epochs; or by plateau_factor when the validation loss stays, "
        "as in MACE's own examples",
    )
    final_learning_rate: Real | None = number(
        None,
        1e-10,
        1,
        "last learning rate, reached exponentially, and that of stage two; left out, a fiftieth of the first",
    )
    plateau_factor: Real = number(0.8, 0.01, 0.999, "what the learning rate is multiplied with (schedule plateau)")
    plateau_patience: Count = count(
        50, 0, 1_000_000, "epochs that the validation loss may stay before (schedule plateau)"
    )
    energy_weight: LossWeight = weight("weight of the energy (per atom, squared) in the loss", "a sixth")
    forces_weight: LossWeight = Field(default="auto", description="weight of the forces in the loss; auto is 100")
    stress_weight: LossWeight = weight("weight of the stress in the loss, on which the density depends", "a third")
    loss: Literal["squared", "huber"] = Field(
        default="squared",
        description="squared errors; or Huber's, linear beyond huber_delta, sooner for forces above 100 eV/A (MACE's universal loss): "
        "frames far off count less",
    )
    huber_delta: Real = number(0.01, 1e-6, 100, "error from which on the loss is linear (eV an atom, eV/A, eV/A^3)")
    stage_two: Real = number(
        0.0,
        0,
        0.9,
        "share of the epochs, the last, with the energy weighed more and at the last learning rate; 0: none",
    )
    stage_two_energy: Real = number(10.0, 1e-3, 1e6, "weight of the energy in stage two, over that before")
    ema_decay: Real = number(0.99, 0, 0.999999, "decay of the average of the weights, a step, which is the model")
    amsgrad: bool = Field(default=True, description="Adam's variant AMSGrad, as MACE's own examples have it")
    weight_decay: Real = number(5e-7, 0, 1, "penalty of the squared weights")
    clip_grad: Real = number(10.0, 1e-6, 1e9, "largest norm of a gradient, beyond which it is scaled down")
    dtype: Literal["float32", "float64"] = Field("float32", description="precision of training and MD")


class MaceTraining(TrainingSettings, MaceModel):
    """The settings of a training: `weights` and other files by their names."""

    framework: Literal["mace"]


class MaceFields(BaseModel):
    """What is read of a card's settings."""

    dtype: Literal["float32", "float64"] | None = None


def dtype_of(card: Card) -> str:
    """Return the precision that a model is run in."""
    return card.settings.of(MaceFields).dtype or "float32"


def calculator(loading: Loading) -> Calculator:
    """Return MACE's calculator, on a GPU where there is one."""
    path = loading.weights_file()
    import torch
    from mace.calculators import MACECalculator

    from ionmelt.models.frameworks.mace_polar import PolarCalculator, sees_beyond_cutoff

    torch.set_num_threads(loading.threads)
    options = {
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "default_dtype": "float64" if loading.double else dtype_of(loading.card),
        "head": loading.card.head,
    }
    plain = MACECalculator(str(path), **options)
    if not sees_beyond_cutoff(plain.models[0]):
        return plain
    return PolarCalculator(loading.hydrostatic, models=plain.models, **options)


def size(model: MaceModel) -> float:
    """Return about how much slower a model is than the one measured, from its size."""
    ratio = model.channels / 32 * (model.max_L + 1) ** 2 / 4 * (model.r_max_A / 4.5) ** 3
    return max(ratio * model.interactions / 2 * (FLOAT64 if model.dtype == "float64" else 1.0), 0.1)


def md_core_s(model: MaceModel, atoms: int, steps: float) -> float:
    """Return the core-seconds of molecular dynamics."""
    return CORES * steps * atoms / (ATOM_STEPS_S / size(model))


def training_core_s(model: MaceModel, frames: float, atoms: float) -> float:
    """Return the core-seconds of one training on `frames` frames of `atoms` atoms each."""
    return CORES * model.epochs * frames * atoms * TRAIN_ATOM_S * size(model)


def python_lines(card: Card, target: str) -> list[str]:
    """Return the lines of Python that give `target` this model."""
    head = f", head={card.head!r}" if len(card.heads or ()) > 1 else ""
    return [
        "from mace.calculators import MACECalculator",
        f"{target} = MACECalculator({card.loaded_file!r}, device='cpu', default_dtype={dtype_of(card)!r}{head})",
    ]


def lammps_lines(_card: Card, elements: Sequence[str]) -> list[str]:
    """Return the lines of a LAMMPS input (units metal) that use this model."""
    return ["pair_style mace no_domain_decomposition", f"pair_coeff * * {LAMMPS_FILE} {' '.join(elements)}"]


def convert(weights: Path, card: Card, out: Path, threads: int) -> None:
    """Write the form that LAMMPS loads, with MACE's own tool; raises `ModelError` where it fails."""
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        shutil.copyfile(weights, folder / "model.pt")
        head = card.head or (card.heads or ["Default"])[0]
        command = [sys.executable, "-m", "mace.cli.create_lammps_model", "model.pt", "--head", head]
        run_tool("mace_create_lammps_model", command, environment(threads), folder, lambda _line: False)
        shutil.move(folder / LAMMPS_FILE, out / LAMMPS_FILE)


EXPORT = Export(
    tool_input=COMMAND,
    library="mace-torch",
    python=python_lines,
    lammps_needs="LAMMPS built with MACE (pair_style mace). For many GPUs make the ML-IAP form, where cuEquivariance is "
    "installed: `mace_create_lammps_model model.pt --format=mliap`",
    lammps_runs="These lines are those of MACE's manual and were not run: no LAMMPS with pair_style mace is in a package registry.",
    lammps_settings=("atom_modify map yes", "newton on"),
    lammps=lammps_lines,
    convert=convert,
)
