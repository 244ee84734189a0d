"""What the label is called in extended XYZ: names, units, sign and order of its numbers, from a survey of all frames."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ionmelt.errors import UserError, reading
from ionmelt.labels.foreign.blocks import OWN, Block, comment_values, is_number, lone_atom, read_block
from ionmelt.labels.foreign.units import UNITS, quantity_of, unit_named, unit_of_name
from ionmelt.labels.settings import ImportSettings

# Where a stress has six numbers: which they are, as indices into (3, 3). ASE and VASP differ in the last three.
STRESS_ORDERS = {
    "xx yy zz yz xz xy": ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)),
    "xx yy zz xy yz zx": ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2)),
}


@dataclass(frozen=True)
class Keys:
    """What the label is called in extended XYZ, and in which units, sign and order of numbers it is there."""

    energy: str
    forces: str
    stress: str | None  # None: the frames have none
    is_virial: bool
    energy_unit: str
    forces_unit: str
    stress_unit: str
    stress_sign: str  # what a positive number means: tension or compression
    stress_order: str  # of `STRESS_ORDERS`, where a stress has six numbers
    notes: tuple[str, ...] = ()  # what else is to be said of how the numbers are read


def like_energy(name: str) -> bool:
    """Tell whether a name of a number is like that of an energy."""
    low = name.lower()
    return "energy" in low or low in ("e", "etot", "toten")


@dataclass
class Survey:
    """What the frames of all files hold, by name: in how many frames, in which shape; and which units they name."""

    frames: int = 0
    numbers: Counter[str] = field(default_factory=Counter)
    tensors: Counter[str] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)
    six: Counter[str] = field(default_factory=Counter)  # those of `tensors` that have six numbers
    energies: set[frozenset[str]] = field(default_factory=set)  # names like an energy that stand in one frame
    differ: bool = False  # two such names of one frame hold different numbers
    units: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, comment: str, n_atoms: int) -> None:
        """Count the names of one frame; free atoms say nothing of how frames are labelled."""
        try:
            with reading("the comment line"):
                info = comment_values(comment)
        except UserError:  # the frame is refused where it is read
            info = {}
        if lone_atom(n_atoms, info):
            return
        self.frames += 1
        columns = re.findall(r"(\w+):R:3", str(info.pop("Properties", "")))
        self.columns.update(name for name in columns if name != "pos")
        energies = {}
        for name, value in info.items():
            quantity = quantity_of(name)
            if quantity is not None and isinstance(value, str):
                self.units[quantity][name, value] += 1
            size = np.size(value) if is_number(value) and name != "Lattice" else 0
            if size == 1:
                self.numbers[name] += 1
                if like_energy(name):
                    energies[name] = float(np.ravel(value)[0])
            elif size in (6, 9):
                self.tensors[name] += 1
                self.six[name] += size == 6
        if energies:
            first, *others = energies.values()
            self.differ |= not all(math.isclose(first, other, rel_tol=1e-9, abs_tol=1e-9) for other in others)
            self.energies.add(frozenset(energies))

    def same_energies(self) -> frozenset[str]:
        """Return the names like an energy that every frame with one has, where all hold the same numbers."""
        return frozenset.intersection(*self.energies) if self.energies and not self.differ else frozenset()


def choose(
    field_name: str,
    given: str | None,
    held: Counter[str],
    fits: Callable[[str], bool],
    what: str,
    same: frozenset[str] = frozenset(),
) -> str:
    """Return the name to read: the given one, or the only one that fits. Raises `UserError` for none or several.

    Several that hold the same in all frames, those in `same`, are no question.
    """
    names = ", ".join(sorted(held)) or "none"
    if given is not None:
        if given not in held:
            raise UserError(f"labels.{field_name}: no frame holds {given!r} as {what}; there are: {names}")
        return given
    fitting = sorted(name for name in held if fits(name))
    if not fitting:
        raise UserError(f"labels.{field_name}: no name looks like {what}; give one of: {names}")
    if alike := [name for name in fitting if name in same]:
        return alike[0]
    if len(fitting) > 1:
        listed = " and ".join(f"{name} ({held[name]} frames)" for name in fitting)
        hint = "; forces are the slope of free_energy" if "free_energy" in fitting else ""
        raise UserError(f"labels.{field_name}: the frames hold {listed}: say which is the label{hint}")
    return fitting[0]


def choose_unit(
    quantity: str, name: str, given: str | None, survey: Survey, errors: list[str], notes: list[str]
) -> str:
    """Return the unit of a quantity: the given one, what the files name, or the first of `UNITS`.

    What contradicts that is added to `errors`, what else is worth saying to `notes`.
    """
    factors, field_name = UNITS[quantity], f"labels.{quantity}_unit"
    said = Counter({f"{key}={text}": count for (key, text), count in survey.units[quantity].items()})
    texts = {f"{key}={text}": unit_named(text, quantity) for key, text in survey.units[quantity]}
    if (unit := unit_of_name(name, quantity)) is not None:
        texts[f"the name {name}"], said[f"the name {name}"] = unit, survey.frames
    default = next(iter(factors))
    listed = " and ".join(f"{text} ({said[text]} of {survey.frames} frames)" for text in sorted(texts))
    units = {unit for unit in texts.values() if unit is not None}
    if any(unit is None for unit in texts.values()):
        if given is None:
            errors.append(f"{field_name}: the files say {listed}, which is none of {', '.join(factors)}: convert them")
        else:
            notes.append(f"{quantity}: the files say {listed}, which is not known here; taken as {given}, as set")
    elif len(units) > 1:
        errors.append(f"{field_name}: the files say {listed}: two units in one set; convert one of them")
    elif units and given is not None and given not in units:
        errors.append(f"{field_name}: is {given}, but the files say {listed}: leave it out, or mend the files")
    elif units and given is None and units != {default} and max(said.values()) < survey.frames:
        errors.append(f"{field_name}: the files say {listed}, the other frames nothing: give the unit, or mend them")
    elif units:
        notes.append(f"{quantity}: in {next(iter(units))}, as the files say: {listed}")
        return next(iter(units))
    return given or default


def like_forces(name: str) -> bool:
    """Tell whether a name of three columns is like that of forces."""
    return "force" in name.lower()


def like_stress(name: str) -> bool:
    """Tell whether a name of six or nine numbers is like that of a stress or virial."""
    return re.search("stress|virial", name, re.I) is not None


def doubles(survey: Survey, files: Mapping[str, Path], blocks: Mapping[str, Sequence[Block]]) -> frozenset[str]:
    """Return the names like forces, and like a stress, that hold the same in all frames: then either will do.

    A virial is the same as a stress where it is minus the stress times the volume.
    """
    same: set[str] = set()
    for names in (
        {name for name in survey.columns if like_forces(name)},
        {name for name in survey.tensors if like_stress(name)},
    ):
        if len(names) < 2:
            continue
        same |= names
        for file, file_blocks in blocks.items():
            for block in file_blocks:
                try:
                    with reading("a frame"):
                        atoms = read_block(files[file], block)
                except UserError:  # the frame is refused where it is read
                    continue
                if lone_atom(block.atoms, comment_values(block.comment)):
                    continue
                values = atoms.info | atoms.arrays
                numbers = [np.ravel(values.get(OWN + name, np.nan)).astype(float) for name in sorted(names)]
                numbers = [
                    -value / atoms.get_volume() if "virial" in name.lower() else value
                    for name, value in zip(sorted(names), numbers, strict=True)
                ]
                if any(
                    value.shape != numbers[0].shape or not np.allclose(value, numbers[0], rtol=1e-5, atol=1e-7)
                    for value in numbers
                ):
                    same -= names
        if not names <= same:
            same -= names
    return frozenset(same)


def choose_keys(survey: Survey, settings: ImportSettings, same: frozenset[str] = frozenset()) -> Keys:
    """Return what the label is called; raises `UserError`, one line for each name that is missing or not unique.

    Names in `same` (`doubles`) are no question: the first is taken.
    """
    errors: list[str] = []
    notes: list[str] = []

    def tried(*arguments: Any) -> str:
        try:
            return choose(*arguments)
        except UserError as error:
            errors.extend(error.errors)
            return ""

    energy = tried(
        "energy_key", settings.energy_key, survey.numbers, like_energy, "an energy", survey.same_energies()
    )  # fmt: skip
    forces = tried(
        "forces_key", settings.forces_key, survey.columns, like_forces, "forces (3 columns)", same,
    )  # fmt: skip
    stress, is_virial = None, False
    if settings.stress_key or settings.virial_key:
        is_virial = not settings.stress_key
        name, given = ("virial_key", settings.virial_key) if is_virial else ("stress_key", settings.stress_key)
        stress = tried(name, given, survey.tensors, bool, "6 or 9 numbers")
    elif like := [name for name in survey.tensors if like_stress(name)]:
        stress = tried(
            "stress_key",
            None,
            Counter({name: survey.tensors[name] for name in like}),
            bool,
            "a stress or virial (6 or 9 numbers)",
            same,
        )
        is_virial = "virial" in stress.lower()
    energy_unit, forces_unit, stress_unit = (
        choose_unit(quantity, key or "", given, survey, errors, notes)
        for quantity, key, given in (
            ("energy", energy, settings.energy_unit),
            ("forces", forces, settings.forces_unit),
            ("stress", None if is_virial else stress, settings.stress_unit),
        )
    )
    if is_virial and survey.units["virial"]:
        choose_unit("virial", "", energy_unit, survey, errors, notes)
    if survey.units["length"]:
        choose_unit("length", "", None, survey, errors, notes)
    order: str = settings.stress_order or next(iter(STRESS_ORDERS))
    if stress is not None and (count := survey.six[stress]):
        text = f"{stress}: six numbers ({count} frames) are taken as {order}"
        if settings.stress_order is None:
            other = next(name for name in STRESS_ORDERS if name != order)
            text += f", the order of ASE; if it is that of VASP, give stress_order: {other}"
        notes.append(text)
    if errors:
        raise UserError(*errors)
    sign = settings.stress_sign or ("compression" if is_virial else "tension")
    return Keys(energy, forces, stress, is_virial, energy_unit, forces_unit, stress_unit, sign, order, tuple(notes))
