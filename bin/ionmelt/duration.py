"""Times as a person says them."""

HOUR_S, MINUTE_S = 3600.0, 60.0


def spoken(seconds: float) -> str:
    """Write a time in hours, minutes or seconds, whichever it is long enough for."""
    for unit_s, unit in ((HOUR_S, "h"), (MINUTE_S, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.1f} {unit}"
    return f"{seconds:.0f} s"
