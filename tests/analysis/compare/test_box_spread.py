"""The spread of models between boxes, learnt from all of them: right where it is known, and a safeguard for a model unlike the others."""

import numpy as np
import pytest

from ionmelt.compare.box_spread import BoxSpread, box_spread
from ionmelt.compare.statistics import LEVEL, Runs, paired

SEEDS = 3


def models(
    rng: np.random.Generator, count: int, boxes: int, noise: float, errors: float = 1.0, shared: float = 0.0
) -> list[Runs]:
    """Return runs of `count` models that are alike, with a noise of their own in each box beyond the errors of their runs."""
    common = rng.normal(0, shared, boxes)
    made = []
    for _ in range(count):
        values = 100 + common + rng.normal(0, noise, boxes) + rng.normal(0, errors, (SEEDS, boxes))
        labels = [(seed, box) for seed in range(SEEDS) for box in range(boxes)]
        names = [seed for seed, _ in labels], [box for _, box in labels]
        made.append(Runs(values.ravel().tolist(), [errors] * len(labels), *names, [1e3] * len(labels)))
    return made


@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("shared", [0.0, 20.0])
def test_the_ratio_and_the_variance_beyond_are_unbiased_whatever_all_models_share(noise: float, shared: float) -> None:
    rng = np.random.default_rng(1)
    spreads = [box_spread(models(rng, 5, 3, noise, shared=shared)) for _ in range(400)]
    assert np.mean([spread.ratio for spread in spreads if spread]) == pytest.approx(1 + SEEDS * noise**2, rel=0.08)
    assert np.mean([spread.beyond for spread in spreads if spread]) == pytest.approx(
        noise**2, abs=0.05 + 0.05 * noise**2
    )
    assert [spread.dof for spread in spreads if spread] == pytest.approx([8.0] * 400)


def test_of_two_models_it_is_that_of_their_pairs() -> None:
    a, b = models(np.random.default_rng(2), 2, 4, 2.0)
    alone, _ = paired(a, b) or (None, 0)
    together, _ = paired(a, b, common=box_spread([a, b])) or (None, 0)
    assert alone is not None
    assert together is not None
    for name in ("value", "standard_error", "dof"):
        assert getattr(together, name) == pytest.approx(getattr(alone, name))


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_alike_models_differ_by_chance_alone(noise: float) -> None:
    rng = np.random.default_rng(3)
    told = []
    for _ in range(600):
        made = models(rng, 5, 2, noise, shared=5.0)
        pair, _ = paired(made[0], made[1], common=box_spread(made)) or (None, 0)
        told.append(pair is not None and pair.p_value() < LEVEL)
    assert np.mean(told) < 0.065


def test_alike_models_of_many_seeds_are_told_apart_by_chance_alone_at_a_small_level() -> None:
    """Four models in two boxes, which differ box by model as much as runs do, at the level that many tests leave."""
    rng = np.random.default_rng(6)
    told, level = [], 0.003
    for _ in range(1500):
        made = [
            Runs(
                (100 + rng.normal(0, 1, 2) + rng.normal(0, 1, (5, 2))).ravel().tolist(), [1.0] * 10,
                [seed for seed in range(5) for _ in range(2)], [0, 1] * 5, [20.0] * 10,
            )
            for _ in range(4)
        ]  # fmt: skip
        common = box_spread(made)
        pairs = [paired(a, b, common=common) or (None, 0) for a, b in ((made[0], made[1]), (made[2], made[3]))]
        told += [pair is not None and pair.p_value() < level for pair, _ in pairs]
    assert np.mean(told) < level + 3 * (level / len(told)) ** 0.5


def test_five_models_in_two_boxes_see_what_two_cannot() -> None:
    rng = np.random.default_rng(4)
    seen = {"alone": 0, "together": 0}
    for _ in range(200):
        made = models(rng, 5, 2, 0.0)
        far = Runs(
            [value + 4 for value in made[1].values],
            made[1].standard_errors,
            made[1].seeds,
            made[1].replicas,
            made[1].dofs,
        )
        for name, common in (("alone", None), ("together", box_spread([made[0], far, *made[2:]]))):
            pair, _ = paired(made[0], far, common=common) or (None, 0)
            seen[name] += pair is not None and pair.p_value() < 0.002
    assert seen["alone"] < 80
    assert seen["together"] > 2 * seen["alone"]


def test_a_pair_that_scatters_more_than_all_keeps_its_own_spread() -> None:
    calm = BoxSpread(ratio=1.0, beyond=0.0, dof=8.0)
    assert calm.variance(within=1.0, beyond_share=1.0, pairs=1.5, pairs_dof=2) == (1.0, 8.0)
    assert calm.variance(within=1.0, beyond_share=1.0, pairs=30.0, pairs_dof=2) == (30.0, 2)


def test_a_variance_of_its_own_counts_where_runs_are_long() -> None:
    # of models whose runs have large errors a small noise of boxes is no factor; for one whose runs are exact it is all
    spread = BoxSpread(ratio=1.1, beyond=0.5, dof=8.0)
    assert spread.variance(within=0.01, beyond_share=1.0, pairs=0.1, pairs_dof=2) == (pytest.approx(0.51), 8.0)


def test_one_model_or_one_box_says_nothing() -> None:
    rng = np.random.default_rng(5)
    assert box_spread(models(rng, 1, 3, 0.0)) is None
    assert box_spread(models(rng, 4, 1, 0.0)) is None
    a, b = models(rng, 2, 2, 0.0)
    elsewhere = Runs(b.values, b.standard_errors, b.seeds, [f"other {box}" for box in b.replicas], b.dofs)
    assert box_spread([a, elsewhere]) is None


def test_the_share_of_the_spread_beyond_is_that_of_the_squared_weights() -> None:
    """Of a difference over three boxes 2 / 3 of the variance beyond the errors, which are next to nothing here."""
    values = [0.0, 1.0, 2.0]
    alike = Runs(values, [1e-6] * 3, [1] * 3, [0, 1, 2], [30.0] * 3)
    pair, _ = paired(alike, alike, common=BoxSpread(ratio=1.0, beyond=0.6, dof=8.0)) or (None, 0)
    assert pair is not None
    assert pair.standard_error == pytest.approx((0.6 * 2 / 3) ** 0.5, rel=1e-6)
