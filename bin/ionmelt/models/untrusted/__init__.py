"""Files of weights that somebody else wrote: what they would run, found out without running any of it."""
