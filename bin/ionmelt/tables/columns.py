"""The kinds of columns, and the groups of columns that several tables have."""

from typing import TypeAlias

import polars as pl

Schema: TypeAlias = dict[str, type[pl.DataType]]

TEXT, REAL, WHOLE, FLAG = pl.String, pl.Float64, pl.Int64, pl.Boolean

# Which model: its name in the study, what it was trained on, and the seed of its training.
MODEL: Schema = {"model": TEXT, "dataset": TEXT, "seed": WHOLE}
# Which run, and with which model
RUN: Schema = {"run_id": TEXT, "liquid": TEXT, **MODEL, "temperature_K": REAL, "replica": WHOLE}
RUN_MODEL: Schema = {"framework": TEXT, "model_key": TEXT}
# Whether a number may be trusted, and why not
CHECK: Schema = {"converged": FLAG, "reason": TEXT}
# How steady it is during the run (Student's t of the second half less the first, and of its drift; their degrees of freedom),
# and whether it passes all other tests of one run: what several runs are judged by together
STEADY: Schema = {"halves_t": REAL, "drift_t": REAL, "steady_dof": REAL, "sound": FLAG}
# The displacements that a slope is fitted to: the slope of their logarithm against that of time, its error, and their curvature over its error
SHAPE: Schema = {"log_slope": REAL, "log_slope_error": REAL, "bend": REAL}
# A number with its 95 % interval, or the reason for having none
NUMBER: Schema = {
    "value": REAL, "unit": TEXT, "standard_error": REAL, "ci95_low": REAL, "ci95_high": REAL, "n_effective": REAL,
    **CHECK, "frames": WHOLE, "interval_ps": REAL,
}  # fmt: skip
