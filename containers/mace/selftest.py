"""Try what the image `mace` is for: a small MACE, its forces against differences of its energy. Prints what it found."""

import importlib.util
from importlib.metadata import version

import mace.calculators  # before e3nn, which reads files that torch would refuse without mace
import numpy as np
import torch
from ase import Atoms
from e3nn import o3
from mace.modules import ScaleShiftMACE, gate_dict, interaction_classes

device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
interaction = interaction_classes["RealAgnosticResidualInteractionBlock"]
model = ScaleShiftMACE(
    r_max=3.0, num_bessel=4, num_polynomial_cutoff=5, max_ell=2, interaction_cls=interaction,
    interaction_cls_first=interaction, num_interactions=2, num_elements=2, hidden_irreps=o3.Irreps("4x0e"),
    MLP_irreps=o3.Irreps("4x0e"), gate=gate_dict["silu"], atomic_energies=np.array([-1.0, -2.0]), avg_num_neighbors=1.0,
    atomic_numbers=[3, 9], correlation=2, atomic_inter_scale=1.0, atomic_inter_shift=0.0, radial_MLP=[8],
)  # fmt: skip
atoms = Atoms("LiF", positions=[(0, 0, 0), (1.6, 0.1, 0)])
atoms.calc = mace.calculators.MACECalculator(models=[model.to(device)], device=device, default_dtype="float64")
force = atoms.get_forces()[1, 0]
energies = []
for step in (1e-4, -2e-4):
    atoms.positions[1, 0] += step
    energies.append(atoms.get_potential_energy())
assert abs(force) > 1e-3, force
assert abs(force + (energies[0] - energies[1]) / 2e-4) < 1e-5 * abs(force), (force, energies)
kernels = importlib.util.find_spec("ionmelt_kernels")
print(
    f"mace: ok on {device}; mace {version('mace-torch')}, torch {torch.__version__}, {'with' if kernels else 'without'} compiled kernels"
)
