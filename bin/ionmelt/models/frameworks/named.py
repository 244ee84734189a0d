"""Models that a study names: calculators of libraries, with weights that a package ships or the user brings."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from ase.calculators.calculator import Calculator
from pydantic import Field

from ionmelt.errors import UserError
from ionmelt.mistakes import FOLDER, IMAGE
from ionmelt.models.card import Card, wrong_content
from ionmelt.models.device import device
from ionmelt.models.framework import Export, Loading
from ionmelt.models.frameworks.ase import AseFields, lines_of
from ionmelt.models.frameworks.ase_calculator import made
from ionmelt.models.frameworks.made import LINES
from ionmelt.models.settings import OwnModel
from ionmelt.settings import Path_, Sha256, Text

ATOM_S = 2.5e-2  # core-seconds of energy, forces and stress for one atom
MD_MEASURED = "SevenNet-0, 140 atoms of PYR14BF4"


class NamedModel(OwnModel):
    """A model by its name: its calculator, level of theory and licence are those of the table of named models."""

    framework: Literal["named"] = Field(description="named: a model of the table in docs/named.md")
    model: Text = Field(description="its name there, such as sevennet-0")
    theory: Text | None = Field(
        default=None, description="level of theory of the head that is used, for a model with several; else left out"
    )
    head: Text | None = Field(default=None, description="head of a model that has several")
    weights: Path_ | None = Field(
        default=None, description="file of its weights, where no package holds them (bin/fetch_weights.py)"
    )
    sha256: Sha256 | None = Field(
        default=None, description="sha256 of that file, where its project publishes none: checked before it is opened"
    )
    image: Annotated[str, Field(pattern=IMAGE, max_length=300)] | None = Field(
        default=None, description="container image with its library, in place of ours"
    )
    environment: Annotated[str, Field(pattern=FOLDER, max_length=300)] | None = Field(
        default=None,
        description="where no containers run: folder of a Python environment with the same, in place of ours",
    )


def installed(name: str) -> Path:
    """Return a file of a package, by its path from where packages lie; the package is not imported.

    Raises `UserError` where there is no such package.
    """
    package = name.partition("/")[0]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"model: the package {package}, which holds its weights, is not in this environment")
    return Path(next(iter(spec.submodule_search_locations))).parent / name


def shipped_weights(shipped: Mapping[str, str]) -> Path:
    """Return the weights that a package holds, once each file has the sha256 of the table: the file, or the folder of several.

    Raises `UserError` where one has not: it is then not opened.
    """
    paths = {name: installed(name) for name in shipped}
    wrong = {name: wrong_content(paths[name], digest) for name, digest in shipped.items()}
    lines = [
        f"model: {name}: {text}, should be {shipped[name]}; it was not opened" for name, text in wrong.items() if text
    ]
    if lines:
        raise UserError(*lines)
    first = next(iter(paths.values()))
    return first if len(paths) == 1 else first.parent


class NamedFields(AseFields):
    """What is read of a card's settings."""

    device_argument: str | None = None
    shipped: dict[str, Sha256] = Field(default={})


def calculator(loading: Loading) -> Calculator:
    """Return the calculator of a named model, its weights checked before they are opened."""
    settings = loading.card.settings.of(NamedFields)
    arguments = dict(settings.arguments)
    if settings.device_argument:
        arguments[settings.device_argument] = device()
    if settings.shipped:
        arguments[str(settings.weights_argument)] = str(shipped_weights(settings.shipped))
    elif loading.card.files:
        arguments[str(settings.weights_argument)] = str(loading.weights_file().absolute())
    return made(settings.calculator, arguments)


def md_core_s(_model: NamedModel, atoms: int, steps: float) -> float:
    """Return the core-seconds of molecular dynamics."""
    return steps * atoms * ATOM_S


def python_lines(card: Card, target: str) -> list[str]:
    """Return the lines of Python that give `target` this model."""
    settings, before = card.settings.of(NamedFields), []
    weights = repr(card.loaded_file) if card.files else None
    device = {settings.device_argument: "cpu"} if settings.device_argument else {}
    if lines := LINES.get(settings.calculator):
        return lines(**settings.arguments, **device, weights=weights, target=target)
    settings = settings.model_copy(update={"arguments": settings.arguments | device})
    if names := list(settings.shipped):
        package, _, inside = names[0].partition("/")
        inside = inside if len(names) == 1 else inside.rpartition("/")[0]
        weights = f"str(Path({package}.__file__).parent / {inside!r})"
        before = ["from pathlib import Path", f"import {package}"]
    return [*before, *lines_of(settings, weights, target)]


EXPORT = Export(library="the packages of the line `versions`", python=python_lines)
