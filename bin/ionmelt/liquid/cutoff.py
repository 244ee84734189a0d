"""The cut-off of a classical force field in a cubic box."""

CUTOFF_MAX_A = 9.0
CUTOFF_FRACTION = 0.42  # of the edge at the guessed density: room for the barostat below half the box
CUTOFF_LIMIT = 0.48  # of that edge, for a cut-off that the user chose: a liquid 13 % denser still fits


def chosen_cutoff_A(cutoff: float | str | None, edge_A: float) -> float:
    """Return the cut-off (A): the given one, or for "auto" and None the smaller of 9 A and 0.42 of the edge."""
    if cutoff is None or cutoff == "auto":
        return round(min(CUTOFF_MAX_A, CUTOFF_FRACTION * edge_A), 3)
    return float(cutoff)
