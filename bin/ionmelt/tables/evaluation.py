"""Errors of a model on test frames, as EVALUATE_MODEL writes them; the report knows more of each model by its key."""

from ionmelt.tables.columns import FLAG, MODEL, REAL, TEXT, WHOLE, Schema

KEY: Schema = {"model_key": TEXT}
ERRORS: Schema = KEY | MODEL | {
    "split": TEXT, "quantity": TEXT, "scope": TEXT, "name": TEXT, "n": WHOLE, "rmse": REAL, "rmse_ci95_low": REAL,
    "rmse_ci95_high": REAL, "mae": REAL, "unit": TEXT, "frames": WHOLE, "frames_missing": WHOLE,
    "energy_offset_removed": FLAG, "reason": TEXT,
}  # fmt: skip
# The energy and the pressure of frozen ions, moved closer and apart
SCAN: Schema = KEY | {
    "liquid": TEXT, "group": TEXT, "scale": REAL, "density_kg_m3": REAL, "energy_ref_ev_per_atom": REAL,
    "energy_model_ev_per_atom": REAL, "pressure_ref_bar": REAL, "pressure_model_bar": REAL,
}  # fmt: skip
# The pressure between the molecules of equilibrium frames, and what the difference of two energies means for the density
PRESSURES: Schema = KEY | {
    "liquid": TEXT, "temperature_K": REAL, "frames": WHOLE, "pressure_ref_bar": REAL, "standard_error_ref_bar": REAL, "pressure_model_bar": REAL,
    "pressure_difference_bar": REAL, "standard_error_difference_bar": REAL, "wasserstein_bar": REAL, "energy_difference_kT": REAL,
    "density_shift_percent": REAL, "standard_error_shift_percent": REAL, "reason": TEXT,
}  # fmt: skip
# Energies of two atoms alone
DIMERS: Schema = KEY | {"pair": TEXT, "distance_A": REAL, "energy_ev": REAL, "reason": TEXT}
# Energies of two ions, and of two pairs of ions, that are moved apart, beside Coulomb's law; both relative to the farthest
LONG_RANGE: Schema = KEY | {
    "liquid": TEXT, "pair": TEXT, "ions": WHOLE, "distance_A": REAL, "energy_ev": REAL, "coulomb_ev": REAL,
    "blind_beyond_A": REAL, "coulomb_share": REAL, "sight": TEXT, "reason": TEXT,
}  # fmt: skip
# What the figure of parity shows: labels and what the model says
PARITY: Schema = KEY | {
    "quantity": TEXT, "recipe": TEXT, "group": TEXT, "point": TEXT, "reference": REAL, "predicted": REAL, "unit": TEXT,
}  # fmt: skip
# One row for each frame of the test set, or of other chemistry: two models are compared frame by frame
FRAME_ERRORS: Schema = KEY | {"frame_id": TEXT, "group": TEXT, "force_square": REAL, "n": WHOLE, "reason": TEXT}


def named(columns: Schema) -> Schema:
    """Return the columns with the model's name, dataset and seed after its key."""
    return KEY | MODEL | columns
