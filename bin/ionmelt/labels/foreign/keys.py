"""What the label is called in extended XYZ: names, units, sign and order of its numbers, from a survey of all frames."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from ionmelt.errors import UserError
from ionmelt.labels.foreign.survey import PER_ATOM, Survey, like_energy, like_forces, like_stress
from ionmelt.labels.foreign.units import UNITS, unit_named, unit_of_name
from ionmelt.labels.settings import ImportSettings
from ionmelt.mistakes import did_you_mean

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


# --- Names ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Names:
    """The names that numbers of one shape have, each in how many frames; those that `fit` may be `what` is asked for.

    Several that hold the same in all frames, those in `same`, are no question.
    """

    held: Counter[str]
    fit: Callable[[str], bool]
    what: str
    same: frozenset[str] = frozenset()
    odd: str = ""  # what else is to be said where there is none

    def choose(self, field_name: str, given: str | None) -> str:
        """Return the name to read: the given one, or the only one that fits. Raises `UserError` for none or several."""
        names = ", ".join(sorted(self.held)) or "none"
        if given is not None:
            if given not in self.held:
                like = did_you_mean(given, self.held)
                raise UserError(
                    f"labels.{field_name}: no frame holds {given!r} as {self.what}; {like}there are: {names}"
                )
            return given
        fitting = sorted(name for name in self.held if self.fit(name))
        if not fitting:
            raise UserError(f"labels.{field_name}: no name looks like {self.what}; give one of: {names}{self.odd}")
        if alike := [name for name in fitting if name in self.same]:
            return alike[0]
        if len(fitting) > 1:
            listed = " and ".join(f"{name} ({self.held[name]} frames)" for name in fitting)
            hint = "; forces are the slope of free_energy" if "free_energy" in fitting else ""
            raise UserError(f"labels.{field_name}: the frames hold {listed}: say which is the label{hint}")
        return fitting[0]


# --- Units ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NamedUnits:
    """What the files say of the unit of a quantity: which it is (None: not one of ours), and in how many of all frames."""

    units: dict[str, str | None]  # by the words that say it, such as energy-unit=eV
    counts: Counter[str]
    frames: int

    @classmethod
    def of(cls, quantity: str, name: str, survey: Survey) -> "NamedUnits":
        """Return what the frames say, and the name of the numbers."""
        counts = Counter({f"{key}={text}": count for (key, text), count in survey.units[quantity].items()})
        units = {f"{key}={text}": unit_named(text, quantity) for key, text in survey.units[quantity]}
        if (unit := unit_of_name(name, quantity)) is not None:
            units[f"the name {name}"], counts[f"the name {name}"] = unit, survey.frames
        return cls(units, counts, survey.frames)

    def __str__(self) -> str:
        return " and ".join(f"{text} ({self.counts[text]} of {self.frames} frames)" for text in sorted(self.units))

    def contradiction(self, given: str | None, default: str) -> str | None:
        """Return what is wrong where all units are ours: with each other, with the given one, or with what most frames would have."""
        units = set(self.units.values())
        if len(units) > 1:
            return f"the files say {self}: two units in one set; convert one of them"
        if given is not None and given not in units:
            return f"is {given}, but the files say {self}: leave it out, or mend the files"
        if given is None and units != {default} and max(self.counts.values()) < self.frames:
            return f"the files say {self}, the other frames nothing: give the unit, or mend them"
        return None


# --- All of them ----------------------------------------------------------------------------------------


class Choice:
    """Chooses the names and units of the label one by one; `errors` are what is missing or contradicts, `notes` what else is to be said."""

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self.errors: list[str] = []
        self.notes: list[str] = []

    def name(self, field_name: str, given: str | None, names: Names) -> str:
        """Return the name to read, nothing where there is none or more than one."""
        try:
            return names.choose(field_name, given)
        except UserError as error:
            self.errors += error.errors
            return ""

    def stress(self, settings: ImportSettings, same: frozenset[str]) -> tuple[str | None, bool]:
        """Return the name of the stress or virial, None where the frames have none, and whether it is a virial."""
        held = self.survey.tensors
        if settings.stress_key and settings.stress_key not in held and not settings.liquids:
            return None, False  # of held-out frames only the forces are compared
        if settings.stress_key:
            return self.name("stress_key", settings.stress_key, Names(held, bool, "6 or 9 numbers")), False
        if settings.virial_key:
            return self.name("virial_key", settings.virial_key, Names(held, bool, "6 or 9 numbers")), True
        like = Counter({name: count for name, count in held.items() if like_stress(name)})
        if not like:
            self.errors += [f"labels.stress_key: {said}" for name, said in self.survey.odd.items() if like_stress(name)]
            return None, False
        stress = self.name("stress_key", None, Names(like, bool, "a stress or virial (6 or 9 numbers)", same))
        return stress, "virial" in stress.lower()

    def unit(self, quantity: str, name: str, given: str | None) -> str:
        """Return the unit of a quantity: the given one, what the files name, or the first of `UNITS`."""
        factors, field_name = UNITS[quantity], f"labels.{quantity}_unit"
        default = next(iter(factors))
        named = NamedUnits.of(quantity, name, self.survey)
        if not named.units:
            return given or default
        if None in named.units.values():
            if given is not None:
                self.notes.append(
                    f"{quantity}: the files say {named}, which is not known here; taken as {given}, as set"
                )
                return given
            self.errors.append(
                f"{field_name}: the files say {named}, which is none of {', '.join(factors)}: convert them"
                f"{'' if quantity in ('length', 'virial') else f', or give {quantity}_unit where it is one of these'}"
            )
            return default
        if contradiction := named.contradiction(given, default):
            self.errors.append(f"{field_name}: {contradiction}")
            return given or default
        unit = next(unit for unit in named.units.values() if unit)
        self.notes.append(f"{quantity}: in {unit}, as the files say: {named}")
        return unit

    def stress_order(self, stress: str, given: str | None) -> str:
        """Return which the six numbers of a stress are, and say so where it has six."""
        order = given or next(iter(STRESS_ORDERS))
        if count := self.survey.six[stress]:
            text = f"{stress}: six numbers ({count} frames) are taken as {order}"
            if given is None:
                other = next(name for name in STRESS_ORDERS if name != order)
                text += f", the order of ASE; if it is that of VASP, give stress_order: {other}"
            self.notes.append(text)
        return order


def choose_keys(survey: Survey, settings: ImportSettings, same: frozenset[str] = frozenset()) -> Keys:
    """Return what the label is called; raises `UserError`, one line for each name that is missing or not unique.

    Names in `same` (`ionmelt.labels.foreign.survey.doubles`) are no question: the first is taken.
    """
    choice = Choice(survey)
    odd = "".join(f"; {said}" for name, said in survey.odd.items() if like_energy(name))
    energies = Names(survey.numbers, like_energy, "an energy", survey.same_energies(), odd)
    energy = choice.name("energy_key", settings.energy_key, energies)
    if PER_ATOM.search(energy):
        choice.errors.append(f"labels.energy_key: {energy} is of one atom, by its name: the energy of all is needed")
    forces = choice.name(
        "forces_key", settings.forces_key, Names(survey.columns, like_forces, "forces (3 columns)", same)
    )
    stress, is_virial = choice.stress(settings, same)
    energy_unit = choice.unit("energy", energy, settings.energy_unit)
    forces_unit = choice.unit("forces", forces, settings.forces_unit)
    stress_unit = choice.unit("stress", "" if is_virial else stress or "", settings.stress_unit)
    if is_virial and survey.units["virial"]:
        choice.unit("virial", "", energy_unit)
    if survey.units["length"]:
        choice.unit("length", "", None)
    order = choice.stress_order(stress or "", settings.stress_order)
    if choice.errors:
        raise UserError(*choice.errors)
    sign = settings.stress_sign or ("compression" if is_virial else "tension")
    notes = tuple(choice.notes)
    return Keys(energy, forces, stress, is_virial, energy_unit, forces_unit, stress_unit, sign, order, notes)
