"""What is wrong with datasets, sizes and split."""

from planned_studies import Refusal, Refused, Spoil, each_of, md, sampling, study

REFUSALS: list[Refusal] = [
    ("unknown_kind", study(datasets={"eq": ["equilibrium"]}), [
        "datasets.eq[0]: unknown kind 'equilibrium'; known: eq, neq, active"]),
    ("kind_twice", study(datasets={"eq": ["eq", "eq"]}), ["datasets.eq: 'eq' is given twice"]),
    ("kind_not_sampled", sampling(neq={}), [
        "datasets.both[1]: no neq frames are sampled: give a recipe in sampling.neq, or leave 'neq' out"]),
    ("a_recipe_that_is_wrong_is_one_mistake", sampling(neq={"volume_scan": {"frames": 10, "scale_max": 112}}), [
        "sampling.neq.volume_scan.scale_max: 112 is above 2"]),
    ("too_few_scales", sampling(test_scan={"scales": [0.9, 1.0]}), ["sampling.test_scan.scales: 2 given: give at least 3"]),
    ("too_few_frames", lambda s: (sampling(eq={"frames": 1})(s), md(replicas=1)(s)), [
        "datasets.eq: 1 groups of frames: training, validation and test need one each; sample more frames"]),
    ("split_leaves_nothing", study(split={"valid": 0.5, "test": 0.5}), [
        "split: valid 0.5 and test 0.5 leave too little to train on: at most 0.8 together"]),
    ("a_dataset_of_nothing", study(datasets={"none": ["-pyr14bf4"], "odd": ["eq", "-pyr13bf4"]}), [
        "datasets.none: no kind of frames is given: give eq or neq or active",
        "datasets.none: every liquid is left out: leave one in",
        "datasets.odd[1]: '-pyr13bf4' leaves out no liquid of the study; did you mean -pyr14bf4? known: -pyr14bf4"]),
    ("sizes_that_cannot_be", study(sizes=[8, 8, 500]), [
        "sizes: 8 is given twice", "sizes[2]: 500 frames of eq: it has about 16 to train on",
        "sizes[2]: 500 frames of both: it has about 28 to train on"]),
    ("a_dataset_named_like_a_size", study(sizes=[4], datasets={"eq.4": ["eq"]}), [
        "datasets.eq.4: ends like a size, which sizes adds to names: give another name"]),
]  # fmt: skip


@each_of(REFUSALS)
def test_refusal(refused: Refused, spoil: Spoil, lines: list[str]) -> None:
    refused(spoil, lines)
