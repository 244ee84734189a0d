"""Units of energies, forces and stresses as other programs write them, and the words in which files name them."""

import re

from ase.units import Bohr, GPa, Hartree, Rydberg, bar, kcal, kJ, mol

ENERGY_UNITS_EV = {"eV": 1.0, "Ha": Hartree, "Ry": Rydberg, "kcal/mol": kcal / mol, "kJ/mol": kJ / mol}
FORCES_UNITS_EV_A = {
    "eV/A": 1.0,
    "Ha/Bohr": Hartree / Bohr,
    "Ry/Bohr": Rydberg / Bohr,
    "kcal/mol/A": kcal / mol,
    "kJ/mol/nm": kJ / mol / 10,
}
STRESS_UNITS_EV_A3 = {"eV/A^3": 1.0, "GPa": GPa, "kbar": 1e3 * bar, "bar": bar, "Ha/Bohr^3": Hartree / Bohr**3}
UNITS: dict[str, dict[str, float]] = {
    "energy": ENERGY_UNITS_EV, "forces": FORCES_UNITS_EV_A, "stress": STRESS_UNITS_EV_A3, "virial": ENERGY_UNITS_EV,
    "length": {"A": 1.0},
}  # fmt: skip
ATOMIC_UNITS = {"energy": "Ha", "forces": "Ha/Bohr", "stress": "Ha/Bohr^3", "virial": "Ha"}


QUANTITIES = (
    ("energy", "energ"), ("forces", "force"), ("stress", "stress|pressure"), ("virial", "virial"),
    ("length", "length|pos|coord|cell|lattice|distance"),
)  # fmt: skip


def quantity_of(name: str) -> str | None:
    """Return of what quantity a name such as force-unit or REF_energy_units gives the unit; None where it gives none.

    A plain ``unit`` is that of the energy.
    """
    match = re.fullmatch(r"(.*?)[-_. ]?units?|units?[-_. ](.*)", name, re.I)
    if match is None or re.fullmatch("unit.?cell", name, re.I):
        return None
    what = (match[1] or match[2] or "").lower()
    if not what:
        return "energy"
    return next((quantity for quantity, pattern in QUANTITIES if re.search(pattern, what)), None)


def unit_named(text: str, quantity: str) -> str | None:
    """Return the unit, by its name here, that another program writes as `text`; None for another."""
    names = {name.lower(): name for name in UNITS[quantity]}
    names |= {"ha/au": "Ha/Bohr", "ry/au": "Ry/Bohr"} if quantity == "forces" else {}
    names |= {"au/bohr^3": "Ha/Bohr^3", "kb": "kbar"} if quantity == "stress" else {}
    names |= {"au": ATOMIC_UNITS[quantity], "a.u.": ATOMIC_UNITS[quantity]} if quantity in ATOMIC_UNITS else {}
    plain = re.sub(r"[\s_]*\bper\b[\s_]*|_per_", "/", text.strip().lower()).replace("**", "^").replace("³", "^3")
    plain = re.sub(r"[\s*·.]([a-zåö]+)(?:\^-|-)([13])\b", r"/\1^\2", plain).replace("^1", "")  # as in hartree*bohr^-1
    plain = re.sub(r"/\(([^()]+)\)", lambda match: "/" + re.sub(r"[\s*·]+", "/", match[1]), plain)  # kcal/(mol*A)
    for pattern, short in (
        (r"å|ångström|angstroms?|angst\b|ang\b|ang(?=\^|/|-)", "a"), ("electron ?volts?", "ev"), (r"hartrees?|\be_?h\b", "ha"),
        ("rydbergs?", "ry"), ("a_?0", "bohr"), (r"\s|\*", ""), (r"(?<=[ar])(\^-|-)1\b", ""), (r"(?<=/a|hr)3$", "^3"),
    ):  # fmt: skip
        plain = re.sub(pattern, short, plain)
    return names.get(plain)


def unit_of_name(name: str, quantity: str) -> str | None:
    """Return the unit that the name of a number ends in, as in energy_Ha or forces_eV_per_A; None where it ends in none."""
    words = re.split(r"[-_(\[ ]+", name.rstrip(")]"))
    ends = ["_".join(words[start:]) for start in range(1, len(words))]
    return next((unit for end in ends if (unit := unit_named(end, quantity))), None)
