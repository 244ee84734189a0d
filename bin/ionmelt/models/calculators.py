"""From a model folder to an ASE calculator: the one place that knows how each framework is loaded.

A model folder holds `model.json` (the card) and the weights it names. Weights are checked against the
sha256 of the card before they are opened, because both frameworks read files that can run code.
"""

import contextlib
import hashlib
import importlib.util
import inspect
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator, Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from ionmelt.errors import UserError, is_resource, reading
from ionmelt.files import read_json

KJ_MOL = units.kJ / units.mol
# Half-width of the central difference in OpenMM's energy: small enough that the third-order term is
# below 0.1 bar, large enough that single-precision energies do not matter.
STRAIN = 2e-4
# D3's pairs are switched off over this length (A), and counted for coordination numbers up to this (A).
SWITCH_A = 2.0
COORDINATION_A = 21.2


def read_card(model: Path) -> dict[str, Any]:
    """Return the model card of a model folder; raises `UserError` where it is missing or not JSON."""
    return read_json(model / "model.json")


def sha256_of(path: Path) -> str:
    """Return the sha256 (hex) of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def wrong_content(path: Path, sha256: str) -> str | None:
    """Return what is wrong with a file that should have a sha256, or None. To be asked before anything opens the file."""
    found = sha256_of(path) if path.is_file() else "no such file"
    return None if found == sha256 else f"sha256 is {found}"


def weights_file(model: Path, card: dict[str, Any]) -> Path:
    """Return the file to load, after checking every file of the card against its sha256.

    The weights are the last file of the card: what DeePMD compresses comes after what it froze.
    Raises `UserError` for a file that is missing or has another content.
    """
    found = {name: wrong_content(model / name, expected) for name, expected in card["files"].items()}
    problems = [
        f"model {model.name}: {name}: {wrong}, the model card says {card['files'][name]}"
        for name, wrong in found.items()
        if wrong
    ]
    if problems:
        raise UserError(*problems)
    return model / loaded_file(card)


def loaded_file(card: dict[str, Any]) -> str:
    """Return the name of the file of a model folder that is loaded."""
    return str(card.get("load", list(card["files"])[-1]))


class ClassicalCalculator(Calculator):
    """A fixed-charge force field in OpenMM.

    Energy and forces are OpenMM's; the stress is a central difference of the energy over strain, since
    OpenMM has no virial. With ``hydrostatic`` only the isotropic part is computed (2 energies rather
    than 12) and stands on the diagonal, which is all that an isotropic barostat reads.
    """

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  (ASE's interface)
    stress_is_dear = True  # it takes further energies, and is computed only where something needs it

    def __init__(self, system: Path, hydrostatic: bool = False, platform: str = "CPU") -> None:
        super().__init__()
        # One thread: with more, forces differ in their last bits from call to call.
        os.environ["OPENMM_CPU_THREADS"] = "1"
        import openmm

        self.openmm = openmm
        properties = {"Threads": "1", "DeterministicForces": "true"} if platform == "CPU" else {}
        self.context = openmm.Context(
            openmm.XmlSerializer.deserialize(system.read_text()),
            openmm.VerletIntegrator(0.001),
            openmm.Platform.getPlatformByName(platform),
            properties,
        )
        self.hydrostatic = hydrostatic

    def reset(self) -> None:
        """Forget what was computed, OpenMM's neighbours too: their order decides the last bits of the forces."""
        super().reset()
        self.context.reinitialize()

    def _state(self, cell: np.ndarray, positions: np.ndarray, forces: bool) -> Any:
        self.context.setPeriodicBoxVectors(*(cell / 10))
        self.context.setPositions(positions / 10)
        try:
            return self.context.getState(getEnergy=True, getForces=forces)
        except self.openmm.OpenMMException as error:  # an exception of its own kind, such as for positions that are NaN
            raise RuntimeError(f"OpenMM: {error}") from error

    def _energy(self, cell: np.ndarray, positions: np.ndarray) -> float:
        energy = self._state(cell, positions, forces=False).getPotentialEnergy()
        return energy.value_in_unit(self.openmm.unit.kilojoule_per_mole) * KJ_MOL

    def _strain_derivative(self, direction: np.ndarray) -> float:
        """Return dE/d(strain) in eV along one strain direction (3, 3)."""
        cell, positions = self.atoms.cell.array, self.atoms.positions
        ends = []
        for sign in (1, -1):
            deform = np.eye(3) + sign * STRAIN * direction
            ends.append(self._energy(cell @ deform, positions @ deform))
        return (ends[0] - ends[1]) / (2 * STRAIN)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute energy (eV) and forces (eV/A), and the stress (eV/A^3, Voigt) when asked for."""
        super().calculate(atoms, properties, system_changes)
        if (size := self.context.getSystem().getNumParticles()) != len(self.atoms):
            raise ValueError(f"a force field of the whole box, {size} atoms: this frame has {len(self.atoms)} of them")
        unit = self.openmm.unit
        state = self._state(self.atoms.cell.array, self.atoms.positions, forces=True)
        self.results["energy"] = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) * KJ_MOL
        forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.angstrom)
        self.results["forces"] = np.asarray(forces) * KJ_MOL
        if properties is None or "stress" not in properties:
            return
        volume = self.atoms.get_volume()
        if self.hydrostatic:
            isotropic = self._strain_derivative(np.eye(3)) / (3 * volume)
            self.results["stress"] = np.array([isotropic] * 3 + [0.0] * 3)
        else:
            # Simple shears: they differ from symmetric strains by a rotation, which costs no energy,
            # and keep the cell lower triangular, which OpenMM asks for.
            voigt = [(0, 0), (1, 1), (2, 2), (2, 1), (2, 0), (1, 0)]
            directions = [np.outer(np.eye(3)[i], np.eye(3)[j]) for i, j in voigt]
            self.results["stress"] = np.array([self._strain_derivative(d) for d in directions]) / volume


def added_dispersion(settings: dict[str, Any] | None) -> Calculator | None:
    """Return the calculator of the two-body D3(BJ) that a card's settings add to a model (Grimme et al., J. Comput. Chem.
    32, 1456, 2011; simple-dftd3), None where they add none.
    """
    if not settings:
        return None
    from dftd3.ase import DFTD3

    parameters = {"method": settings["functional"].lower(), "atm": False}
    return DFTD3(damping="d3bj", params_tweaks=parameters, realspace_cutoff=dispersion_radii(settings["cutoff_A"]))


def dispersion_radii(cutoff_A: float) -> dict[str, float]:
    """Return the radii (A) that dftd3 is given for a cut-off of the pairs."""
    return {"disp2": cutoff_A, "disp3": cutoff_A, "cn": COORDINATION_A, "width2": SWITCH_A}


class DispersedCalculator(Calculator):
    """A model with the dispersion added that it lacks."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  (ASE's interface)

    def __init__(self, model: Calculator, dispersion: Calculator) -> None:
        super().__init__()
        self.parts, self.device = (model, dispersion), device_name(model)

    def reset(self) -> None:
        """Forget what was computed."""
        super().reset()
        for part in self.parts:
            part.reset()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute the sums of energy (eV), forces (eV/A) and, in a periodic box, stress (eV/A^3, Voigt)."""
        super().calculate(atoms, properties, system_changes)
        names = ("energy", "forces", "stress") if self.atoms.pbc.all() else ("energy", "forces")
        for name in names:
            self.results[name] = sum(part.get_property(name, self.atoms) for part in self.parts)


def with_dispersion(calculator: Calculator, settings: dict[str, Any] | None) -> Calculator:
    """Return the calculator with the dispersion of a card's settings added, or as it is where they add none."""
    dispersion = added_dispersion(settings)
    return calculator if dispersion is None else DispersedCalculator(calculator, dispersion)


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


def own_calculator(model: Path, card: dict[str, Any]) -> Calculator:
    """Return the calculator of a class that the user named, made with the arguments of the card."""
    settings = card["settings"]
    arguments = dict(settings["arguments"])
    if programs := [key for key in arguments if PROGRAM_ARGUMENTS.fullmatch(key)]:
        raise UserError(
            f"arguments: {programs[0]}: names a program: give a calculator that computes in the process itself"
        )
    if card["files"]:
        arguments[settings["weights_argument"]] = str(weights_file(model, card).absolute())
    make = named_class(settings["calculator"])
    with reading(f"calculator: {settings['calculator']} cannot be made"):
        made = make(**arguments)
    if base := runs_programs(type(made)):
        raise UserError(f"calculator: {settings['calculator']} makes a {base}, which may run any program")
    return OwnCalculator(made)


def load_calculator(
    model: Path, state: Path | None = None, threads: int = 1, hydrostatic: bool = False, dtype: str | None = None
) -> Calculator:
    """Return the ASE calculator (energy eV, forces eV/A, stress eV/A^3) of a model folder.

    ``state`` is the folder of the equilibrated liquid, which the classical model needs for its
    ``system.xml``. ``hydrostatic`` lets a model skip stress components that no isotropic barostat reads; ``dtype``
    is a MACE model's precision, by default that of its card.
    Raises `UserError` for wrong weights, a framework that is not known, or a missing state.
    """
    return card_calculator(model, read_card(model), state, threads, hydrostatic, dtype)


def card_calculator(
    model: Path,
    card: dict[str, Any],
    state: Path | None = None,
    threads: int = 1,
    hydrostatic: bool = False,
    dtype: str | None = None,
) -> Calculator:
    """Return the calculator of a model folder whose card is given; see `load_calculator`."""
    calculator = bare_calculator(model, card, state, threads, hydrostatic, dtype)
    return with_dispersion(calculator, (card.get("settings") or {}).get("dispersion"))


def bare_calculator(
    model: Path, card: dict[str, Any], state: Path | None, threads: int, hydrostatic: bool, dtype: str | None
) -> Calculator:
    """Return the calculator of a model without what is added to it; see `load_calculator`."""
    framework = card["framework"]
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    if framework == "classical":
        if state is None or not (state / "system.xml").is_file():
            raise UserError(f"model {model.name}: a classical model needs a liquid with a force field (system.xml)")
        return ClassicalCalculator(state / "system.xml", hydrostatic)
    if framework == "xtb":
        from tblite.ase import TBLite

        settings = card["settings"]
        return TBLite(method=settings["method"], accuracy=settings.get("accuracy", 0.1), verbosity=0)
    if framework == "mace":
        weights = weights_file(model, card)
        import torch
        from mace.calculators import MACECalculator

        torch.set_num_threads(threads)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return MACECalculator(
            str(weights),
            device=device,
            default_dtype=dtype or card["settings"].get("dtype", "float32"),
            head=card.get("head"),
        )
    if framework == "deepmd":
        weights = weights_file(model, card)
        import torch
        from deepmd.calculator import DP

        torch.set_num_threads(threads)
        return DP(model=str(weights))
    if framework == "ase":
        return own_calculator(model, card)
    raise UserError(f"model {model.name}: framework: {framework!r} is not one of ase, classical, deepmd, mace, xtb")


def device() -> str:
    """Return ``cuda`` where PyTorch is there and sees a GPU, else ``cpu``."""
    if importlib.util.find_spec("torch") is None:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def device_name(calculator: BaseCalculator) -> str:
    """Return ``cpu`` or ``cuda``: where a calculator runs."""
    return str(getattr(calculator, "device", "cpu")).split(":")[0]
