"""Measured values of a liquid at the temperatures of a study: as they are, or interpolated between two of one source."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ionmelt.measure.observables import NAMED
from ionmelt.study.references import SAME_COMPOSITION, Composition, Reference, apart, composition, proportions

# How much a value changes with its composition: the relative change for that of a mole fraction. A mole of salt in a litre makes a
# solvent 7 to 18 % denser (assets/references/solvents.csv), and two to three times as viscous.
COMPOSITION_EFFECT = {"density": 0.15}
OTHER_EFFECT = 1.0


def six_figures(value: float) -> float:
    """Return a number as an interpolated value shows it."""
    return float(f"{value:.6g}")


def between(low: float, high: float, weight: float, *, arrhenius: bool) -> float:
    """Return the number between two, `weight` of the way; of what follows Arrhenius its logarithm is."""
    if arrhenius:
        return six_figures(math.exp((1 - weight) * math.log(low) + weight * math.log(high)))
    return six_figures((1 - weight) * low + weight * high)


def uncertainty_between(low: Reference, high: Reference, weight: float, value: float) -> float | None:
    """Return the standard uncertainty of an interpolated value; None where neither of the two has one.

    It is linear (of what follows Arrhenius: relative to the value): errors of one source are taken to be those of its
    instruments, which do not average out; where one of the two has none, it is that of the other.
    """
    relative = NAMED[low.property].arrhenius
    # An uncertainty of zero is none: it stands for a range without a width.
    errors = [
        end.standard_uncertainty / (end.value if relative else 1.0) if end.standard_uncertainty else None
        for end in (low, high)
    ]
    given = [error for error in errors if error is not None]
    if not given:
        return None
    first, second = (given[0] if error is None else error for error in errors)
    return six_figures(((1 - weight) * first + weight * second) * (value if relative else 1.0))


def interpolate(low: Reference, high: Reference, temperature_K: float) -> Reference:
    """Return the value between two measured temperatures of one source.

    A density is linear in T; what follows Arrhenius is linear in ln(value) over 1/T. Of two ranges of different kinds none is
    interpolated. Raises ValueError where one of the two has no temperature.
    """
    if low.temperature_K is None or high.temperature_K is None:
        raise ValueError("a value without a temperature is between no others")
    arrhenius = NAMED[low.property].arrhenius
    at, first, second = (
        1 / kelvin if arrhenius else kelvin for kelvin in (temperature_K, low.temperature_K, high.temperature_K)
    )
    weight = (at - first) / (second - first)
    value = between(low.value, high.value, weight, arrhenius=arrhenius)
    ends: dict[str, float | None] = {"low": None, "high": None}
    if low.range == high.range:
        for name, pair in (("low", (low.low, high.low)), ("high", (low.high, high.high))):
            if pair[0] is not None and pair[1] is not None:
                ends[name] = between(pair[0], pair[1], weight, arrhenius=arrhenius)
    how = "ln(value) over 1/T" if arrhenius else "T"
    return replace(
        low,
        temperature_K=temperature_K,
        value=value,
        low=ends["low"],
        high=ends["high"],
        range=low.range if low.range == high.range else None,
        standard_uncertainty=uncertainty_between(low, high, weight, value),
        n=min((end.n for end in (low, high) if end.n is not None), default=None),
        interpolated=True,
        source=f"{low.source}; interpolated, linear in {how}, between {low.temperature_K:g} and {high.temperature_K:g} K",
        second_hand=low.second_hand or high.second_hand,
    )


def between_measured(series: list[Reference], temperatures_K: Iterable[float]) -> list[Reference]:
    """Return what is interpolated at some temperatures between the values of one source.

    Nothing is extrapolated, and nothing is interpolated where the temperature itself was measured.
    """
    measured = sorted((ref.temperature_K, index) for index, ref in enumerate(series) if ref.temperature_K is not None)
    kelvins = [kelvin for kelvin, _ in measured]
    values = []
    for temperature in sorted(set(temperatures_K)):
        below = [index for kelvin, index in measured if kelvin < temperature]
        above = [index for kelvin, index in measured if kelvin > temperature]
        if below and above and temperature not in kelvins:
            values.append(interpolate(series[below[-1]], series[above[0]], temperature))
    return values


def of_box(reference: Reference, box: Composition) -> Reference:
    """Return a value as the reference of a box: of another composition it is less certain, and its source says so."""
    off = apart(box, reference.composition)
    if not off:
        return reference
    change = reference.value * off * COMPOSITION_EFFECT.get(reference.property, OTHER_EFFECT)
    return replace(
        reference,
        composition_off=six_figures(off),
        standard_uncertainty=six_figures(math.hypot(reference.standard_uncertainty or 0.0, change)),
        source=f"{reference.source}; of {proportions(reference.composition)}, the box of {proportions(box)}",
    )


def names_in_study(species: str | None, library_names: Mapping[str, str]) -> list[str | None]:
    """Return what a study calls an ion that diffuses, by the library's name; None of what is of the whole liquid."""
    return (
        [None] if species is None else [name for name, library_name in library_names.items() if library_name == species]
    )


def references_of(
    liquid: str,
    counts: Mapping[str, int],
    temperatures_K: Iterable[float],
    references: Iterable[Reference],
    library_names: Mapping[str, str],
) -> list[Reference]:
    """Return what was measured of a liquid of about these numbers of ions, and what is interpolated at the temperatures given.

    ``counts``: by the library's names. ``library_names``: the same, by the names of the study, which an ion that diffuses is given.
    """
    box = composition(counts)
    values = [
        replace(of_box(reference, box), liquid=liquid, species=species)
        for reference in references
        if apart(box, reference.composition) <= SAME_COMPOSITION
        for species in names_in_study(reference.species, library_names)
    ]
    series: dict[tuple[str, str, str], list[Reference]] = {}
    for reference in values:
        series.setdefault((reference.property, reference.species or "", reference.source), []).append(reference)
    for source in sorted(series):
        values += between_measured(series[source], temperatures_K)
    return sorted(values, key=lambda ref: (ref.property, ref.species or "", ref.temperature_K or 0.0, ref.source))
