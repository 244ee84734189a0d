"""What a study says of the division of its frames."""

from ionmelt.settings import Count, Real, Section, count, number


class Split(Section):
    """How the frames are divided; whole groups (trajectories) always stay together."""

    valid: Real = number(0.1, 0.01, 0.5, "share of the groups that stops and selects the training")
    test: Real = number(0.1, 0.01, 0.5, "share of the groups that no training sees")
    near: Real = number(
        0.05, 0, 0.2, "share of the training frames kept back to show how much better a random split would look"
    )
    seed: Count = count(1, 0, 2**31 - 1, "seed of the division")
