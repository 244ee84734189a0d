"""The liquid's own classical force field as a model, by OpenMM."""

from typing import Literal

from ase.calculators.calculator import Calculator
from pydantic import BaseModel, Field

from ionmelt.errors import UserError
from ionmelt.laws import openmm_core_s
from ionmelt.liquid.calculator import ClassicalCalculator
from ionmelt.models.framework import Loading
from ionmelt.models.settings import AnyModel

NPT_EVALUATIONS = 3  # a step at constant pressure: energy and forces, and two energies for the pressure


class ClassicalModel(AnyModel):
    """The liquid's own classical force field, as a baseline."""

    framework: Literal["classical"] = Field(description="classical: the force field of each liquid")


FORCE_FIELDS = "force_fields.json"  # of a plan


class ClassicalFields(BaseModel):
    """By liquid: where the force field of each ion and molecule is from, and the scale of the ions' charges."""

    force_fields: dict[str, dict[str, str]] = {}
    charge_scale: dict[str, float] = {}


def calculator(loading: Loading) -> Calculator:
    """Return the calculator of the force field that built the liquid; raises `UserError` without the state of one."""
    system = loading.state / "system.xml" if loading.state else None
    if system is None or not system.is_file():
        raise UserError(
            f"model {loading.folder.name}: a classical model needs a liquid with a force field (system.xml)"
        )
    return ClassicalCalculator(system.read_text(), loading.hydrostatic)


def md_core_s(_model: ClassicalModel, atoms: int, steps: float) -> float:
    """Return the core-seconds of molecular dynamics."""
    return NPT_EVALUATIONS * openmm_core_s(atoms, steps)
