"""Try what the image `deepmd` is for: a small se_e2_a model, its forces against differences of its energy. Prints what it found."""

import ctypes
from importlib.metadata import version

import torch
from deepmd.pt.cxx_op import ENABLE_CUSTOMIZED_OP
from deepmd.pt.model.model import get_model
from deepmd.pt.utils import env

assert ENABLE_CUSTOMIZED_OP, "DeePMD's own operators do not load: models could not be compressed"
ctypes.CDLL("libcudart.so.12")  # which they load on a GPU, by this name
torch.manual_seed(0)
model = get_model(
    {
        "type_map": ["Li", "F"],
        "descriptor": {"type": "se_e2_a", "rcut": 3.0, "rcut_smth": 0.5, "sel": [4, 4], "neuron": [4, 8],
                       "axis_neuron": 4, "seed": 1, "precision": "float64"},
        "fitting_net": {"neuron": [8, 8], "seed": 1, "precision": "float64"},
    }
).to(env.DEVICE)  # fmt: skip


def evaluate(x: float) -> tuple[float, float]:
    """Return energy (eV) and the force on F along x (eV/A) with F at x (A)."""
    positions = torch.tensor([[[0.0, 0.0, 0.0], [x, 0.1, 0.0]]], dtype=torch.float64, device=env.DEVICE)
    predicted = model(positions.requires_grad_(), torch.tensor([[0, 1]], device=env.DEVICE))
    return predicted["energy"].item(), predicted["force"][0, 1, 0].item()


force = evaluate(1.6)[1]
difference = (evaluate(1.6001)[0] - evaluate(1.5999)[0]) / 2e-4
assert abs(force) > 1e-6, force
assert abs(force + difference) < 1e-4 * abs(force), (force, difference)
print(f"deepmd: ok on {env.DEVICE}; deepmd-kit {version('deepmd-kit')}, torch {torch.__version__}")
