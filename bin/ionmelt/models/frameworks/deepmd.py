"""DeePMD models: what a study says of them, how they are loaded, what they cost, and what is handed out."""

from collections.abc import Sequence
from typing import Annotated, Literal

from ase.calculators.calculator import Calculator
from pydantic import Field

from ionmelt.laws import CORES
from ionmelt.models.card import Card
from ionmelt.models.framework import Export, Loading
from ionmelt.models.settings import LearnedModel, LossWeight, TrainingSettings, weight
from ionmelt.settings import Count, Real, count, number

INPUT = "input.json"  # what its own tool was given, beside the weights
ATOM_STEPS_S = 6674.0
MD_MEASURED = "DeePMD se_e2_a, compressed, 560 atoms"
TRAIN_ATOM_S = 110.0 / (1000 * 70)  # s for one atom in one gradient step
TRAINING_MEASURED = "DeePMD se_e2_a, 70 atoms"
# How many times as long dynamics and a gradient step take with later descriptors of the sizes that a study leaves out (192 atoms of
# five elements at 0.1 an A^3, one core); se_e2_a, and se_atten without attention, are compressed for dynamics.
# `RCUT_A` is the radius of all of them; embedding nets see each neighbour.
RCUT_A = 6.0
SLOWER = {"se_e2_a": (1.0, 1.0), "se_atten": (26.0, 20.0), "dpa3": (130.0, 73.0)}


class DeepmdModel(LearnedModel):
    """A DeePMD model."""

    framework: Literal["deepmd"] = Field(description="deepmd")
    mode: Literal["zero-shot", "finetune"] | None = Field(
        default=None, description="use of the weights: as they are, or fine-tuned (a checkpoint; DPA-2 and DPA-3 too)"
    )
    descriptor: Literal["se_e2_a", "se_atten", "dpa3"] = Field(
        "se_e2_a",
        description="descriptor: se_e2_a (2018); se_atten (DPA-1, 2022), one net for all elements, with attention; dpa3 (2025), which "
        "passes messages along bonds and angles: slower, and more accurate; weights bring their own",
    )
    rcut_A: Real = number(6.0, 2, 15, "cut-off radius (A)")
    rcut_smth_A: Real = number(
        0.5, 0, 14.9, "radius where the cut-off begins to smooth (A); dpa3 smooths its last 0.7 A"
    )
    neurons: tuple[Annotated[Count, Field(ge=1, le=4096)], ...] = Field(
        (25, 50, 100), min_length=1, max_length=10, description="widths of the embedding net's layers (not of dpa3)"
    )
    attention_layers: Count = count(2, 0, 10, "layers of attention (se_atten)")
    layers: Count = count(6, 1, 24, "layers of messages (dpa3)")
    node_width: Count = count(128, 1, 4096, "width of what is known of an atom (dpa3)")
    edge_width: Count = count(64, 1, 4096, "width of what is known of a pair (dpa3)")
    angle_width: Count = count(32, 2, 4096, "width of what is known of an angle; even (dpa3)")
    angle_rcut_A: Real = number(
        4.0, 1, 15, "cut-off radius of the arms of an angle (A), whose last 0.5 A are smoothed (dpa3)"
    )
    axis_neurons: Count = count(16, 1, 1024, "width of the descriptor's axis; at most the last of neurons")
    neighbour_margin: Real = number(
        1.25,
        1,
        5,
        "places for neighbours of each element, times the most that an atom of the training frames has (not of dpa3)",
    )
    type_one_side: bool = Field(
        default=True,
        description="embedding nets of the neighbour's element, not of both elements of a pair (not of dpa3)",
    )
    resnet_dt: bool = Field(
        default=False, description="a time step in the embedding net's skip connections (not of dpa3)"
    )
    fitting_resnet_dt: bool = Field(default=True, description="a time step in the fitting net's skip connections")
    statistics_frames: Count = count(20, 1, 10_000, "frames of each composition that the descriptor is normalised by")
    precision: Literal["float32", "float64"] = Field(
        "float32", description="precision of training and MD; weights bring their own"
    )
    fitting_neurons: tuple[Annotated[Count, Field(ge=1, le=4096)], ...] = Field(
        (240, 240, 240), min_length=1, max_length=10, description="widths of the fitting net's layers"
    )
    steps: Count = count(400_000, 1, 100_000_000, "gradient steps")
    batch_size: Count = count(1, 1, 10_000, "frames in a gradient step")
    learning_rate: Real = number(0.001, 1e-7, 1, "first learning rate; it falls exponentially over the steps")
    final_learning_rate: Real | None = number(None, 1e-10, 1, "last learning rate; left out, a hundredth of the first")
    decay_steps: Count | None = count(
        None, 1, 100_000_000, "steps between two falls of the learning rate; left out, it falls a little at every step"
    )
    clip_grad: Real | None = number(
        None, 1e-6, 1e9, "largest norm of a gradient, beyond which it is scaled down; left out, none, but 5 of dpa3"
    )
    validation_batches: Count = count(
        20, 1, 100_000, "most batches of validation frames that a point of the learning curve is computed on"
    )
    # From its start to its limit each weight goes as the learning rate does: limit + (start - limit) * rate / first rate.
    start_pref_e: LossWeight = weight("weight of the energy in the loss at the start", "a sixth")
    limit_pref_e: LossWeight = weight("weight of the energy as the learning rate nears zero", "a sixth")
    start_pref_f: LossWeight = Field(default="auto", description="weight of the forces at the start; auto is 1")
    limit_pref_f: LossWeight = Field(
        default="auto", description="weight of the forces as the learning rate nears zero; auto is 1"
    )
    start_pref_v: LossWeight = weight("weight of the virial at the start, on which the density depends", "a third")
    limit_pref_v: LossWeight = weight("weight of the virial as the learning rate nears zero", "a third")


class DeepmdTraining(TrainingSettings, DeepmdModel):
    """The settings of a training: `weights` and other files by their names."""

    framework: Literal["deepmd"]


def calculator(loading: Loading) -> Calculator:
    """Return DeePMD's calculator; its precision is that of the weights."""
    path = loading.weights_file()
    import torch
    from deepmd.calculator import DP

    torch.set_num_threads(loading.threads)
    return DP(model=str(path))


def slower(model: DeepmdModel) -> tuple[float, float]:
    """Return how many times as long as with se_e2_a of the usual radius dynamics and a gradient step take, at least as long."""
    neighbours = max(1.0, (model.rcut_A / RCUT_A) ** 3)
    dynamics, training = (neighbours * times for times in SLOWER[model.descriptor])
    share = {"se_e2_a": 1.0, "se_atten": model.attention_layers / 2, "dpa3": model.layers / 6}[model.descriptor]
    return max(1.0, dynamics * share), max(1.0, training * share)


def md_core_s(model: DeepmdModel, atoms: int, steps: float) -> float:
    """Return the core-seconds of molecular dynamics."""
    return CORES * steps * atoms / ATOM_STEPS_S * slower(model)[0]


def training_core_s(model: DeepmdModel, _frames: float, atoms: float) -> float:
    """Return the core-seconds of one training on frames of `atoms` atoms each."""
    return CORES * model.steps * model.batch_size * atoms * TRAIN_ATOM_S * slower(model)[1]


def python_lines(card: Card, target: str) -> list[str]:
    """Return the lines of Python that give `target` this model."""
    return ["from deepmd.calculator import DP", f"{target} = DP(model={card.loaded_file!r})"]


def lammps_lines(card: Card, elements: Sequence[str]) -> list[str]:
    """Return the lines of a LAMMPS input (units metal) that use this model."""
    return [f"pair_style deepmd {card.loaded_file}", f"pair_coeff * * {' '.join(elements)}"]


EXPORT = Export(
    tool_input=INPUT,
    library="deepmd-kit[torch]",
    python=python_lines,
    lammps_needs="LAMMPS with the DeePMD-kit plugin: the `lmp` of `deepmd-kit[torch,lmp]`, which the image and the environment deepmd hold",
    lammps_runs="A test of Ionmelt runs such lines with that `lmp`, and finds the energy, forces and pressure of the lines above.",
    lammps_settings=("atom_modify map yes", "newton on"),
    lammps=lammps_lines,
)
