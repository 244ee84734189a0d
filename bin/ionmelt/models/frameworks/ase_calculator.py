"""An ASE calculator that a user names: its class or function looked up, what it may run refused, its results in one form."""

import contextlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from pydantic import JsonValue

from ionmelt import patience
from ionmelt.errors import UserError, is_resource, reading
from ionmelt.models.device import device_name


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

    def __init__(self, calculator: BaseCalculator) -> None:
        super().__init__()
        self.calculator, self.device = calculator, device_name(calculator)

    def reset(self) -> None:
        """Forget what was computed."""
        super().reset()
        if hasattr(self.calculator, "reset"):
            self.calculator.reset()

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
        assert self.atoms is not None  # ASE has set it
        n = len(self.atoms)
        shapes: dict[str, list[tuple[int, ...]]] = {"energy": [(1,)], "forces": [(n, 3)], "stress": [(6,), (3, 3)]}
        for name in shapes if "stress" in (properties or ()) else ("energy", "forces"):
            with as_model_error(), patience.limited():
                value = np.asarray(self.calculator.get_property(name, self.atoms), dtype=np.float64)
            value = value.reshape(1) if name == "energy" and value.size == 1 else value
            if value.shape not in shapes[name]:
                raise ValueError(f"the calculator gives {name} of the shape {value.shape}, not {shapes[name][0]}")
            self.results[name] = value[0] if name == "energy" else value
        if "stress" in self.results and np.ndim(self.results["stress"]) == 2:
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
    """Return the ASE calculator class, or the class method or function of a library that makes one, of a dotted name.

    Raises `UserError` for a name that cannot be imported, and for anything that makes no calculator: a study names what
    computes forces, not what to run.
    """
    words = name.split(".")
    for cut in range(len(words) - 1, 0, -1):
        with reading(f"calculator: {name} cannot be imported here"):
            try:
                maker: Any = importlib.import_module(".".join(words[:cut]))
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
        owner, maker = maker, getattr(maker, word, None)
        if maker is None:
            raise UserError(f"calculator: {name} cannot be imported here: {'.'.join(words[:cut])} has no {word}")
    if inspect.isfunction(maker) and not inspect.isclass(owner):
        check_function(name, maker)
        return maker
    made_by = owner if inspect.ismethod(maker) else maker
    if not (inspect.isclass(made_by) and issubclass(made_by, BaseCalculator)):
        raise UserError(
            f"calculator: {name} is no ASE calculator: give a subclass of ase.calculators.calculator.Calculator, or a function "
            "of its library that makes one"
        )
    if base := runs_programs(made_by):
        raise UserError(
            f"calculator: {name} is a {base}, which may run any program: give a class that computes in the process itself"
        )
    return maker


def check_function(name: str, function: Callable[..., Any]) -> None:
    """Refuse a function that is not of the library by whose name it is called, such as one of Python's own that a library imports."""
    library = name.partition(".")[0]
    if library in sys.stdlib_module_names or library == "ase" or function.__module__.partition(".")[0] != library:
        raise UserError(
            f"calculator: {name} is a function of {function.__module__}: give one of the library of a model that makes its "
            "calculator"
        )


def function_of(path: Path, name: str) -> Callable[..., Any]:
    """Return a function of a file of Python, which is imported. Raises `UserError` where that fails or it has none."""
    with reading(f"calculator: {path.name} cannot be imported"):
        spec = importlib.util.spec_from_file_location(f"of_study_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise UserError(f"calculator: {path.name} has no function {name}")
    return function


def made(name: str, arguments: dict[str, JsonValue], folder: Path | None = None) -> Calculator:
    """Return the calculator that a class, a function, or one of a file in the folder of the model makes of arguments.

    Raises `UserError` where it makes none, or one that may run programs.
    """
    if programs := [key for key in arguments if PROGRAM_ARGUMENTS.fullmatch(key)]:
        raise UserError(
            f"arguments: {programs[0]}: names a program: give a calculator that computes in the process itself"
        )
    script, _, function = name.partition(":")
    with patience.limited():
        make = function_of(folder / script, function) if folder and function else named_class(name)
        with reading(f"calculator: {name} cannot be made"):
            calculator = make(**arguments)
    if not isinstance(calculator, BaseCalculator):
        raise UserError(f"calculator: {name} makes a {type(calculator).__name__}, which is no ASE calculator")
    if base := runs_programs(type(calculator)):
        raise UserError(f"calculator: {name} makes a {base}, which may run any program")
    return OwnCalculator(calculator)
