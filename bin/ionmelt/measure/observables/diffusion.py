"""Self-diffusion coefficients of the ions, and their correction for the size of the box."""

import math
from functools import lru_cache

import numpy as np

from ionmelt.constants import BOLTZMANN_J_K
from ionmelt.measure.measurement import Measurement, Observable
from ionmelt.measure.numbers import Row
from ionmelt.measure.observables import density, viscosity
from ionmelt.measure.observables.fits import fit, fit_verdict
from ionmelt.measure.simulation import ANGSTROM_M, Run, Viscosity
from ionmelt.measure.slope import DiffusionEstimate, diffusion
from ionmelt.tables.columns import CHECK, REAL, RUN_MODEL, SHAPE, STEADY, TEXT, WHOLE

YEH_HUMMER_CUBIC = 2.837297
THIS_RUN = "this run"  # where a viscosity is from


def yeh_hummer(diffusion_m2_s: float, edge_m: float, temperature_K: float, viscosity_pa_s: float) -> float:
    """Return the diffusion coefficient (m^2/s) of an infinite cubic cell from that of one with this edge.

    Yeh and Hummer, J. Phys. Chem. B 108 (2004) 15873, Eq. 8. The viscosity is that of the same model and
    temperature.
    """
    stokes = 6 * math.pi * viscosity_pa_s * edge_m
    return diffusion_m2_s + YEH_HUMMER_CUBIC * BOLTZMANN_J_K * temperature_K / stokes


def correction_error(correction_m2_s: float, viscosity_error: float, volume_error: float) -> float:
    """Return the standard error (m^2/s) of a correction from the relative ones of the viscosity and the volume of the box.

    The correction goes as 1 / (eta V^(1/3)); both errors to first order, as independent.
    """
    return abs(correction_m2_s) * math.hypot(viscosity_error, volume_error / 3)


def volume_error(run: Run) -> float:
    """Return the relative standard error of the mean volume at constant pressure that NVT was run at; 0: the volume was given."""
    (measured,) = density.measure(run)
    error, mean = measured.get("standard_error_kg_m3"), measured.get("density_kg_m3")
    return float(error / mean) if error is not None and mean and math.isfinite(error) else 0.0


@lru_cache(maxsize=1)
def self_diffusion(run: Run) -> dict[str, DiffusionEstimate]:
    """Return the self-diffusion coefficient of each kind of ion, m^2/s; none without NVT."""
    step_s = run.record.save_every_fs * 1e-15
    paths = run.nvt.paths if run.nvt is not None else {}
    return {name: diffusion(path, step_s, run.threads).scaled(ANGSTROM_M**2) for name, path in paths.items()}


def viscosity_for_correction(run: Run) -> Viscosity:
    """Choose the viscosity: the one given, that of this run if converged, else the experimental one."""
    if run.viscosity is not None:
        return run.viscosity
    (measured,) = viscosity.measure(run)
    if measured["converged"]:
        return Viscosity(measured["viscosity_pa_s"], THIS_RUN, measured["standard_error_pa_s"])
    return run.measured_viscosity or Viscosity(None, "viscosity unknown")


def correction(run: Run, edges: np.ndarray, viscosity: Viscosity, of_volume: float, moves: bool) -> Row:
    """Return the columns of the correction for a box of ``edges`` (3,), angstrom, whose volume has a relative error ``of_volume``.

    ``moves``: there is a coefficient.
    """
    if viscosity.pa_s is None:
        return {"finite_size_reason": viscosity.source}
    if not moves:
        return {"finite_size_reason": "no diffusion coefficient"}
    if not np.allclose(edges, edges[0], rtol=1e-4):
        return {"finite_size_reason": "the cell is not cubic"}
    added = yeh_hummer(0.0, float(edges[0]) * ANGSTROM_M, run.record.temperature_K, viscosity.pa_s)
    relative = (viscosity.standard_error_pa_s or 0.0) / viscosity.pa_s
    return {
        "finite_size_correction_m2_s": added,
        "finite_size_standard_error_m2_s": correction_error(added, relative, of_volume),
        "finite_size_viscosity_pa_s": viscosity.pa_s,
        "finite_size_viscosity_source": viscosity.source,
    }


def measure(run: Run) -> list[Row]:
    """Return a row for each kind of ion, from NVT."""
    names = [ion["name"] for ion in run.topology.ions]
    if run.nvt is None:
        reason = {"finite_size_reason": "no diffusion coefficient"} | run.lacking("nvt")
        return [{"species": name} | reason for name in names]
    rows, eta, of_volume = [], viscosity_for_correction(run), volume_error(run)
    for name in names:
        d = self_diffusion(run)[name]
        row = {"species": name, "diffusion_m2_s": d.D, "ci95_low_m2_s": d.ci95_low, "ci95_high_m2_s": d.ci95_high}
        row |= fit(d) | correction(run, run.nvt.edges[0], eta, of_volume, not math.isnan(d.D))
        rows.append(row | fit_verdict(run, d))
    return rows


OBSERVABLE = Observable(
    name="diffusion",
    column="diffusion_m2_s",
    unit="m2/s",
    title="Diffusion",
    words="diffusion",
    noun="a diffusion coefficient",
    shown=(1e12, "10⁻¹² m²/s"),
    phase="nvt",
    of_motion=True,
    units={"m2/s": 1.0, "cm2/s": 1e-4},
    possible=(1e-24, 5e-8),
    symbol="D",
    by_species=True,
    correction="finite_size_correction_m2_s",
    correction_error="finite_size_standard_error_m2_s",
    correction_source="finite_size_viscosity_source",
    measure=measure,
    row="a run and a kind of ion: its self-diffusion coefficient at constant volume",
    columns={
        "species": TEXT, "diffusion_m2_s": REAL, "ci95_low_m2_s": REAL, "ci95_high_m2_s": REAL,
        "finite_size_correction_m2_s": REAL, **SHAPE, "fit_start_ps": REAL, "fit_stop_ps": REAL, **CHECK,
        "needed_ps": REAL, "finite_size_viscosity_pa_s": REAL, "finite_size_viscosity_source": TEXT, **RUN_MODEL,
        "finite_size_reason": TEXT, "finite_size_standard_error_m2_s": REAL, "n_independent": REAL, **STEADY,
    },
)  # fmt: skip


def displacements(run: Run) -> list[Row]:
    """Return the mean squared displacements of each kind of ion, up to the longest lag of its fit."""
    return [
        {
            "species": name,
            "lag_ps": round(lag * seen.step_s * 1e12, 9),
            "msd_A2": squared,
            "frames": seen.frames,
            "ions": seen.particles,
        }
        for name, d in self_diffusion(run).items()
        if (seen := d.displacements) is not None
        for lag, squared in zip(seen.lags.tolist(), seen.squared.tolist(), strict=True)
    ]


DISPLACEMENT = Measurement(
    name="displacement",
    measure=displacements,
    row="a lag of a run and a kind of ion: how far ions came, which a diffusion coefficient is fitted to; several runs are fitted together",
    columns={"species": TEXT, "lag_ps": REAL, "msd_A2": REAL, "frames": WHOLE, "ions": WHOLE, **RUN_MODEL},
    meanings={
        "lag_ps": "time between the two places of an ion",
        "frames": "frames of the trajectory",
        "msd_A2": "mean squared displacement, over all ions of the kind and all beginnings",
        "ions": "ions of the kind",
    },
)
