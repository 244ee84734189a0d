"""NequIP models: what a study says of them, how they are loaded, what they cost, and what is handed out."""

from collections.abc import Sequence
from typing import Literal

from ase.calculators.calculator import Calculator
from pydantic import Field

from ionmelt.laws import CORES
from ionmelt.models.card import Card
from ionmelt.models.framework import Export, Loading
from ionmelt.models.settings import LearnedModel, LossWeight, TrainingSettings, weight
from ionmelt.settings import Count, Real, count, number

CONFIG = "config.yaml"  # what its own tool was given, beside the weights
ATOM_STEPS_S = 960.0
MEASURED = "NequIP of 4 layers, l_max 1 with parity, 32 features, r 5 A, float32, 0.1 atoms an A^3"
TRAIN_ATOM_S = 2.6e-3  # s for one atom in one gradient step of the same model
FLOAT64 = 1.7  # float64 is slower by about this
COMPILED = "model.nequip.pt2"


class NequipModel(LearnedModel):
    """A NequIP model, trained from nothing; what is left out is as in NequIP's own example, but for its length and the weights of its loss."""

    framework: Literal["nequip"] = Field(description="nequip")
    mode: None = Field(default=None, description="nothing: no weights are used yet, each model is trained from nothing")
    layers: Count = count(4, 1, 10, "message-passing layers")
    l_max: Count = count(1, 0, 4, "highest order of features and of the spherical harmonics of an edge")
    parity: bool = Field(default=True, description="features of both parities, not those of vectors and tensors alone")
    features: Count = count(32, 1, 1024, "feature channels of each order and parity")
    r_max_A: Real = number(5.0, 2, 15, "cut-off radius (A)")
    radial_depth: Count = count(2, 0, 10, "hidden layers of the radial net")
    radial_width: Count = count(64, 1, 4096, "width of the radial net's layers")
    bessels: Count = count(8, 1, 100, "Bessel functions of a distance that enter the radial net")
    cutoff_power: Count = count(
        6, 2, 100, "power of the polynomial that takes the radial functions to zero at the cut-off"
    )
    zbl: bool = Field(
        default=True,
        description="repulsion of screened nuclei (ZBL) beneath what is learnt, for atoms that come too close",
    )
    epochs: Count = count(200, 1, 1_000_000, "passes over the training frames")
    batch_size: Count = count(5, 1, 10_000, "frames in a gradient step")
    learning_rate: Real = number(
        0.01, 1e-7, 1, "first learning rate; it falls by plateau_factor when the validation loss stays"
    )
    plateau_factor: Real = number(
        0.6, 0.01, 0.999, "what the learning rate is multiplied with when the validation loss stays"
    )
    plateau_patience: Count = count(5, 0, 1_000_000, "epochs that the validation loss may stay before")
    plateau_threshold: Real = number(0.2, 0, 1, "share by which the validation loss must fall not to count as staying")
    least_learning_rate: Real = number(1e-6, 0, 1, "learning rate below which it does not fall")
    ema_decay: Real = number(0.999, 0, 0.999999, "decay of the average of the weights, a step, which is the model")
    energy_weight: LossWeight = weight("weight of the energy (per atom, squared) in the loss", "a sixth")
    forces_weight: LossWeight = Field(default="auto", description="weight of the forces in the loss; auto is 1")
    stress_weight: LossWeight = weight("weight of the stress in the loss, on which the density depends", "a third")
    dtype: Literal["float32", "float64"] = Field("float32", description="precision of training and MD")


class NequipTraining(TrainingSettings, NequipModel):
    """The settings of a training."""

    framework: Literal["nequip"]


def calculator(loading: Loading) -> Calculator:
    """Return NequIP's calculator, on a GPU where there is one; its precision is that of the training.

    The model is run as it is packaged: a compiled one is faster, but needs a C++ compiler where it runs.
    """
    path = loading.weights_file()
    import torch
    from nequip.integrations.ase import NequIPCalculator

    torch.set_num_threads(loading.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return NequIPCalculator._from_saved_model(path, device=device, chemical_species_to_atom_type_map=True)


def size(model: NequipModel) -> float:
    """Return about how much slower a model is than the one measured, from its size."""
    orders = (model.l_max + 1) ** 2 / 4 * (1.0 if model.parity else 0.5)
    ratio = model.layers / 4 * model.features / 32 * orders * (model.r_max_A / 5.0) ** 3
    return max(ratio * (FLOAT64 if model.dtype == "float64" else 1.0), 0.1)


def md_core_s(model: NequipModel, atoms: int, steps: float) -> float:
    """Return the core-seconds of molecular dynamics."""
    return CORES * steps * atoms / (ATOM_STEPS_S / size(model))


def training_core_s(model: NequipModel, frames: float, atoms: float) -> float:
    """Return the core-seconds of one training on `frames` frames of `atoms` atoms each."""
    return CORES * model.epochs * frames * atoms * TRAIN_ATOM_S * size(model)


def python_lines(card: Card, target: str) -> list[str]:
    """Return the lines of Python that give `target` this model."""
    return [
        "from nequip.integrations.ase import NequIPCalculator",
        f"{target} = NequIPCalculator._from_saved_model({card.loaded_file!r}, chemical_species_to_atom_type_map=True)",
    ]


def lammps_lines(_card: Card, elements: Sequence[str]) -> list[str]:
    """Return the lines of a LAMMPS input (units metal) that use this model."""
    return ["pair_style nequip", f"pair_coeff * * {COMPILED} {' '.join(elements)}"]


EXPORT = Export(
    tool_input=CONFIG,
    library="nequip",
    python=python_lines,
    lammps_needs="LAMMPS with pair_nequip_allegro, and the model compiled where it runs: `nequip-compile model.nequip.zip "
    f"{COMPILED} --device cuda --mode aotinductor --target pair_nequip`",
    lammps_settings=("atom_modify map yes", "newton off"),
    lammps=lammps_lines,
)
