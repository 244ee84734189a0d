"""Statistics of the verdicts: by hand, against a slow reference, and by how often intervals cover a known truth."""

import math

import numpy as np
import pytest
from scipy import stats

from ionmelt.compare import statistics
from ionmelt.compare.box_spread import BoxSpread


def test_one_run_keeps_its_own_error_and_its_degrees_of_freedom() -> None:
    low, high = statistics.combine([1000.0], [2.0], [[1], [1]], [4.0]).interval()
    assert (high - low) / 2 == pytest.approx(2.0 * 2.7764451, rel=1e-6)


def test_agreeing_runs_do_not_shrink_below_their_own_error() -> None:
    estimate = statistics.combine([10.0, 10.0, 10.0], [1.0, 1.0, 1.0], [[1, 2, 3], [1, 1, 1]])
    assert estimate.standard_error == pytest.approx(1 / math.sqrt(3))


def test_the_error_within_runs_is_that_of_their_mean() -> None:
    """Labels that are no numbers, or of several kinds, are labels too."""
    estimate = statistics.combine([10.0, 10.0, 10.0], [2.0, 1.0, 1.0], [[1, None, "a"]])
    assert estimate.standard_error == pytest.approx(math.sqrt(6) / 3)


def test_a_number_with_an_error_adds_its_variance_and_no_degrees_of_freedom() -> None:
    """That of the sum is Satterthwaite's, with a number that is known: (25 / 9)^2 of the estimate's."""
    summed = statistics.Estimate(1.0, 3.0, 4.0).plus(10.0, 4.0)
    assert (summed.value, summed.standard_error) == (11.0, 5.0)
    assert summed.dof == pytest.approx(4.0 * (25 / 9) ** 2)
    assert statistics.Estimate(1.0, 3.0, 4.0).plus(10.0) == statistics.Estimate(11.0, 3.0, 4.0)


@pytest.mark.parametrize(
    ("seeds", "replicas", "spread_seed", "spread_box"),
    [
        (3, 1, 0, 0),
        (3, 1, 3, 0),
        (1, 4, 0, 0),
        (1, 4, 0, 3),
        (3, 3, 0, 0),
        (3, 3, 3, 0),
        (3, 3, 0, 3),
        (3, 3, 2, 2),
        (2, 2, 2, 2),
    ],
)
def test_combined_interval_covers(seeds: int, replicas: int, spread_seed: float, spread_box: float) -> None:
    """At least 93 % of 600 intervals hold the truth, whichever level the spread sits on."""
    error = 1.0
    rng = np.random.default_rng(seeds * 100 + replicas)
    labels = [(s, r) for s in range(seeds) for r in range(replicas)]
    hits = 0
    for _ in range(600):
        of_seed, of_box = rng.normal(0, spread_seed, seeds), rng.normal(0, spread_box, replicas)
        values = [of_seed[s] + of_box[r] + rng.normal(0, error) for s, r in labels]
        low, high = statistics.combine(
            values, [error] * len(values), [[s for s, _ in labels], [r for _, r in labels]]
        ).interval()
        hits += low <= 0 <= high
    assert hits / 600 > 0.93


def test_difference_covers_and_holds_its_level() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(800):
        a = statistics.combine(list(rng.normal(5, 3, 3)), [1.0] * 3, [[1, 2, 3]])
        b = statistics.combine(list(rng.normal(2, 1, 4)), [0.5] * 4, [[1, 2, 3, 4]])
        delta = statistics.difference(a, b)
        low, high = delta.interval()
        hits += low <= 3 <= high
        assert (statistics.Estimate(delta.value - 3, delta.standard_error, delta.dof).p_value() >= 0.05) == (
            low <= 3 <= high
        )
    assert 0.92 < hits / 800 < 0.995


def test_a_difference_of_two_samples_is_welchs_test() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(5, 3, 4), rng.normal(0, 1, 9)
    a, b = (statistics.Estimate(float(v.mean()), float(stats.sem(v)), len(v) - 1) for v in (x, y))
    delta, welch = statistics.difference(a, b), stats.ttest_ind(x, y, equal_var=False)
    assert delta.dof == pytest.approx(welch.df)
    assert delta.p_value() == pytest.approx(welch.pvalue)
    assert delta.interval() == pytest.approx(tuple(welch.confidence_interval()))


def test_a_number_that_is_known_is_0_or_not() -> None:
    assert [statistics.Estimate(value, 0.0).p_value() for value in (0.0, 1e-300, -1.0)] == [1.0, 0.0, 0.0]


# --- Paired differences ---


def crossed(x: np.ndarray, error: float | np.ndarray) -> statistics.Runs:
    """Return the runs (seeds, boxes) of one model."""
    places = [(s, r) for s in range(x.shape[0]) for r in range(x.shape[1])]
    errors = np.broadcast_to(error, x.shape)
    return statistics.Runs(
        [float(x[p]) for p in places],
        [float(errors[p]) for p in places],
        [s for s, _ in places],
        [r for _, r in places],
        [math.inf] * len(places),
    )


def test_one_seed_is_the_textbook_paired_t_test() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(0, 1, (2, 1, 5))
    estimate, boxes = statistics.paired(crossed(a, 1e-9), crossed(b, 1e-9))
    wanted = stats.ttest_rel(a[0], b[0])
    assert boxes == 5
    assert estimate.p_value() == pytest.approx(wanted.pvalue, rel=1e-9)
    assert estimate.interval() == pytest.approx(tuple(wanted.confidence_interval()), rel=1e-9)


def test_a_third_model_is_a_further_term_in_every_box() -> None:
    """Of one seed each: the t test of the sums, in the boxes that all three have."""
    a, b, c = np.random.default_rng(6).normal(0, 1, (3, 1, 5))
    third = crossed(c, 1e-9).of({0, 1, 2, 4})
    estimate, boxes = statistics.paired(crossed(a, 1e-9), crossed(b, 1e-9), (0.5, 0.5), others=[(-1.0, third)])
    wanted = stats.ttest_1samp(((a + b) / 2 - c)[0][[0, 1, 2, 4]], 0.0)
    assert boxes == 4
    assert estimate.interval() == pytest.approx(tuple(wanted.confidence_interval()), rel=1e-9)


@pytest.mark.parametrize(("weights", "drops_out"), [((0.5, 0.5), False), ((-0.5, -0.5), False), ((1.0, -1.0), True)])
def test_the_spread_that_models_have_in_common_stands_for_a_difference_alone(
    weights: tuple[float, float], drops_out: bool
) -> None:
    """What a box adds to all models is in the spread of a sum, whatever its sign."""
    a, b = (crossed(x, 1e-3) for x in np.random.default_rng(7).normal(0, 1, (2, 1, 4)))
    common = BoxSpread(1e7, 0.0, 20.0)
    alone, shared = statistics.paired(a, b, weights), statistics.paired(a, b, weights, common=common)
    assert (alone != shared) == drops_out


def test_what_a_box_adds_to_both_cancels_in_a_difference_and_counts_in_a_sum() -> None:
    rng = np.random.default_rng(4)
    box = rng.normal(0, 50, 4)
    a, b = box + rng.normal(0, 1, (2, 3, 4))
    narrow, _ = statistics.paired(crossed(a, 1.0), crossed(b, 1.0))
    wide, _ = statistics.paired(crossed(a, 1.0), crossed(b, 1.0), (0.5, 0.5))
    independent = statistics.difference(*(statistics.combine(r.values, r.standard_errors, [r.seeds, r.replicas]) for r in (crossed(a, 1.0), crossed(b, 1.0))))  # fmt: skip
    assert narrow.standard_error < 1.5 < 20 < independent.standard_error
    assert wide.standard_error == pytest.approx(box.std(ddof=1) / 2, rel=0.1)


def test_a_model_without_seeds_is_paired_with_all_seeds_of_the_other() -> None:
    """One classical run a box: its error does not shrink with the number of seeds of the other model."""
    a = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    b = np.array([[0.0, 1.0, 2.0]])
    estimate, boxes = statistics.paired(crossed(a, 1.0), crossed(b, 3.0))
    assert (estimate.value, boxes) == (1.0, 3)
    assert estimate.standard_error == pytest.approx(math.sqrt(1 / 9 + 9 / 3))


@pytest.mark.parametrize(("boxes", "most"), [(2, 2.0), (3, 2.0), (5, 4.0)])
def test_a_spread_of_boxes_that_is_small_by_accident_has_no_more_degrees_of_freedom(boxes: int, most: float) -> None:
    """Ten seeds a model that scatter alike in all boxes, which differ by next to nothing: seeds alone would have up to 18."""
    rng = np.random.default_rng(8)
    a, b = rng.normal(0, 1, (2, 10, 1)) + 1e-3 * rng.normal(0, 1, (2, 1, boxes))
    estimate, _ = statistics.paired(crossed(a, 1e-6), crossed(b, 1e-6))
    assert estimate.dof == pytest.approx(most)
    common = BoxSpread(1e7, 0.0, 3.0)
    assert statistics.paired(crossed(a, 1e-6), crossed(b, 1e-6), common=common)[0].dof <= 3.0
    one_seed, _ = statistics.paired(crossed(a[:1], 1e-6), crossed(b[:1], 1e-6))
    assert one_seed.dof == boxes - 1


def test_fewer_than_two_shared_boxes_are_no_pairs() -> None:
    a, b = crossed(np.ones((2, 3)), 1.0), crossed(np.ones((1, 3)), 1.0)
    far = statistics.Runs(b.values, b.standard_errors, b.seeds, [2, 7, 8], b.dofs)
    assert statistics.paired(a, far) is None
    assert statistics.paired(a, statistics.Runs([], [], [], [], [])) is None
    near = statistics.Runs(b.values, b.standard_errors, b.seeds, [1, 2, 8], b.dofs)
    assert statistics.paired(a, near)[1] == 2


def test_seeds_of_one_model_on_two_datasets_are_set_against_each_other() -> None:
    seed = np.array([[-30.0], [0.0], [30.0]])
    a, b = seed + np.zeros((3, 3)), seed + np.ones((3, 3))
    apart, _ = statistics.paired(crossed(a, 0.1), crossed(b, 0.1))
    together, _ = statistics.paired(crossed(a, 0.1), crossed(b, 0.1), same_seeds=True)
    assert apart.standard_error == pytest.approx(math.sqrt(2 * 900 / 3), rel=1e-4)
    assert together.standard_error == pytest.approx(0.1 * math.sqrt(2) / 3)


def test_midpoint_tells_the_closer_one() -> None:
    rng = np.random.default_rng(2)
    for a, b, r in rng.normal(0, 1, (200, 3)):
        runs = [crossed(np.full((1, 2), x), 0.1) for x in (a, b)]
        apart, middle = statistics.paired(*runs)[0].value, statistics.paired(*runs, (0.5, 0.5))[0].value - r
        assert (apart * middle < 0) == (abs(a - r) < abs(b - r))


# (boxes, seeds of a, seeds of b), and the spread that boxes add to both, to one, and that seeds add; errors are 1
SHAPES = ((2, 1, 1), (2, 2, 2), (2, 3, 1), (3, 1, 1), (3, 2, 2), (3, 3, 3), (3, 3, 1))
SPREADS = ((0.0, 0.0, 0.0), (3.0, 0.0, 0.0), (3.0, 1.0, 0.0), (3.0, 0.5, 2.0))


def paired_coverage(boxes: int, seeds: tuple[int, int], spreads: tuple[float, float, float], cases: int) -> float:
    """Return the share of paired intervals that hold the true difference, 0."""
    rng = np.random.default_rng([boxes, *seeds, *(int(10 * x) for x in spreads)])
    both, one, seed = spreads
    hits = 0
    for _ in range(cases):
        box = rng.normal(0, both, boxes)
        models = [
            crossed(
                box
                + rng.normal(0, one, boxes)
                + (rng.normal(0, seed, (n, 1)) if n > 1 else 0)
                + rng.normal(0, 1, (n, boxes)),
                1.0,
            )
            for n in seeds
        ]
        low, high = statistics.paired(*models)[0].interval()
        hits += low <= 0 <= high
    return hits / cases


def test_paired_differences_cover() -> None:
    """Each shape and spread at least 89 % of 150 (3 sigma below 95 %); all 4200 together 94 to 98.5 %."""
    covered = {
        (shape, spreads): paired_coverage(shape[0], shape[1:], spreads, 150) for shape in SHAPES for spreads in SPREADS
    }
    assert min(covered.values()) > 0.89, covered
    assert 0.94 < np.mean(list(covered.values())) < 0.985, covered
