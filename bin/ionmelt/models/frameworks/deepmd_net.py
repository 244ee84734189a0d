"""The model of DeePMD's input: a new one with room for the neighbours of the training frames, or that of a checkpoint."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from pydantic import BaseModel, ConfigDict, JsonValue

from ionmelt import errors as errors_module
from ionmelt.dataset.summary import TrainingData
from ionmelt.errors import UserError
from ionmelt.mistakes import did_you_mean
from ionmelt.models.frameworks.deepmd import DeepmdTraining

SMOOTHED_A, ANGLES_SMOOTHED_A = 0.7, 0.5  # the last of the cut-off radii of DPA-3, as in its paper (arXiv:2506.01686)
OF_FOUNDATION = ("type_map", "descriptor", "fitting_net")  # what a model that is tuned takes from its checkpoint


class Block(BaseModel):
    """A block of a descriptor."""

    model_config = ConfigDict(extra="allow")
    rcut: float | None = None
    e_rcut: float | None = None


class Descriptor(BaseModel):
    """A descriptor of DeePMD's input: its kind, the places for neighbours where it has a number for each type, its radii (A).

    The radius of DPA-2 and DPA-3 stands in their first block.
    """

    model_config = ConfigDict(extra="allow")
    type: str
    rcut: float | None = None
    e_rcut: float | None = None
    sel: int | str | list[int] | None = None
    attn_layer: int | None = None
    repinit: Block | None = None
    repflow: Block | None = None

    @property
    def is_compressible(self) -> bool:
        """Whether its nets can be tabulated: those of distances alone."""
        return self.type == "se_e2_a" or (self.type in ("se_atten", "dpa1") and self.attn_layer == 0)

    @property
    def cutoff_A(self) -> float:
        """The cut-off radius (A)."""
        radii = [x for block in (self, self.repinit, self.repflow) if block for x in (block.rcut, block.e_rcut)]
        return next(radius for radius in radii if radius is not None)


class Net(BaseModel):
    """The model of DeePMD's input."""

    type_map: list[str]
    descriptor: Descriptor
    fitting_net: dict[str, JsonValue] = {}
    data_stat_nbatch: int | None = None
    preset_out_bias: dict[str, list[float]] | None = None


def read_systems(folder: Path) -> Iterator[Atoms]:
    """Yield the structures of DeePMD systems (numbers are indices of the type map)."""
    for system in sorted(path.parent for path in folder.glob("*/type.raw")):
        types = np.loadtxt(system / "type.raw", dtype=int, ndmin=1)
        coordinates, boxes = (np.load(system / "set.000" / f"{name}.npy") for name in ("coord", "box"))
        for positions, cell in zip(coordinates, boxes, strict=True):
            yield Atoms(numbers=types, positions=positions.reshape(-1, 3), cell=cell.reshape(3, 3), pbc=True)


def most_neighbours(frames: Iterator[Atoms], n_types: int, rcut_A: float) -> list[int]:
    """Return, for each type, the largest number of neighbours of that type within the cut-off of any atom."""
    most = np.zeros(n_types, dtype=int)
    for atoms in frames:
        centre, other = neighbor_list("ij", atoms, rcut_A)
        counts = np.zeros((len(atoms), n_types), dtype=int)
        np.add.at(counts, (centre, atoms.numbers[other]), 1)
        most = np.maximum(most, counts.max(axis=0))
    return [int(count) for count in most]


def with_margin(count: int, margin: float) -> int:
    """Return the places for so many neighbours: more than any training frame has, since MD meets denser boxes, and DeePMD drops those beyond."""
    return max(4, 4 * math.ceil(margin * count / 4))


def embedded(settings: DeepmdTraining, most: list[int]) -> dict[str, object]:
    """Return what se_e2_a and se_atten have in common: a net of distances and directions; `most`: neighbours by type."""
    each = [with_margin(count, settings.neighbour_margin) for count in most]
    attention = {
        "attn_layer": settings.attention_layers,
        # DeePMD's later form of it, which is smooth at the cut-off and can be compressed without attention
        "tebd_input_mode": "strip",
        "smooth_type_embedding": True,
    }
    return {
        "rcut": settings.rcut_A,
        "rcut_smth": settings.rcut_smth_A,
        "sel": each if settings.descriptor == "se_e2_a" else sum(each),
        "neuron": settings.neurons,
        "axis_neuron": settings.axis_neurons,
        "resnet_dt": settings.resnet_dt,
        "type_one_side": settings.type_one_side,
    } | (attention if settings.descriptor == "se_atten" else {})


def messages(settings: DeepmdTraining) -> dict[str, object]:
    """Return what DPA-3 is made of, as in DeePMD's own example: it has as many places for neighbours as there are."""
    repflow = {
        "n_dim": settings.node_width,
        "e_dim": settings.edge_width,
        "a_dim": settings.angle_width,
        "nlayers": settings.layers,
        "e_rcut": settings.rcut_A,
        "e_rcut_smth": settings.rcut_A - SMOOTHED_A,
        "e_sel": 1200,
        "a_rcut": settings.angle_rcut_A,
        "a_rcut_smth": settings.angle_rcut_A - ANGLES_SMOOTHED_A,
        "a_sel": 300,
        "axis_neuron": 4,
        "skip_stat": True,
        "a_compress_rate": 1,
        "a_compress_e_rate": 2,
        "a_compress_use_split": True,
        "smooth_edge_update": True,
        "use_dynamic_sel": True,
    }
    return {
        "repflow": repflow,
        "activation_function": "silut:10.0",
        "use_tebd_bias": False,
        "concat_output_tebd": False,
    }


def new_model(settings: DeepmdTraining, data: TrainingData, folder: Path) -> Net:
    """Return the model of DeePMD's input for a training from nothing."""
    type_map, seed = data.type_map, settings.seed
    if settings.descriptor == "dpa3":
        blocks = messages(settings)
    else:
        blocks = embedded(settings, most_neighbours(read_systems(folder / "train"), len(type_map), settings.rcut_A))
    descriptor = blocks | {"type": settings.descriptor, "precision": settings.precision, "seed": seed}
    fitting: dict[str, JsonValue] = {"neuron": list(settings.fitting_neurons), "resnet_dt": settings.fitting_resnet_dt}
    return Net(
        type_map=type_map,
        descriptor=Descriptor.model_validate(descriptor),
        fitting_net=fitting | {"precision": settings.precision, "seed": seed},
        data_stat_nbatch=settings.statistics_frames,
        preset_out_bias={"energy": [data.fitted_e0s_ev.get(symbol, 0.0) for symbol in type_map]},
    )


@errors_module.of_model(UserError)
def read_foundation(path: Path, key: str, branch: str | None, elements: list[str]) -> Net:
    """Return the model in a checkpoint to be fine-tuned, as DeePMD's input has it, of its branch.

    Raises `ModelError`, naming the model `key`, for a file that is no checkpoint, a frozen model, a branch that is not there or
    not named, and elements that the model does not know.
    """
    import torch

    where = f"model {key}: weights: {path.name}"
    if path.suffix in (".pth", ".pb", ".pt2"):
        raise UserError(f"{where}: is a frozen model, which cannot be fine-tuned: give its checkpoint (.pt)")
    with errors_module.reading(
        f"{where}: is no checkpoint of DeePMD's PyTorch backend: give a .pt file of dp --pt train"
    ):
        state = torch.load(path, map_location="cpu", weights_only=True)
        parameters = state.get("model", state)["_extra_state"]["model_params"]
    if branches := parameters.get("model_dict"):
        # Without a branch DeePMD would begin with a new fitting net, and say so in its log alone.
        if branch not in branches:
            given = f"{branch!r}: {did_you_mean(branch, branches)}" if branch else "missing: "
            raise UserError(f"model {key}: head: {given}give one of {path.name}: {', '.join(branches)}")
        parameters = branches[branch]
    elif branch is not None:
        raise UserError(f"model {key}: head: {branch!r}: {path.name} has one, without a name: leave this out")
    with errors_module.reading(f"{where}: its settings are not those of a model"):
        net = Net.model_validate({name: value for name, value in parameters.items() if name in OF_FOUNDATION})
    if unknown := [symbol for symbol in elements if symbol not in net.type_map]:
        there = ", ".join(net.type_map) if len(net.type_map) <= 12 else f"{len(net.type_map)} others"
        raise UserError(f"{where} does not know {', '.join(unknown)}; it knows {there}")
    return net


@errors_module.of_model(UserError)
def check_room(net: Net, folder: Path, key: str) -> None:
    """Refuse training frames that have more neighbours than the model has room for: DeePMD drops them without a word."""
    places = net.descriptor.sel
    if net.descriptor.type != "se_e2_a" or not isinstance(places, list):
        return  # of the others, a number for all types together, and no fixed order
    names = min((folder / "train").glob("*/type_map.raw")).read_text().split()
    most = most_neighbours(read_systems(folder / "train"), len(names), net.descriptor.cutoff_A)
    for symbol, count in zip(names, most, strict=True):
        if count > (room := places[net.type_map.index(symbol)]):
            raise UserError(
                f"model {key}: weights: have room for {room} neighbours {symbol} of an atom, the training frames have {count}"
            )


def energies_of(checkpoint: Path, type_map: list[str]) -> dict[str, float]:
    """Return the reference energies (eV) of the elements that a checkpoint of one branch has."""
    import torch

    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    state = state.get("model", state)
    (bias,) = (value for name, value in state.items() if name.endswith("atomic_model.out_bias"))
    return {symbol: float(energy) for symbol, energy in zip(type_map, bias.flatten().tolist(), strict=True)}


def net_of(weights: Path | None, settings: DeepmdTraining, data: TrainingData, folder: Path) -> Net:
    """Return the model of DeePMD's input: a new one, or that of a checkpoint, which fits the data."""
    if weights is None:
        return new_model(settings, data, folder)
    net = read_foundation(weights, settings.id, settings.head, data.elements)
    check_room(net, folder, settings.id)
    return net
