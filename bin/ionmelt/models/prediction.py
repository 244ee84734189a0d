"""What a model says of labelled frames."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from ionmelt.errors import is_resource
from ionmelt.frame import ENERGY_KEY, FORCES_KEY, STRESS_KEY, shown, virial_stress
from ionmelt.models.motions import Computed


@dataclass
class Prediction:
    """What a model says of a frame, beside its label; or the reason why it says nothing."""

    frame: Atoms
    reference: Computed
    model: Computed | None
    reason: str | None = None


def computed(atoms: Atoms) -> tuple[float, np.ndarray, np.ndarray]:
    """Return energy, forces and stress (3, 3) by the calculator of atoms; the stress of those without images is that of their forces."""
    energy, forces = float(atoms.get_potential_energy()), np.array(atoms.get_forces(), dtype=np.float64)
    stress = atoms.get_stress(voigt=False) if atoms.pbc.all() else virial_stress(atoms, forces)
    return energy, forces, np.array(stress, dtype=float)


def reason_for(error: Exception, atoms: Atoms) -> str:
    """Say where a model failed, and what its library said; an error of the machine (memory, disk) is raised as it is."""
    if is_resource(error):
        raise error
    where = "in a periodic box" if atoms.pbc.any() else "in vacuum"
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return f"its library fails {where}: {type(error).__name__}: {first}"[:200]


def label_of(frame: Atoms) -> Computed:
    """Return the label of a frame."""
    return Computed(float(frame.info[ENERGY_KEY]), frame.arrays[FORCES_KEY], frame.info.get(STRESS_KEY))


def predict(frames: list[Atoms], calculators: dict[str, Calculator] | Calculator) -> Iterator[Prediction]:
    """Yield the prediction of each frame; what goes wrong in one frame is its reason and stops nothing."""
    for frame in frames:
        reference = label_of(frame)
        atoms = shown(frame)
        try:
            atoms.calc = calculators[frame.info["liquid"]] if isinstance(calculators, dict) else calculators
            numbers = computed(atoms)
        except Exception as error:  # a model can fail in any way that its libraries know
            yield Prediction(frame, reference, None, reason_for(error, atoms))
            continue
        if all(np.isfinite(value).all() for value in numbers):
            yield Prediction(frame, reference, Computed(*numbers))
        else:
            yield Prediction(frame, reference, None, "not a finite number")


def remove_offset(predictions: Iterable[Prediction]) -> None:
    """Shift the model's energies so that their mean error is zero for each composition, in place.

    For models whose energies have another zero than the labels: a force field's, another level of theory's.
    """
    by_formula: dict[str, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        by_formula[prediction.frame.get_chemical_formula()].append(prediction)
    for members in by_formula.values():
        done = [(p.model, p.reference) for p in members if p.model is not None]
        offset = float(np.mean([model.energy - reference.energy for model, reference in done])) if done else 0.0
        for model, _ in done:
            model.energy -= offset
