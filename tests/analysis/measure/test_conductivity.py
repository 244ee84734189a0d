"""Conductivity: known liquids come out, and a run that is too short says so."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from relaxing_stress import KELVIN, STEP, VOLUME, relaxing
from scipy.constants import Boltzmann, elementary_charge

from ionmelt.measure import slope
from ionmelt.measure.observables import conductivity
from ionmelt.tables.columns import CHECK, RUN_MODEL

D = 0.5 * 1e-20 / STEP  # of walks with unit steps in angstrom


PAIRS = 24


IONS = {"cation": (PAIRS, 1.0), "anion": (PAIRS, -1.0)}


UNIT = elementary_charge**2 / (VOLUME * Boltzmann * KELVIN)


def walks(rng: np.random.Generator, frames: int, ions: int) -> np.ndarray:
    return rng.normal(size=(frames, ions, 3)).cumsum(axis=0) * 1e-10


def test_independent_ions_conduct_as_nernst_and_einstein_say() -> None:
    rng = np.random.default_rng(1)
    covers = []
    for _ in range(25):
        cation, anion = walks(rng, 3000, PAIRS), walks(rng, 3000, PAIRS)
        diffusion = {"cation": slope.diffusion(cation, STEP), "anion": slope.diffusion(anion, STEP)}
        independent = conductivity.nernst_einstein(diffusion, IONS, VOLUME, KELVIN)
        assert independent.value == pytest.approx(2 * PAIRS * D * UNIT, rel=0.1)
        moment = cation.sum(axis=1) - anion.sum(axis=1)
        whole = conductivity.einstein_conductivity(moment, STEP, VOLUME, KELVIN)
        ratio = conductivity.ionicity(whole, independent)
        assert ratio.value == pytest.approx(whole.D / independent.value)
        truths = (2 * PAIRS * D * UNIT, 2 * PAIRS * D * UNIT, 1.0)
        covers.append([e.ci95_low < x < e.ci95_high for e, x in zip((whole, independent, ratio), truths, strict=True)])
    assert (np.mean(covers, axis=0) >= 0.85).all()


def test_charges_count_squared() -> None:
    """Mg(TFSI)2: two anions of one charge to a cation of two, which carries four times as much; kinds that move as one are known as one."""
    coefficient = slope.DiffusionEstimate(D, 0.8 * D, 1.3 * D, 1.0, 0.0, 1.0, 100.0, True, None, 0.1 * D, 50.0)
    ions = {"cation": (PAIRS, 2.0), "anion": (2 * PAIRS, -1.0)}
    conductivity_of_ions = conductivity.nernst_einstein(
        {"cation": coefficient, "anion": coefficient}, ions, VOLUME, KELVIN
    )
    assert conductivity_of_ions.value == pytest.approx((4 + 2) * PAIRS * D * UNIT, rel=1e-12)
    ends = conductivity_of_ions.ci95_low, conductivity_of_ions.ci95_high
    assert ends == pytest.approx((0.8 * conductivity_of_ions.value, 1.3 * conductivity_of_ions.value), rel=1e-12)


def test_the_ratio_to_a_number_without_error_has_the_interval_of_the_other() -> None:
    """Whatever its degrees of freedom, which are those of its error and not of a chi-square variable where blocks give it."""
    whole = slope.DiffusionEstimate(2.0, 1.6, 2.6, 1.0, 0.0, 1.0, 100.0, True, None, standard_error=0.1, dof=4.0)
    ratio = conductivity.ionicity(whole, conductivity.Ratio(4.0, 4.0, 4.0))
    assert (ratio.value, ratio.ci95_low, ratio.ci95_high) == pytest.approx((0.5, 0.4, 0.65), rel=1e-12)
    exact = replace(whole, ci95_low=2.0, ci95_high=2.0)
    ratio = conductivity.ionicity(exact, conductivity.Ratio(4.0, 3.0, 5.0))
    assert (ratio.ci95_low, ratio.ci95_high) == pytest.approx((2 / 5, 2 / 3), rel=1e-12)


def test_the_moment_of_a_run_is_that_of_its_charges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mg(TFSI)2 again: an ion of two charges that walks carries twice the moment, and each frame is as long as the run says."""
    rng = np.random.default_rng(7)
    sums = {name: walks(rng, 400, 1)[:, 0] * 1e10 for name in ("mg", "tfsi")}  # angstrom
    coefficient = slope.DiffusionEstimate(D, D, D, 1.0, 0.0, 1.0, 100.0, True, None, standard_error=0.1 * D, dof=50.0)
    monkeypatch.setattr(conductivity, "self_diffusion", lambda _run: dict.fromkeys(sums, coefficient))
    run = SimpleNamespace(
        topology=SimpleNamespace(ions=[{"name": "mg", "count": 3, "charge": 2}, {"name": "tfsi", "count": 6, "charge": -1}]),
        nvt=SimpleNamespace(edges=np.full((400, 3), 20.0), sums=sums), threads=1, ended=None,
        record=SimpleNamespace(temperature_K=350.0, save_every_fs=10.0), verdict=lambda *_: {},
    )  # fmt: skip
    (row,) = conductivity.measure(run)
    moment = (2 * sums["mg"] - sums["tfsi"]) * 1e-10
    whole = conductivity.einstein_conductivity(moment, 1e-14, 8e-27, 350.0)
    assert row["conductivity_s_m"] == pytest.approx(whole.D, rel=1e-9)
    assert {*row, *CHECK, *RUN_MODEL} == set(conductivity.OBSERVABLE.columns)
    rows = conductivity.measure_pairs(run)
    assert {*rows[0], *CHECK, *RUN_MODEL} == set(conductivity.ONSAGER.columns)
    pairs = {row["pair"]: row["onsager_s_m"] for row in rows}
    assert pairs["mg-tfsi"] == pytest.approx(
        conductivity.onsager(sums["mg"] * 1e-10, sums["tfsi"] * 1e-10, (2, -1), 1e-14, 8e-27, 350.0).D, rel=1e-9
    )


def test_ions_in_pairs_do_not_conduct() -> None:
    """Every anion follows its cation, rattling: they diffuse as before, but carry no current."""
    rng = np.random.default_rng(2)
    cation = walks(rng, 4000, PAIRS)
    anion = cation + 0.3e-10 * relaxing(rng, 3, 4000, PAIRS, 3)
    diffusion = {"cation": slope.diffusion(cation, STEP), "anion": slope.diffusion(anion, STEP)}
    independent = conductivity.nernst_einstein(diffusion, IONS, VOLUME, KELVIN)
    whole = conductivity.einstein_conductivity(cation.sum(axis=1) - anion.sum(axis=1), STEP, VOLUME, KELVIN)
    assert abs(whole.D) < 1e-3 * independent.value
    assert not whole.converged and "subdiffusive" in (whole.reason or "")
    still = conductivity.einstein_conductivity(np.zeros((500, 3)), STEP, VOLUME, KELVIN)
    assert not still.converged and "do not move" in (still.reason or "")
    assert math.isnan(conductivity.ionicity(still, independent).ci95_high)


def test_what_kinds_of_ions_add_sums_to_the_conductivity() -> None:
    rng = np.random.default_rng(3)
    shared = walks(rng, 20_000, 1)[:, 0]
    cation = walks(rng, 20_000, PAIRS).sum(axis=1) + 2 * shared
    anion = walks(rng, 20_000, PAIRS).sum(axis=1) + 2 * shared
    terms = {
        (a, b): conductivity.onsager(x, y, (a, b), STEP, VOLUME, KELVIN)
        for a, x in ((1, cation), (-1, anion))
        for b, y in ((1, cation), (-1, anion))
    }
    expected = {1: (PAIRS + 4) * D * UNIT, -1: -4 * D * UNIT}
    for (a, b), term in terms.items():
        assert abs(term.D - expected[a * b]) < 4 * term.standard_error
        assert term.standard_error < 0.2 * expected[1]
    whole = conductivity.einstein_conductivity(cation - anion, STEP, VOLUME, KELVIN)
    assert sum(term.D for term in terms.values()) == pytest.approx(whole.D, rel=0.15)


def test_kinds_tied_by_momentum_conduct_as_one() -> None:
    """Of equal masses one mirrors the other, wherever the origin is: what is left of their sum is no walk."""
    cation = walks(np.random.default_rng(8), 2000, 1)[:, 0]
    anion = np.array([0.0, 3e-6, 2e-7]) - cation
    term = conductivity.onsager(cation, anion, (1, -1), STEP, VOLUME, KELVIN)
    alone = conductivity.einstein_conductivity(cation, STEP, VOLUME, KELVIN)
    assert (term.D, term.standard_error) == pytest.approx((alone.D, alone.standard_error), rel=1e-6)
    still = conductivity.onsager(np.zeros((500, 3)), np.zeros((500, 3)), (1, -1), STEP, VOLUME, KELVIN)
    assert not still.converged and "do not move" in (still.reason or "")


def test_a_kind_that_moves_the_other_way_adds_the_opposite() -> None:
    """Whichever of sum and difference rattles in place, with a slope below its error: the interval is there, and mirrored."""
    rng = np.random.default_rng(9)
    cation = walks(rng, 2000, 1)[:, 0]
    anion = cation + 1e-10 * rng.normal(size=(2000, 3))
    one, other = (conductivity.onsager(cation, x, (1, 1), STEP, VOLUME, KELVIN) for x in (anion, -anion))
    assert one.ci95_low < one.D < one.ci95_high and math.isfinite(one.standard_error)
    assert (other.D, other.ci95_low, other.ci95_high) == pytest.approx((-one.D, -one.ci95_high, -one.ci95_low))


def test_a_liquid_without_ions_has_no_conductivity() -> None:
    run = SimpleNamespace(
        topology=SimpleNamespace(ions=[{"name": "water", "count": 3, "charge": 0}]),
        nvt=SimpleNamespace(edges=np.full((5, 3), 10.0)),
        record=SimpleNamespace(temperature_K=300.0, save_every_fs=10.0),
    )
    (row,) = conductivity.measure(run)
    assert row["converged"] is False and "without ions" in row["reason"]
    assert conductivity.measure_pairs(run) == []
