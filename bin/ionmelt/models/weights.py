"""Open weights that somebody else wrote without running what they may hold.

A MACE model is a pickle of the whole module, or TorchScript; DeePMD models are TorchScript or checkpoints of tensors. What is in a
file is compared with lists of what models need first (ionmelt/models/untrusted), and what is not on them is refused by name. Then PyTorch's
own readers open it, for a pickle the restricted one, which makes nothing but what the lists name.
"""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ionmelt.errors import UserError, reading
from ionmelt.files import stand_in
from ionmelt.models.untrusted import allowed, file, refusals
from ionmelt.models.untrusted.archive import NO_DATA
from ionmelt.models.untrusted.checked import Checked

HEAD = "Default"  # what MACE calls the head of a model that has one
# Classes of MACE with elements and a cut-off that cannot be run as a model.
UNFIT = {
    "LAMMPS_MACE": "the form that LAMMPS loads: give the .model file that it was made of",
    "AtomicDipolesMACE": "a model of dipoles, which has no energy",
    "AtomicDielectricMACE": "a model of dipoles and polarizabilities, which has no energy",
}


def is_archive(path: Path) -> bool:
    """Tell whether a file begins as what PyTorch writes."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def checked(path: Path, framework: str, name: str | None = None) -> Checked:
    """Return what a file of weights names, nothing of which has run; `name` is how messages call it.

    Raises `UserError` for a file that PyTorch did not write, or that would do
    what no model needs.
    """
    name = name or path.name
    try:
        return file.check(path)
    except refusals.NotThisKindError as error:
        if instead := stand_in(path):
            raise UserError(f"weights: {name} {instead}") from error
        if str(error) == NO_DATA:
            raise UserError(f"weights: {name} is {NO_DATA}: unpack it, and give the {framework} model in it") from error
        if is_archive(path):
            raise UserError(f"weights: {name} is cut off or damaged: download or copy it again") from error
        hint = {
            "MACE": "MACE model: it is not a file that torch.save wrote (PyTorch 1.6 or newer)",
            "DeePMD": "DeePMD model of PyTorch: give one that dp --pt freeze or compress wrote (.pth), or a checkpoint of "
            "dp --pt train (.pt); it was not opened",
        }[framework]
        raise UserError(f"weights: {name} is no {hint}") from error
    except refusals.CallsError as error:
        what = f"it would call {error}"
        raise UserError(f"weights: {name} was not opened: {what}, which no {framework} model needs") from error
    except refusals.RefusedError as error:
        what = f"it holds {error}"
        raise UserError(f"weights: {name} was not opened: {what}, which no {framework} model needs") from error


# Names of the text arguments of operators that are no names of files: dimensions, formulas, parts of texts.
TEXTS = {
    "UPLO", "a", "approximate", "b", "chars", "default_value", "dim", "dim0", "dim1", "dim2", "dims", "el", "end_dim",
    "equation", "fillchar", "indexing", "interpolation", "key", "mode", "msg", "names", "ord", "out_dim", "outdim",
    "padding_mode", "prefix", "reduce", "rounding_mode", "self", "separator", "side", "start_dim", "string", "substr",
    "suffix",
}  # fmt: skip


def check_attributes(names: set[str], where: str) -> None:
    """Refuse TorchScript that asks objects for what are operators of torch that take the name of a file, or an unknown text.

    Of a tensor they would be called. Raises `UserError`.
    """
    import torch

    for name in sorted(names - allowed.OPERATORS - allowed.SCRIPT):
        for space in ("aten", "prim"):
            for schema in torch._C._jit_get_schemas_for_operator(f"{space}::{name}"):
                if any("str" in str(argument.type) and argument.name not in TEXTS for argument in schema.arguments):
                    raise UserError(f"weights: {where} was not opened: it holds TorchScript that calls .{name}")


def resolved(name: str) -> Any:
    """Return what a checked name stands for; raises ImportError where these libraries have no such thing."""
    module, _, attribute = name.rpartition(".")
    import torch

    try:
        meant = getattr(import_module(module.replace("numpy.core.", "numpy._core.")), attribute)
    except AttributeError as error:
        raise ImportError(f"{module} has no {attribute}") from error
    if module in allowed.CLASSES and not (
        inspect.isclass(meant) and issubclass(meant, torch.nn.Module | tuple) and meant.__module__ == module
    ):
        plain = inspect.isclass(meant) and hasattr(meant, "__dataclass_fields__")
        if not plain:
            raise ImportError(f"{name} is no module")
    return meant


def kind_of(model: Any) -> str:
    """Return the class of a module of PyTorch: TorchScript says what it was made from."""
    return str(getattr(model, "original_name", type(model).__name__))


def heads_of(model: Any) -> list[str]:
    """Return the names of the heads of a MACE model; those of one head have no list in older versions."""
    return [str(head) for head in getattr(model, "heads", None) or [HEAD]]


def e0s_of(model: Any, head: str) -> dict[int, float]:
    """Return the reference energies (eV) of a head of a MACE model, by atomic number."""
    rows = np.atleast_2d(model.atomic_energies_fn.atomic_energies.detach().double().cpu().numpy())
    row = rows[heads_of(model).index(head) if len(rows) > 1 else 0]
    return {int(number): float(energy) for number, energy in zip(model.atomic_numbers, row, strict=True)}


def read_mace(path: Path, name: str | None = None) -> Any:
    """Return the module that a MACE file holds, on the CPU; `name` is how messages call it.

    Raises `UserError` where the file is no MACE model, or would run more than a model needs; nothing of it has run then.
    """
    name = name or path.name
    contents = checked(path, "MACE", name)
    if not contents.script and not contents.top.startswith("mace."):
        what = contents.top.rpartition(".")[2]
        raise UserError(f"weights: {name} is no MACE model: it holds a {what}; give the .model file, not a checkpoint")
    import mace.modules  # noqa: F401  (its classes are what the file names)
    import torch

    check_attributes(contents.attributes, name)
    with reading(f"weights: {name} cannot be opened as a MACE model"):
        if contents.script:
            model = torch.jit.load(str(path), map_location="cpu")
        else:
            classes = [(resolved(one), one) for one in sorted(contents.globals)]
            with torch.serialization.safe_globals(classes):
                model = torch.load(path, map_location="cpu", weights_only=True)
    if not (isinstance(model, torch.nn.Module) and hasattr(model, "atomic_numbers") and hasattr(model, "r_max")):
        what = kind_of(model)
        raise UserError(f"weights: {name} is no MACE model: it holds a {what}; give the .model file, not a checkpoint")
    if unfit := UNFIT.get(kind_of(model)):
        raise UserError(f"weights: {name} is {unfit}")
    return model


def check_deepmd(path: Path, name: str) -> Checked:
    """Return what a DeePMD file names: of frozen weights (.pth) or, where it is no ``script``, a checkpoint of tensors (.pt).

    Raises `UserError` for anything else; `name` is how messages call it.
    """
    contents = checked(path, "DeePMD", name)
    if not contents.script and (
        contents.top not in ("dict", "OrderedDict") or any("mace." in one for one in contents.globals)
    ):
        raise UserError(f"weights: {name} is no DeePMD model of PyTorch: it holds a {contents.top.rpartition('.')[2]}")
    return contents
