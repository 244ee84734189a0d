"""How long a run has to be: what is usual, and what a run that was too short says of it."""

DENSITY_PS = 100.0
DIFFUSION_PS = 1000.0
USUAL_PS = {"npt": DENSITY_PS, "nvt": DIFFUSION_PS}  # by what is held constant


def needed_words(needed_ps: float, phase: str, at_least: bool) -> str:
    """Say how long a run of a phase (npt or nvt) is likely to be enough, or has to be ``at_least``.

    Less than is usual is a lower bound as well: a short run has not seen what relaxes slowly.
    """
    usual_ps, shown = USUAL_PS[phase], f"{float(f'{needed_ps:.2g}'):g} ps"
    if needed_ps < usual_ps:
        return f"at least {shown}, usually {usual_ps:g}"
    return f"at least {shown}" if at_least else f"about {shown}"
