"""The weights of a training's loss: what share of the gradient energy, forces and stress have, and weights that give them fixed shares.

The loss is a sum of three terms, each a mean squared error times a weight. The terms have other units and other numbers of values, so
that a weight alone says nothing: what a step improves is decided by how long the gradient of each weighted term is. The share of a
term is the length of its gradient over the sum of the three, lengths as a root mean square over training batches.

Weights are found before the first step, from the gradient that the labels exert: that of a model which predicts the reference energies
and no force. What an untrained model predicts instead is noise, and in DeePMD an offset of the energy a hundred times what is to be learnt.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel

if TYPE_CHECKING:
    import torch

Terms = Mapping[str, "torch.Tensor"]  # of the loss of a batch, each a scalar with a graph

TERMS = ("energy", "forces", "stress")
# The term that each error of a learning curve is of: DeePMD prints that of the virial.
TERM_OF_ERROR = {
    "energy_per_atom_rmse": "energy",
    "force_rmse": "forces",
    "stress_rmse": "stress",
    "virial_per_atom_rmse": "stress",
}
# What the terms whose weights are found begin with. An energy is one number a frame that pulls on all weights of a model together, so that
# its gradient changes most from step to step: with a third for each, a short training left all three errors larger.
SHARES = {"energy": 1 / 6, "forces": 1 / 2, "stress": 1 / 3}
BATCHES = 16  # training batches that gradients are measured on: enough for a weight, and a few steps' time
DIGITS = 3  # of a weight that is found: more would say that it is known better


def gradient_lengths(batches: Iterable[Terms], parameters: Iterable["torch.nn.Parameter"]) -> dict[str, float]:
    """Return, for each term of the loss, the root mean square over batches of the length of its gradient by the parameters.

    `batches` yields the unweighted terms of each batch (scalar tensors with a graph); a term without a graph counts as zero.
    """
    import torch

    trained = [held for held in parameters if held.requires_grad]
    squares = dict.fromkeys(TERMS, 0.0)
    count = 0
    for terms in batches:
        count += 1
        for name, term in terms.items():
            if term.requires_grad:
                gradients = torch.autograd.grad(term, trained, retain_graph=True, allow_unused=True)
                squares[name] += sum(
                    float(gradient.double().square().sum()) for gradient in gradients if gradient is not None
                )
    return {name: math.sqrt(square / max(count, 1)) for name, square in squares.items()}


def shares(weights: dict[str, float], lengths: dict[str, float]) -> dict[str, float]:
    """Return the share of the gradient that each weighted term has; they sum to one, or are all zero where there is no gradient."""
    weighted = {name: weights[name] * lengths[name] for name in TERMS}
    total = sum(weighted.values())
    return {name: length / total if total > 0 else 0.0 for name, length in weighted.items()}


def balanced(given: dict[str, float | None], lengths: dict[str, float], forces: float) -> dict[str, float]:
    """Return the weight of each term: what is `given`, and for None the weight that gives the term its part beside the forces (`SHARES`).

    `forces` is the weight of the forces where none is given; it also sets the scale where the forces are given no weight. A term
    without a gradient, such as the stress of frames that have none, gets no weight.
    """
    scale = (given["forces"] or forces) * lengths["forces"]
    weights = {}
    for name in TERMS:
        value = given[name]
        if value is None and name == "forces":
            value = forces
        elif value is None:
            value = rounded(SHARES[name] / SHARES["forces"] * scale / lengths[name]) if lengths[name] > 0 else 0.0
        weights[name] = float(value)
    return weights


def rounded(value: float) -> float:
    """Return a number with the digits that a weight is known to, as somebody would write it into a study."""
    return float(f"{value:.{DIGITS}g}")


class LossRecord(BaseModel):
    """The loss of a training: weights of the terms and their shares of the gradient, at its start and at its end."""

    weights_start: dict[str, float]
    weights_end: dict[str, float]
    gradient_shares_start: dict[str, float]
    gradient_shares_end: dict[str, float] | None = None  # None: it has not ended

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return what a training wrote about its loss; None where it wrote nothing."""
        return cls.model_validate_json(path.read_text()) if path.is_file() else None

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        unfinished = path.with_name(f".{path.name}")
        unfinished.write_text(self.model_dump_json(indent=2, exclude_unset=True) + "\n")
        unfinished.replace(path)
