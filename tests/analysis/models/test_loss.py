"""Weights of a loss: shares add up to one, what is left open gets its part of the gradient, what is given is obeyed."""

import pytest

from ionmelt.models import loss

LENGTHS = {"energy": 3e-4, "forces": 7.5e-3, "stress": 2.9e-6}


WANTED = {"energy": 1 / 6, "forces": 1 / 2, "stress": 1 / 3}  # as the documentation says


def test_weights_left_open_give_each_term_its_part_of_the_gradient() -> None:
    weights = loss.balanced(dict.fromkeys(loss.TERMS), LENGTHS, 100.0)
    assert weights["forces"] == 100.0
    assert loss.shares(weights, LENGTHS) == pytest.approx(WANTED, rel=0.01)


def test_maces_own_defaults_are_seen_to_train_on_forces_alone() -> None:
    shares = loss.shares({"energy": 1.0, "forces": 100.0, "stress": 10.0}, LENGTHS)
    assert shares["forces"] > 0.999
    assert sum(shares.values()) == pytest.approx(1.0)


def test_a_number_is_obeyed_and_the_rest_goes_with_the_forces() -> None:
    weights = loss.balanced({"energy": 7.0, "forces": 20.0, "stress": None}, LENGTHS, 100.0)
    assert (weights["energy"], weights["forces"]) == (7.0, 20.0)
    assert weights["stress"] * LENGTHS["stress"] == pytest.approx(2 / 3 * 20.0 * LENGTHS["forces"], rel=0.01)


def test_a_term_without_a_gradient_has_no_weight_and_no_share() -> None:
    lengths = LENGTHS | {"stress": 0.0}  # frames without a stress
    weights = loss.balanced(dict.fromkeys(loss.TERMS), lengths, 1.0)
    assert weights["stress"] == 0.0
    shares = loss.shares(weights, lengths)
    assert shares["stress"] == 0.0
    assert shares["energy"] == pytest.approx(0.25, rel=0.01)
    nothing = loss.shares(weights, dict.fromkeys(loss.TERMS, 0.0))
    assert nothing == dict.fromkeys(loss.TERMS, 0.0)


def test_forces_of_no_weight_leave_the_others_a_scale() -> None:
    weights = loss.balanced({"energy": None, "forces": 0.0, "stress": None}, LENGTHS, 100.0)
    shares = loss.shares(weights, LENGTHS)
    assert shares["forces"] == 0.0
    assert shares["energy"] == pytest.approx(1 / 3, rel=0.01)
