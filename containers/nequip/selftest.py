"""Try what the image `nequip` is for: a small NequIP, its forces against differences of its energy. Prints what it found."""

from importlib.metadata import version

import torch
from ase import Atoms
from nequip.integrations.ase import NequIPCalculator
from nequip.integrations.utils import basic_transforms
from nequip.model import NequIPGNNModel
from nequip.utils.global_state import set_global_state

set_global_state()
device = "cuda" if torch.cuda.is_available() else "cpu"
names = ["Li", "F"]
model = NequIPGNNModel(
    seed=0, model_dtype="float64", type_names=names, r_max=3.0, num_layers=2, l_max=1, num_features=4, radial_mlp_width=8,
    avg_num_neighbors=1.0, per_type_energy_scales=1.0, per_type_energy_shifts={"Li": -1.0, "F": -2.0},
)  # fmt: skip
transforms = basic_transforms(model.metadata, 3.0, names, {name: name for name in names})
atoms = Atoms("LiF", positions=[(0, 0, 0), (1.6, 0.1, 0)])
atoms.calc = NequIPCalculator(model.eval(), device, transforms=transforms)
force = atoms.get_forces()[1, 0]
energies = []
for step in (1e-4, -2e-4):
    atoms.positions[1, 0] += step
    energies.append(atoms.get_potential_energy())
assert abs(force) > 1e-6, force
assert abs(force + (energies[0] - energies[1]) / 2e-4) < 1e-4 * abs(force), (force, energies)
print(f"nequip: ok on {device}; nequip {version('nequip')}, torch {torch.__version__}")
