"""What a row of the table of frameworks says (ionmelt/models/frameworks)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ase.calculators.calculator import Calculator

from ionmelt.models.card import Card
from ionmelt.models.settings import AnyModel, TrainingSettings


@dataclass(frozen=True)
class Loading:
    """A model folder that is to be loaded, with its card, and how."""

    folder: Path
    card: Card
    state: Path | None = None  # folder of the equilibrated liquid, for models that need its force field
    threads: int = 1
    hydrostatic: bool = False  # stress components that no isotropic barostat reads may be left out
    double: bool = False  # in double precision, where the framework lets choose

    def weights_file(self) -> Path:
        """Return the file to load, after checking every file of the folder; raises `UserError` for another content."""
        return self.card.weights_file(self.folder)


@dataclass(frozen=True)
class Export:
    """What the page of an exported model says of its use, and the form of it that LAMMPS loads."""

    library: str  # that its lines of Python need
    python: Callable[[Card, str], list[str]]  # from the card and a name: lines that give the name a calculator
    tool_input: str = ""  # file beside weights that were trained here: what the framework's own tool was given
    lammps_needs: str = ""  # LAMMPS with what; empty: LAMMPS cannot use it
    lammps_runs: str = "These lines are those of its manual and were not run."  # what is known of them
    lammps_settings: tuple[str, ...] = ()  # lines of an input before atoms are read
    # (card, elements in the order of atom types): lines of an input in units metal
    lammps: Callable[[Card, Sequence[str]], list[str]] = lambda _card, _elements: []
    # (weights, card, out, threads): writes the file that LAMMPS loads
    convert: Callable[[Path, Card, Path, int], None] | None = None


@dataclass(frozen=True)
class Framework:
    """A kind of force field, as far as it is known before any model of it is opened."""

    name: str
    settings: type[AnyModel]  # what a study says of such a model
    calculator: Callable[[Loading], Calculator]
    md_core_s: Callable[[Any, int, float], float]  # (settings, atoms, steps): core-seconds of molecular dynamics
    export: Export | None = None  # None: there are no files to hand out
    environment: str = "analysis"  # Python environment, or image, that it is trained and run in
    training_settings: type[TrainingSettings] | None = None  # what its training is told; None: it is not trained here
    length: str | None = None  # field of the settings with the length of a training: steps or epochs
    training_core_s: Callable[[Any, float, float], float] | None = None  # (settings, frames, mean atoms)
    # What these core-seconds were measured with; empty: they are a guess.
    md_measured: str = ""
    training_measured: str = ""
    variant: str | None = None  # field of the settings that names what a model is, where the framework does not
    given: bool = False  # a model always comes from elsewhere, as a class or a file
    weights_name: str | None = None  # of the weights in a model folder; None: as the user's file is called
    tuned_from: str = ""  # how the name of weights ends that can be tuned; empty: any
    cutoff: str | None = None  # field of the settings with the cut-off radius (A)
    loss_weights: tuple[
        tuple[str, ...], ...
    ] = ()  # fields of the settings: energy, forces, stress; at the start, at the end

    @property
    def is_trained(self) -> bool:
        """Tell whether models of it are trained here, unless they are used as they come."""
        return self.training_settings is not None

    @property
    def modes(self) -> tuple[str, ...]:
        """Return the ways in which weights can be used; none where each model is trained from nothing."""
        kinds = get_args(self.settings.model_fields["mode"].annotation)
        return tuple(choice for kind in kinds for choice in get_args(kind))
