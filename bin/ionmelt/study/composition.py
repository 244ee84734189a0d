"""From concentrations to the numbers of ions and molecules in a box of about a given size."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ionmelt.liquid.settings import Composition

TRIED_SIZES = (0.85, 1.15), (0.6, 1.6)  # of the atoms asked for, the second where the first hold no neutral box
TRIALS = 4001
SIZE_WEIGHT = 0.3  # of a deviation in size, to one in composition
FEWEST = 0.5  # of anything that the size asked for holds: less is none
MOLE_FRACTION_ERROR = 1e-3


@dataclass(frozen=True)
class Part:
    """An ion or a molecule of a composition."""

    charge: int
    mass_u: float
    atoms: int


class CompositionError(ValueError):
    """What is wrong with a composition: the field, and the rest of the line."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def names_in(composition: Composition) -> list[tuple[str, str]]:
    """Return the fields of concentrations with the names in them; raises `CompositionError` where they are not one kind."""
    kinds = {
        "mole_fraction": composition.mole_fraction,
        "molality": composition.molality,
        "molarity": composition.molarity,
    }
    given = [kind for kind, amounts in kinds.items() if amounts]
    if len(given) != 1:
        raise CompositionError("", f"{' and '.join(given) or 'none'} given: give one of {', '.join(kinds)}")
    kind = given[0]
    if kind == "mole_fraction" and composition.solvent:
        raise CompositionError("solvent", "mole_fraction has the molecules of the solvent, too: leave solvent out")
    if kind != "mole_fraction" and not composition.solvent:
        raise CompositionError("solvent", f"missing: {kind} needs the solvent, such as {{ec: 1, dmc: 1}}")
    return [(kind, name) for name in kinds[kind] or {}] + [("solvent", name) for name in composition.solvent or {}]


def moles(composition: Composition, parts: Mapping[str, Part], density_kg_m3: float) -> dict[str, float]:
    """Return the moles of each part, up to a factor; raises `CompositionError` where the amounts cannot be."""
    if composition.mole_fraction is not None:
        total = sum(composition.mole_fraction.values())
        if abs(total - 1) > MOLE_FRACTION_ERROR:
            raise CompositionError(
                "mole_fraction", f"the sum is {total:g}, not 1: add what is missing, or divide each by {total:g}"
            )
        return dict(composition.mole_fraction)
    solvent, by_mass = composition.solvent or {}, composition.solvent_parts == "mass"
    parts_of_solvent = {name: amount / (parts[name].mass_u if by_mass else 1) for name, amount in solvent.items()}
    mass_of_solvent = sum(amount * parts[name].mass_u for name, amount in parts_of_solvent.items())
    solutes = composition.molality or composition.molarity or {}
    grams = 1000.0
    if composition.molarity is not None:
        grams = density_kg_m3 - sum(amount * parts[name].mass_u for name, amount in solutes.items())
        if grams <= 0:
            raise CompositionError(
                "molarity",
                f"its ions weigh more than a litre of {density_kg_m3:g} kg/m3: is density_guess_kg_m3 right?",
            )
    return dict(solutes) | {name: amount * grams / mass_of_solvent for name, amount in parts_of_solvent.items()}


def box_counts(amounts: Mapping[str, float], parts: Mapping[str, Part], atoms: int) -> dict[str, int]:
    """Return whole numbers of each part, neutral together, in a box of about so many atoms.

    Of boxes from 0.85 to 1.15 of the size, that whose composition deviates least. Raises `CompositionError` for amounts whose
    charges do not cancel, or a size that holds less than half of something.
    """
    names = list(amounts)
    wanted = np.array([amounts[name] for name in names])
    charges = np.array([parts[name].charge for name in names])
    sizes = np.array([parts[name].atoms for name in names])
    excess = float(charges @ wanted)
    if abs(excess) > MOLE_FRACTION_ERROR * float(np.abs(charges) @ wanted):
        per_mole = ", ".join(
            f"{name} {parts[name].charge:+d} x {amounts[name]:g}" for name in names if parts[name].charge
        )
        raise CompositionError(
            "", f"the charges sum to {excess:+.3g} ({per_mole}): change the amounts until they sum to 0"
        )
    whole = atoms / float(sizes @ wanted)
    rarest = int(np.argmin(wanted))
    if whole * wanted[rarest] < FEWEST:
        more = int(np.ceil(atoms / (whole * wanted[rarest])))
        raise CompositionError(
            "atoms", f"{atoms} hold {whole * wanted[rarest]:.2g} of {names[rarest]}: give {more} or more"
        )
    for low, high in TRIED_SIZES:
        scales = whole * np.linspace(low, high, TRIALS)
        counts = np.unique(np.maximum(1, np.rint(scales[:, None] * wanted)), axis=0)
        counts = counts[counts @ charges == 0]
        if len(counts):
            scale = (counts @ sizes) / (sizes @ wanted)
            off = np.abs(counts / (scale[:, None] * wanted) - 1).max(axis=1)
            size = np.abs(counts @ sizes / atoms - 1)
            best = counts[int(np.argmin(off + SIZE_WEIGHT * size))]
            return {name: int(number) for name, number in zip(names, best, strict=True)}
    raise CompositionError("atoms", f"no neutral box of about {atoms} atoms is near this composition: give more")


def farthest(counts: Mapping[str, int], wanted: Mapping[str, float]) -> tuple[str, float]:
    """Return the part of a box whose mole fraction is farthest off that of the amounts wanted, and by how much of it."""
    box, asked = sum(counts.values()), sum(wanted.values())
    off = {name: counts[name] / box / (amount / asked) - 1 for name, amount in wanted.items()}
    return max(off.items(), key=lambda entry: abs(entry[1]))


def said(composition: Composition, counts: Mapping[str, int], parts: Mapping[str, Part], volume_A3: float) -> str:
    """Return what a box has of the concentrations that were asked for, in words."""
    solvent_kg = sum(counts[name] * parts[name].mass_u for name in composition.solvent or {}) / 1000
    litres = volume_A3 * 1e-27 * 6.02214076e23
    of_kind: dict[str, tuple[Mapping[str, float] | None, str, Callable[[int], float]]] = {
        "mole_fraction": (composition.mole_fraction, "", lambda number: number / sum(counts.values())),
        "molality": (composition.molality, " mol/kg", lambda number: number / solvent_kg),
        "molarity": (composition.molarity, " mol/L", lambda number: number / litres),
    }
    lines = []
    for kind, (amounts, unit, measured) in of_kind.items():
        for name, asked in (amounts or {}).items():
            lines.append(f"{name} {measured(counts[name]):.3g}{unit} ({asked:g} asked)")
        if lines:
            return f"{kind} " + ", ".join(lines)
    return ""
