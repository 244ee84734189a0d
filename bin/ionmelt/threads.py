"""How many CPU threads numerical libraries take: they read it from the environment when they are loaded."""

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def limits(threads: int) -> dict[str, str]:
    """Return the variables of an environment in which libraries take a number of threads."""
    return dict.fromkeys(VARIABLES, str(threads))
