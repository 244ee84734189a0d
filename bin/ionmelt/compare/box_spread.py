"""How much models differ from box to box beyond the errors of their runs: learnt from all models of a property together.

Two models in two boxes show that spread with one degree of freedom, which leaves no power; with M models in B boxes there are
(M - 1)(B - 1). The means of the boxes are taken as model + box + noise, as in a two-way analysis of variance with one value a cell
(Scheffe, The Analysis of Variance, 1959, section 4.2), where what a box adds to every model drops out. What is left of the noise beyond
the errors of the runs is given in both ways that it may grow: as a factor of their variances, and as a variance of its own; a comparison
takes the larger.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ionmelt.compare.statistics import Runs, means_by
from ionmelt.distributions import f_tail

ODD = 0.05  # a pair whose own spread is larger than that of all by so small a chance has its own


@dataclass(frozen=True)
class BoxSpread:
    """The noise of box means: over the variance of the runs, the variance beyond it, and the degrees of freedom of both."""

    ratio: float
    beyond: float
    dof: float

    def variance(self, within: float, beyond_share: float, pairs: float, pairs_dof: float) -> tuple[float, float]:
        """Return the variance of a mean over boxes and its degrees of freedom.

        ``within``: from the errors of its runs; ``beyond_share``: of `beyond` in it; ``pairs``: the variance that its own boxes show, with
        ``pairs_dof``, which holds alone where it is larger than the models' common one by more than chance.
        """
        common = max(self.ratio * within, within + self.beyond * beyond_share)
        if common <= 0 or f_tail(pairs / common, pairs_dof, self.dof) < ODD:
            return pairs, pairs_dof
        return common, self.dof


def box_spread(models: Sequence[Runs]) -> BoxSpread | None:
    """Return the spread of models between the boxes that all of them share; None with fewer than two models or boxes."""
    if len(models) < 2:
        return None
    boxes = sorted(set.intersection(*(set(runs.replicas) for runs in models)), key=str)
    if len(boxes) < 2:
        return None
    means, errors = (np.array([column(runs, boxes) for runs in models]) for column in (box_means, box_variances))
    noise = means - means.mean(0) - means.mean(1, keepdims=True) + means.mean()
    free = (1 - 1 / len(models)) * (1 - 1 / len(boxes))
    total, claimed = float((noise**2).sum()) / free, float(errors.sum())
    if not np.isfinite(total + claimed) or claimed <= 0:
        return None
    # a model whose runs are much worse than the others' stands for nearly all of the noise
    rows = errors.sum(1)
    dof = (len(boxes) - 1) * max(1.0, float(rows.sum() ** 2 / (rows**2).sum()) - 1)
    return BoxSpread(total / claimed, (total - claimed) / errors.size, dof)


def box_means(runs: Runs, boxes: Sequence[object]) -> list[float]:
    """Return the mean of the runs of each box."""
    means = means_by(list(runs.replicas), np.asarray(runs.values, float))
    return [means[box] for box in boxes]


def box_variances(runs: Runs, boxes: Sequence[object]) -> list[float]:
    """Return the variance of the mean of each box, from the errors of its runs."""
    labels = list(runs.replicas)
    sums = {
        box: sum(error**2 for error, label in zip(runs.standard_errors, labels, strict=True) if label == box)
        for box in boxes
    }
    return [sums[box] / labels.count(box) ** 2 for box in boxes]
