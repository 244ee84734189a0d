"""Try what the image `foundation` is for: a model of each package, its forces against differences of its energy. Prints what it found."""

from importlib.metadata import version

import torch
from ase import Atoms
from ase.calculators.calculator import Calculator
from chgnet.model.dynamics import CHGNetCalculator
from diep.pretrained import make_calculator
from sevenn.calculator import SevenNetCalculator

device = "cuda" if torch.cuda.is_available() else "cpu"
models: dict[str, Calculator] = {
    "sevenn": SevenNetCalculator("7net-0", device=device),
    "chgnet": CHGNetCalculator(use_device=device),
    "diep": make_calculator(device=device),
}
for name, model in models.items():
    atoms = Atoms("LiF", positions=[(0, 0, 0), (1.7, 0.1, 0.2)], cell=[9, 9, 9], pbc=True)
    atoms.calc = model
    force = atoms.get_forces()[1, 0]
    energies = []
    for step in (5e-3, -1e-2):
        atoms.positions[1, 0] += step
        energies.append(atoms.get_potential_energy())
    assert abs(force) > 1e-2, (name, force)
    assert abs(force + (energies[0] - energies[1]) / 1e-2) < 0.05 * abs(force), (name, force, energies)
print(
    f"foundation: ok on {device}; torch {torch.__version__}, {', '.join(f'{name} {version(name)}' for name in models)}"
)
