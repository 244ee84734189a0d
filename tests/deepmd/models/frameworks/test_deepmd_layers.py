"""Layers of se_e2_a computed in another order: DeePMD's own energies, forces, virials, gradients and weights after some steps."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_training as tiny

from ionmelt.models.frameworks import deepmd_layers, deepmd_net, deepmd_tool

# torch and deepmd warn of each other when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Return the folder of DeePMD's systems of a tiny dataset, and what is known of it."""
    split = tiny.make_dataset(tmp_path_factory.mktemp("data"), 12)
    return split / "datasets" / "eq" / "deepmd", tiny.training_data(split)


def make_model(data: tuple[Path, Any], precision: str = "float64", **more: Any) -> Any:
    """Return DeePMD's model of a training from nothing, with statistics as a training finds them."""
    import torch
    from deepmd.pt.model.model import get_model

    folder, about = data
    net = deepmd_net.new_model(tiny.training_settings(tiny.DEEPMD | {"rcut_A": 3.5}), about, folder)
    given = net.model_dump(exclude_unset=True)
    given["descriptor"] |= {"precision": precision} | more
    given["fitting_net"]["precision"] = precision
    torch.manual_seed(1)
    model = get_model(given)
    held = model.atomic_model.descriptor.sea
    for of_atom in range(2):  # of each pair of kinds others; directions have no mean
        first = 0
        for of_place, room in enumerate(held.sel):
            places = slice(first, first + room)
            held.mean[of_atom, places, 0] = 0.1 + 0.05 * of_atom + 0.02 * of_place
            held.stddev[of_atom, places, 0] = 0.2 + 0.03 * of_place
            held.stddev[of_atom, places, 1:] = 0.15 + 0.04 * of_atom
            first += room
    model.get_out_bias()[0].copy_(torch.tensor([[-3.0], [2.0]]))
    return model


def batch(data: tuple[Path, Any], frames: int) -> dict[str, Any]:
    """Return the frames of a batch as DeePMD's loaders give them."""
    import torch

    system = max(
        (data[0] / "train").glob("*/type.raw"), key=lambda path: len(np.load(path.parent / "set.000" / "box.npy"))
    ).parent
    coordinates, boxes = (
        torch.tensor(np.load(system / "set.000" / f"{name}.npy")[:frames]) for name in ("coord", "box")
    )
    kinds = torch.tensor(np.loadtxt(system / "type.raw", dtype=np.int32))
    assert len(boxes) == frames
    return {"coord": coordinates.reshape(frames, -1, 3), "atype": kinds.repeat(frames, 1), "box": boxes}


@pytest.mark.parametrize(
    ("frames", "precision", "tolerance"), [(1, "float64", 1e-9), (3, "float64", 1e-9), (1, "float32", 2e-4)]
)
def test_all_numbers_are_those_of_deepmd(data: tuple[Path, Any], frames: int, precision: str, tolerance: float) -> None:
    model, inputs = make_model(data, precision), batch(data, frames)
    theirs = deepmd_layers.answers(model, inputs)
    with deepmd_layers.faster(model) as other:
        for _ in range(2):  # the second time with pairs that are kept
            ours = deepmd_layers.answers(model, inputs)
            for name, value in theirs.items():
                off = float((ours[name] - value).detach().abs().max())
                assert off <= tolerance * float(value.detach().abs().max()), name
        assert len(other.kept) == frames
        out = model(**inputs)
    plain = model(**inputs)
    assert {name: (value.shape, value.dtype) for name, value in out.items()} == {
        name: (value.shape, value.dtype) for name, value in plain.items()
    }
    assert deepmd_layers.agrees(model, inputs)


def test_weights_after_some_steps_are_those_of_deepmd(data: tuple[Path, Any]) -> None:
    """By DeePMD's loss, and by Adam as the tool has it, in one pass over all weights."""
    import torch
    from deepmd.pt.loss import EnergyStdLoss

    inputs, ends = batch(data, 2), []
    random = torch.Generator().manual_seed(1)
    label = {"energy": (2, 1), "force": inputs["coord"].shape, "virial": (2, 9)}
    labels = {name: torch.randn(size, generator=random, dtype=torch.float64) for name, size in label.items()}
    labels |= dict.fromkeys(("find_energy", "find_force", "find_virial"), 1.0)

    def plainly(model: Any, kind: Any, **given: Any) -> Any:
        return kind(model.parameters(), **given)

    for is_ours in (False, True):
        model, loss = make_model(data), EnergyStdLoss(0.01, 0.02, 1.0, 100.0, 1.0, 0.5, 1.0)
        make = deepmd_tool.in_one_pass(plainly) if is_ours else plainly
        adam = make(model, torch.optim.Adam, lr=0.01)
        assert bool(adam.param_groups[0]["fused"]) is is_ours
        if is_ours:
            model.forward = deepmd_layers.FasterModel(model).forward
        for _ in range(5):
            adam.zero_grad()
            loss(inputs, model, labels, inputs["atype"].shape[1], learning_rate=0.005)[1].backward()
            adam.step()
        ends.append(torch.cat([held.detach().flatten() for held in model.parameters()]))
    start = torch.cat([held.detach().flatten() for held in make_model(data).parameters()])
    assert float((ends[0] - start).abs().max()) > 0.04
    assert float((ends[0] - ends[1]).abs().max()) < 1e-7


@pytest.mark.parametrize("scale", [0.6, 9.0])
def test_a_denser_frame_than_there_is_room_for_and_ions_alone_are_left_to_deepmd(
    data: tuple[Path, Any], scale: float
) -> None:
    model, inputs = make_model(data), batch(data, 1)
    other = inputs | {"coord": inputs["coord"] * scale, "box": inputs["box"] * scale}
    plain = model(**other)["force"]
    with deepmd_layers.faster(model) as faster:
        assert faster.pairs(other["coord"], other["atype"], other["box"]) is None
        assert bool((model(**other)["force"] == plain).all())


def test_models_of_another_form_stay_as_they_are(data: tuple[Path, Any]) -> None:
    inputs = batch(data, 1)
    assert not deepmd_layers.agrees(make_model(data, type_one_side=False), inputs)
    assert not deepmd_layers.agrees(make_model(data, exclude_types=[[0, 1]]), inputs)
    places_differ = make_model(data)
    places_differ.atomic_model.descriptor.sea.mean[0, 0, 0] += 0.1
    assert not deepmd_layers.agrees(places_differ, inputs)


def test_other_numbers_are_seen(data: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = make_model(data), batch(data, 1)
    energies = deepmd_layers.FasterModel.energies
    monkeypatch.setattr(deepmd_layers.FasterModel, "energies", lambda *given: 1.01 * energies(*given))
    assert not deepmd_layers.agrees(model, inputs)
    assert "forward" not in vars(model)


@pytest.mark.parametrize("is_one_side", [True, False])
def test_a_training_has_them_where_a_trial_agrees(data: tuple[Path, Any], is_one_side: bool) -> None:
    model, seen = make_model(data, type_one_side=is_one_side), []
    inputs = batch(data, 1) | {"spin": None}
    trainer = SimpleNamespace(
        wrapper=SimpleNamespace(model={"Default": model}), get_data=lambda is_train: (inputs, {}, {})
    )
    deepmd_tool.with_faster_layers(lambda _trainer: seen.append("forward" in vars(model)))(trainer)
    assert seen == [is_one_side]
    assert "forward" not in vars(model)


def test_a_frame_is_read_once_for_all_that_is_asked_of_it() -> None:
    system, reads = SimpleNamespace(data_system=SimpleNamespace(data_dict={"coord": {}})), []

    def read(_system: Any, index: int) -> dict[str, Any]:
        reads.append(index)
        return dict.fromkeys(system.data_system.data_dict, index)

    once = deepmd_tool.read_once(read)
    first = once(system, 3)
    first["sid"] = 0  # as the loaders add
    assert once(system, 3) == {"coord": 3}
    assert once(system, 4) == {"coord": 4}
    assert reads == [3, 4]
    system.data_system.data_dict["force"] = {}
    assert once(system, 3) == {"coord": 3, "force": 3}
