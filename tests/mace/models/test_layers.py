"""Layers that train faster against MACE's own: forces, stress, and the gradient of a loss of both by every weight."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from mace_models import DENSITY, PLAIN, model_of

with warnings.catch_warnings():  # of MACE, when it is imported
    warnings.simplefilter("ignore")
    from ionmelt.models.frameworks import mace_layers

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


def batch_of(*frames: Atoms) -> Any:
    """Return MACE's batch of frames."""
    from mace import data, tools
    from mace.tools import torch_geometric, torch_tools

    with torch_tools.default_dtype("float64"):
        table = tools.AtomicNumberTable([3, 9, 11])
        configs = [data.config_from_atoms(frame, key_specification=data.KeySpecification()) for frame in frames]
        items = [data.AtomicData.from_config(config, z_table=table, cutoff=4.2) for config in configs]
        (batch,) = torch_geometric.dataloader.DataLoader(items, batch_size=len(items))
    return batch


def frames() -> list[Atoms]:
    """Return two frames of several sizes and densities, one of which has an atom that is nobody's neighbour."""
    dense = bulk("LiF", "rocksalt", a=4.0, cubic=True)
    dense.rattle(0.2, seed=1)
    thin = Atoms(
        "Li3FNa", [[0, 0, 0], [1.9, 0, 0], [0, 2.2, 0], [1.5, 1.7, 1.1], [10, 10, 10]], cell=[20] * 3, pbc=True
    )
    return [dense, thin]


def answers(model: Any, batch: Any) -> list[np.ndarray]:
    """Return forces and stress, and the gradient of a loss of energy, forces and stress by every weight."""
    model.zero_grad()
    out = model(batch.to_dict(), training=True, compute_force=True, compute_stress=True)
    (out["energy"].square().sum() + out["forces"].pow(4).sum() + out["stress"].square().sum()).backward()
    gradients = [held.grad.numpy() for held in model.parameters() if held.grad is not None]
    return [out["forces"].detach().numpy(), out["stress"].detach().numpy(), *map(np.copy, gradients)]


MODELS = {
    "L1": {"hidden": "8x0e + 8x1o", "correlation": 2},
    "L2": {"hidden": "4x0e + 4x1o + 4x2e", "correlation": 2, "max_ell": 2},
    "three layers": {"hidden": "8x0e", "correlation": 2, "num_interactions": 3, "max_ell": 2},
    "four factors": {"hidden": "4x0e", "correlation": 4, "max_ell": 1},
    "no product": {"hidden": "8x0e + 8x1o", "correlation": 1, "max_ell": 1},
    "reduced couplings": {"hidden": "4x0e + 4x1o", "use_reduced_cg": False},
    "other blocks": {"hidden": "8x0e + 8x1o", "first": PLAIN, "later": DENSITY, "correlation": 2, "max_ell": 2},
}


@pytest.mark.parametrize("name", MODELS)
def test_training_sees_the_same_numbers(name: str) -> None:
    model, batch = model_of(**MODELS[name]), batch_of(*frames())
    state = {key: value.clone() for key, value in model.state_dict().items()}
    expected = answers(model, batch)
    assert len(expected) > 20
    assert mace_layers.agrees(model, batch)
    with mace_layers.faster(model) as any_is:
        assert any_is
        assert model.state_dict().keys() == state.keys()
        faster = answers(model, batch)
    for mine, theirs in zip(faster, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-10 * max(1.0, np.abs(theirs).max()))
    # Without it all is as before, to the last digits of double precision.
    assert all(
        "forward" not in vars(block.conv_tp) and not hasattr(block, "conv_fusion") for block in model.interactions
    )
    for mine, theirs in zip(answers(model, batch), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-12)


def test_a_batch_without_neighbours_has_no_forces() -> None:
    model = model_of("8x0e + 8x1o", correlation=2)
    batch = batch_of(Atoms("LiF", [[0, 0, 0], [9, 9, 9]], cell=[20] * 3, pbc=True))
    expected = model(batch.to_dict(), compute_force=True)
    with mace_layers.faster(model):
        alone = model(batch.to_dict(), compute_force=True)
    assert alone["energy"].item() == pytest.approx(expected["energy"].item(), abs=1e-10)
    np.testing.assert_array_equal(alone["forces"].detach().numpy(), 0.0)


def test_what_gives_other_forces_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = model_of("8x0e + 8x1o", correlation=2), batch_of(*frames())
    right = mace_layers.FusedConvolution.forward
    monkeypatch.setattr(mace_layers.FusedConvolution, "forward", lambda self, *given: right(self, *given) * 1.001)
    assert not mace_layers.agrees(model, batch)


def test_interactions_of_another_form_are_left_alone() -> None:
    model = model_of("8x0e + 8x1o", correlation=2, first="RealAgnosticAttResidualInteractionBlock")
    assert type(model.interactions[0]).__name__ not in mace_layers.BLOCKS
    with mace_layers.faster(model):
        assert [hasattr(block, "conv_fusion") for block in model.interactions] == [False, True]
    assert torch.is_tensor(model.state_dict()["interactions.1.conv_tp.weight"])
