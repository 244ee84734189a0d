"""A semi-empirical method as a model, by tblite."""

from typing import Literal

from ase.calculators.calculator import Calculator
from pydantic import BaseModel, Field

from ionmelt.laws import XTB
from ionmelt.models.framework import Loading
from ionmelt.models.settings import AnyModel
from ionmelt.settings import Real, number


class XtbModel(AnyModel):
    """A semi-empirical method as a model."""

    framework: Literal["xtb"] = Field(description="xtb: MD by the semi-empirical method itself")
    method: Literal["GFN1-xTB", "GFN2-xTB"] = Field("GFN1-xTB", description="the Hamiltonian")
    accuracy: Real = number(0.1, 1e-4, 10, "tblite's accuracy factor: smaller is tighter")


class XtbFields(BaseModel):
    """What is read of a card's settings."""

    method: str
    accuracy: float = 0.1


def calculator(loading: Loading) -> Calculator:
    """Return tblite's calculator."""
    from tblite.ase import TBLite

    settings = loading.card.settings.of(XtbFields)
    return TBLite(method=settings.method, accuracy=settings.accuracy, verbosity=0)


def md_core_s(model: XtbModel, atoms: int, steps: float) -> float:
    """Return the core-seconds of molecular dynamics."""
    return steps * XTB[model.method].core_s(atoms)
