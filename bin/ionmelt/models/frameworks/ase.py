"""Any ASE calculator that a study names by its class."""

import contextlib
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from pydantic import AfterValidator, Field, JsonValue

from ionmelt.errors import UserError, is_resource, reading
from ionmelt.mistakes import CLASS, FOLDER, IMAGE
from ionmelt.models.card import loaded_file, weights_file
from ionmelt.models.device import device_name
from ionmelt.models.framework import Export, Loading
from ionmelt.models.frameworks import mace
from ionmelt.models.settings import OwnModel
from ionmelt.settings import Path_, Sha256, Text, finite

PLAIN_DATA = "true, false, numbers, texts, and lists and sections of them"


class AseModel(OwnModel):
    """Any ASE calculator, in an environment of your own; it is first imported by its own task, not by the plan."""

    framework: Literal["ase"] = Field(description="ase: a calculator class of any Python library")
    calculator: Annotated[str, Field(pattern=CLASS, max_length=200)] = Field(
        description="dotted name of a subclass of ASE's Calculator, such as tblite.ase.TBLite, or of a class method that "
        "makes one"
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
        description="container image with the library, Python 3.11 or newer, ase, numpy, polars and mdtraj; left out, that "
        "of the analysis",
    )
    environment: Annotated[str, Field(pattern=FOLDER, max_length=300)] | None = Field(
        default=None,
        description="where no containers run: folder of a Python environment with the same, or analysis, dft, mace or "
        "deepmd; left out, analysis",
    )


@contextlib.contextmanager
def as_model_error() -> Iterator[None]:
    """Turn whatever a model raises into an error that dynamics know as the model's; memory and disk stay the machine's."""
    try:
        yield
    except (RuntimeError, ValueError, ArithmeticError):
        raise
    except Exception as error:  # a library, or a class of a user's own, has errors of its own
        if is_resource(error):
            raise
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


class OwnCalculator(Calculator):
    """A calculator of a user's own, with what it returns and raises in one form.

    Calculators differ: stress is six numbers or a tensor (3, 3), energies are arrays of one, errors are of any class.
    """

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  (ASE's interface)

    def __init__(self, own: BaseCalculator) -> None:
        super().__init__()
        self.own, self.device = own, device_name(own)

    def reset(self) -> None:
        """Forget what was computed."""
        super().reset()
        if hasattr(self.own, "reset"):
            self.own.reset()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute energy (eV) and forces (eV/A), and the stress (eV/A^3, Voigt) when asked for.

        Raises `ValueError` for arrays of another shape.
        """
        super().calculate(atoms, properties, system_changes)
        n = len(self.atoms)
        shapes: dict[str, list[tuple[int, ...]]] = {"energy": [(1,)], "forces": [(n, 3)], "stress": [(6,), (3, 3)]}
        for name in shapes if "stress" in (properties or ()) else ("energy", "forces"):
            with as_model_error():
                value = np.array(self.own.get_property(name, self.atoms), dtype=float)
            value = value.reshape(1) if name == "energy" and value.size == 1 else value
            if value.shape not in shapes[name]:
                raise ValueError(f"the calculator gives {name} of the shape {value.shape}, not {shapes[name][0]}")
            self.results[name] = value[0] if name == "energy" else value
        if np.ndim(self.results.get("stress")) == 2:
            self.results["stress"] = full_3x3_to_voigt_6_stress(self.results["stress"])


# Modules of ASE whose calculators compute in the process itself. Most of the others write files and run whatever program they are
# told to.
IN_PROCESS = {
    *(f"ase.calculators.{name}" for name in (
        "abc", "acn", "calculator", "eam", "emt", "ff", "harmonic", "idealgas", "kim.kimmodel", "lj", "mixing", "morse", "tersoff",
        "tip3p", "tip4p",
    )),
}  # fmt: skip
PROGRAM_ARGUMENTS = re.compile(r"(\w*_)?(command|commands|cmd|cmds|executable|profile|binary|shell|lmpcmds)")


def runs_programs(made_by: type) -> str | None:
    """Return the class of ASE for which a calculator class may run programs, None where it computes in the process itself."""
    for base in made_by.__mro__:
        if base.__module__.split(".")[0] != "ase":
            continue
        if base.__module__ not in IN_PROCESS or base.__name__ == "FileIOCalculator":
            return f"{base.__module__}.{base.__name__}"
    return None


def named_class(name: str) -> Callable[..., Any]:
    """Return the ASE calculator class, or the class method that makes one, of a dotted name.

    Raises `UserError` for a name that cannot be imported, and for anything that is no calculator: a study names what
    computes forces, not what to run.
    """
    words = name.split(".")
    for cut in range(len(words) - 1, 0, -1):
        with reading(f"calculator: {name} cannot be imported here"):
            try:
                found: Any = importlib.import_module(".".join(words[:cut]))
            except ModuleNotFoundError as error:
                if error.name and ".".join(words[:cut]).startswith(error.name):
                    continue
                raise
        break
    else:
        raise UserError(
            f"calculator: {name} cannot be imported here: there is no module {words[0]} in this environment"
        )
    owner = None
    for word in words[cut:]:
        owner, found = found, getattr(found, word, None)
        if found is None:
            raise UserError(f"calculator: {name} cannot be imported here: {'.'.join(words[:cut])} has no {word}")
    made_by = owner if inspect.ismethod(found) else found
    if not (inspect.isclass(made_by) and issubclass(made_by, BaseCalculator)):
        raise UserError(
            f"calculator: {name} is no ASE calculator: give a subclass of ase.calculators.calculator.Calculator"
        )
    if base := runs_programs(made_by):
        raise UserError(
            f"calculator: {name} is a {base}, which may run any program: give a class that computes in the process itself"
        )
    return found


def calculator(loading: Loading) -> Calculator:
    """Return the calculator of a class that the user named, made with the arguments of the card."""
    card, settings = loading.card, loading.card["settings"]
    arguments = dict(settings["arguments"])
    if programs := [key for key in arguments if PROGRAM_ARGUMENTS.fullmatch(key)]:
        raise UserError(
            f"arguments: {programs[0]}: names a program: give a calculator that computes in the process itself"
        )
    if card["files"]:
        arguments[settings["weights_argument"]] = str(weights_file(loading.folder, card).absolute())
    make = named_class(settings["calculator"])
    with reading(f"calculator: {settings['calculator']} cannot be made"):
        made = make(**arguments)
    if base := runs_programs(type(made)):
        raise UserError(f"calculator: {settings['calculator']} makes a {base}, which may run any program")
    return OwnCalculator(made)


def md_core_s(_model: AseModel, atoms: int, steps: float) -> float:
    """Return the core-seconds of molecular dynamics: nothing is known of it, so that it is as slow as a foundation model of MACE."""
    return mace.md_core_s(mace.MaceModel.model_validate({"id": "ase", "framework": "mace"}), atoms, steps)


def python_lines(card: dict[str, Any], target: str) -> list[str]:
    """Return the lines of Python that give `target` this model."""
    settings = card["settings"]
    words = settings["calculator"].split(".")
    start = next((index for index, word in enumerate(words) if word[:1].isupper()), -1)
    arguments = [f"{key}={value!r}" for key, value in settings["arguments"].items()]
    if card["files"]:
        arguments.append(f"{settings['weights_argument']}={loaded_file(card)!r}")
    return [
        f"from {'.'.join(words[:start])} import {words[start]}",
        f"{target} = {'.'.join(words[start:])}({', '.join(arguments)})",
    ]


EXPORT = Export(library="the library of that class", python=python_lines)
