"""Any ASE calculator that a study names by its class."""

from typing import Annotated, Literal

from ase.calculators.calculator import Calculator
from pydantic import AfterValidator, BaseModel, Field, JsonValue

from ionmelt.mistakes import CLASS, FOLDER, IMAGE
from ionmelt.models.card import Card
from ionmelt.models.framework import Export, Loading
from ionmelt.models.frameworks import mace
from ionmelt.models.frameworks.ase_calculator import made
from ionmelt.models.settings import OwnModel
from ionmelt.settings import Path_, Sha256, Text, finite

PLAIN_DATA = "true, false, numbers, texts, and lists and sections of them"


class AseModel(OwnModel):
    """Any ASE calculator, in an environment of your own; it is first imported by its own task, not by the plan."""

    framework: Literal["ase"] = Field(description="ase: a calculator class of any Python library")
    calculator: Annotated[str, Field(pattern=CLASS, max_length=200)] = Field(
        description="dotted name of a subclass of ASE's Calculator, such as tblite.ase.TBLite, or of a class method or function of a "
        "library that makes one; or a file of yours and a function in it, such as my_calculator.py:make"
    )
    calculator_sha256: Sha256 | None = Field(
        default=None, description="sha256 of that file: checked before it is imported"
    )
    arguments: dict[str, Annotated[JsonValue, AfterValidator(finite)]] = Field(
        {}, max_length=50, description=f"arguments of the calculator, by name: {PLAIN_DATA}"
    )
    weights: Path_ | None = Field(default=None, description="file of weights that the calculator loads")
    weights_argument: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$", max_length=100)] | None = Field(
        default=None, description="name of the argument that takes the path of the weights"
    )
    sha256: Sha256 | None = Field(default=None, description="sha256 of the weights: checked before they are opened")
    licence: Text | None = Field(default=None, description="licence of the model, such as MIT")
    image: Annotated[str, Field(pattern=IMAGE, max_length=300)] | None = Field(
        default=None,
        description="container image with the library, Python 3.11 or newer, ase, numpy, pydantic, polars and mdtraj; left "
        "out, that of the analysis",
    )
    environment: Annotated[str, Field(pattern=FOLDER, max_length=300)] | None = Field(
        default=None,
        description="where no containers run: folder of a Python environment with the same, or one of ours: analysis, "
        "dft, mace, deepmd, nequip or foundation; left out, analysis",
    )

    @property
    def script(self) -> str | None:
        """Return the path of the file of the study that makes the calculator; None where a library does."""
        return self.calculator.partition(":")[0] if self.calculator and ":" in self.calculator else None


class AseFields(BaseModel):
    """What is read of a card's settings."""

    calculator: str
    arguments: dict[str, JsonValue] = {}
    weights_argument: str | None = None


MD_MEASURED = f"nothing of it, as if it were MACE 128x0e+128x1o, r 6 A: {mace.MD_MEASURED}"


def calculator(loading: Loading) -> Calculator:
    """Return the calculator of a class that the user named, made with the arguments of the card."""
    settings = loading.card.settings.of(AseFields)
    arguments = dict(settings.arguments)
    if loading.card.files:
        weights = loading.weights_file()  # every file is checked, one of code too
        if settings.weights_argument:
            arguments[settings.weights_argument] = str(weights.absolute())
    return made(settings.calculator, arguments, loading.folder)


def md_core_s(_model: AseModel, atoms: int, steps: float) -> float:
    """Return the core-seconds of molecular dynamics: nothing is known of it, so that it is as slow as a foundation model of MACE."""
    return mace.md_core_s(mace.MaceModel.model_validate({"id": "ase", "framework": "mace"}), atoms, steps)


def python_lines(card: Card, target: str) -> list[str]:
    """Return the lines of Python that give `target` this model."""
    settings = card.settings.of(AseFields)
    weights = repr(card.loaded_file) if settings.weights_argument else None  # else a file is code, which is imported
    return lines_of(settings, weights, target)


def lines_of(settings: AseFields, weights: str | None, target: str) -> list[str]:
    """Return the lines of Python that give `target` a calculator; `weights`: the expression of their path, None for none."""
    script, _, function = settings.calculator.partition(":")
    words = [script.removesuffix(".py"), function] if function else script.split(".")
    last = len(words) - 1  # a function, or a class, which may have its name before it
    start = next((index for index in range(1, last) if words[index][:1].isupper()), last)
    arguments = [f"{key}={value!r}" for key, value in settings.arguments.items()]
    if weights is not None:
        arguments.append(f"{settings.weights_argument}={weights}")
    return [
        f"from {'.'.join(words[:start])} import {words[start]}",
        f"{target} = {'.'.join(words[start:])}({', '.join(arguments)})",
    ]


EXPORT = Export(library="the library of that class", python=python_lines)
