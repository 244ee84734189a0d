"""The pressure of a model on equilibrium frames, beside that of the labels: whose equilibrium they are, and why a density is off.

Frames that were sampled at constant pressure have on average that pressure under the energy that they were sampled with; under labels of
another energy they have another, and are no equilibrium of the labels. The pressure is that between molecules: N kT / V of their centres of
mass and the potential part (`motions.molecular_pressure`), so that rigid bonds of the sampling do not enter.

To first order in the difference dE of two energies, of which the frames are an equilibrium of one, the volume of the other is larger by
-Cov(V, dE) / kT (Zwanzig, J. Chem. Phys. 22, 1420, 1954). That holds where dE scatters by less than kT over the frames, beyond
which few of them stand for all; and the labels have to be the energy that the frames are an equilibrium of, whose mean pressure is then
that of the study.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.units import bar as BAR_EV_A3
from ase.units import kB

from ionmelt.frame import ENERGY_KEY
from ionmelt.models.motions import Computed, molecular_pressure
from ionmelt.models.prediction import Prediction, label_of

EQUILIBRIUM = "equilibrium"  # the recipe of frames that are one of the energy that they were sampled with
LEAST_FRAMES = 5  # an error of a covariance needs some
PRESSURE_BAR = 1.0  # of a liquid for which no other is given
OFF_ERRORS = 3.0  # standard errors by which the mean pressure of an equilibrium is not off
FIRST_ORDER_KT = 1.0  # scatter of the energy difference up to which the first order holds


@dataclass(frozen=True)
class Pressures:
    """A row of pressures.parquet, without the columns of the model; errors are standard errors by jackknife over frames."""

    liquid: str
    temperature_K: float | None  # None: that of frames made elsewhere is not given
    frames: int
    pressure_ref_bar: float | None = None
    standard_error_ref_bar: float | None = None
    pressure_model_bar: float | None = None
    pressure_difference_bar: float | None = None
    standard_error_difference_bar: float | None = None
    wasserstein_bar: float | None = None
    energy_difference_kT: float | None = None
    density_shift_percent: float | None = None
    standard_error_shift_percent: float | None = None
    reason: str | None = None


def pressures_of(predictions: list[Prediction], pressure_bar: Mapping[str, float]) -> list[Pressures]:
    """Return the rows of pressures.parquet: one for each liquid and temperature that has equilibrium frames.

    ``pressure_bar``: of the barostat, by liquid.
    """
    states: dict[tuple[str, float | None], list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        info = prediction.frame.info
        if is_equilibrium(prediction.frame) and prediction.model is not None:
            kelvin = info.get("temperature_K")
            states[info["liquid"], None if kelvin is None else float(kelvin)].append(prediction)
    ordered = sorted(states.items(), key=lambda state: (state[0][0], state[0][1] or 0.0))
    return [
        row_of(liquid, kelvin, members, pressure_bar.get(liquid, PRESSURE_BAR)) for (liquid, kelvin), members in ordered
    ]


def row_of(liquid: str, kelvin: float | None, members: list[Prediction], pressure_bar: float) -> Pressures:
    """Return the row of one state; ``pressure_bar``: of the barostat."""
    if kelvin is None:
        return Pressures(liquid, None, len(members), reason="the frames do not say their temperature (temperature_K)")
    kT = kB * kelvin
    both = [(pressure_of(p.reference, p.frame, kT), pressure_of(p.model, p.frame, kT)) for p in members]
    pairs = [(reference, model) for reference, model in both if reference is not None and model is not None]
    if len(pairs) < LEAST_FRAMES:
        few = f"{len(pairs)} equilibrium frames with a stress: fewer than {LEAST_FRAMES}"
        return Pressures(liquid, kelvin, len(pairs), reason=few)
    ref, mod = np.array(pairs).T
    volumes = np.array([prediction.frame.get_volume() for prediction in members])
    energies = np.array(
        [prediction.model.energy - prediction.reference.energy for prediction in members if prediction.model]
    )
    spread = float(energies.std(ddof=1)) / kT
    shift, shift_error = jackknife(
        lambda v, e: 100 * float(np.cov(v, e)[0, 1]) / (kT * float(v.mean())), volumes, energies
    )
    mean, mean_error = jackknife(lambda x: float(x.mean()), ref)
    reason = why_no_shift(mean, mean_error, pressure_bar, spread)
    difference, difference_error = jackknife(lambda x: float(x.mean()), mod - ref)
    return Pressures(
        liquid=liquid,
        temperature_K=kelvin,
        frames=len(pairs),
        pressure_ref_bar=mean,
        standard_error_ref_bar=mean_error,
        pressure_model_bar=float(mod.mean()),
        pressure_difference_bar=difference,
        standard_error_difference_bar=difference_error,
        wasserstein_bar=float(np.abs(np.sort(ref) - np.sort(mod)).mean()),  # of as many frames each
        energy_difference_kT=spread,
        density_shift_percent=shift if reason is None else None,
        standard_error_shift_percent=shift_error if reason is None else None,
        reason=reason,
    )


def why_no_shift(mean_bar: float, error_bar: float, pressure_bar: float, spread_kT: float) -> str | None:
    """Say why first order tells nothing of the density: no equilibrium of the labels, or energies too far apart; None where it does."""
    if is_off(mean_bar, error_bar, pressure_bar):
        return f"{mean_bar:.0f} bar of the labels, not {pressure_bar:g}: the frames are no equilibrium of them"
    if spread_kT > FIRST_ORDER_KT:
        return f"the energies differ by {spread_kT:.2g} kT from frame to frame: first order says nothing of the density"
    return None


def is_off(mean_bar: float, error_bar: float, pressure_bar: float) -> bool:
    """Tell whether a mean pressure over frames is not that of the barostat."""
    return abs(mean_bar - pressure_bar) > OFF_ERRORS * error_bar


def pressure_of(label: Computed | None, frame: Atoms, kT: float) -> float | None:
    """Return the pressure between molecules (bar) that a label or a model gives a frame; None without a stress."""
    if label is None:
        return None
    molecule, volume = frame.arrays["molecule"], frame.get_volume()
    potential = molecular_pressure(label, frame.positions, frame.get_masses(), molecule, volume)
    return None if potential is None else potential + len(set(molecule.tolist())) * kT / volume / BAR_EV_A3


def is_equilibrium(frame: Atoms) -> bool:
    """Tell whether a frame is one of an equilibrium at constant pressure."""
    return bool(frame.info["recipe"] == EQUILIBRIUM and frame.pbc.all())


def labelled_pressure(frame: Atoms) -> float | None:
    """Return the pressure between molecules (bar) that its label gives an equilibrium frame; None for others, and without a label or a stress."""
    if not is_equilibrium(frame) or not {"temperature_K", ENERGY_KEY} <= frame.info.keys():
        return None
    return pressure_of(label_of(frame), frame, kB * float(frame.info["temperature_K"]))


def jackknife(statistic: Callable[..., float], *samples: np.ndarray) -> tuple[float, float]:
    """Return a statistic of frames, and its standard error from leaving out each in turn (Efron and Tibshirani 1993, section 11)."""
    count = len(samples[0])
    without = np.array([statistic(*(np.delete(sample, i) for sample in samples)) for i in range(count)])
    return statistic(*samples), math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
