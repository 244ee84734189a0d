"""The liquids that everything starts from, as EQUILIBRATE leaves them."""

from ionmelt.tables.columns import CHECK, REAL, TEXT, WHOLE, Schema

# One row for each state; `equilibrated` of a frame or a run is its `converged`.
EQUILIBRATION: Schema = {
    "key": TEXT, "liquid": TEXT, "temperature_K": REAL, "replica": WHOLE, "force_field": TEXT, "engine": TEXT,
    "production_ps": REAL, "samples": WHOLE, "density_kg_m3": REAL, "standard_error_kg_m3": REAL, "n_effective": REAL,
    "correlation_time_ps": REAL, "drift_kg_m3": REAL, **CHECK,
}  # fmt: skip
