"""Labels: one row for each frame that was labelled or brought along, failed ones with their reason."""

from ionmelt.tables.columns import CHECK, FLAG, REAL, TEXT, WHOLE, Schema

LABELS: Schema = {
    "frame_id": TEXT, "liquid": TEXT, "kind": TEXT, "recipe": TEXT, "equilibrated": FLAG, "group": TEXT,
    "n_atoms": WHOLE, "engine": TEXT, "theory_id": TEXT, **CHECK, "energy_ev": REAL, "max_force_ev_a": REAL,
    "net_force_ev_a": REAL, "has_stress": FLAG, "pressure_bar": REAL, "scf_steps": WHOLE, "wall_s": REAL,
}  # fmt: skip
# What LABEL_FRAMES adds for frames that it labelled itself, and IMPORT_LABELS for those of others
LABELLED: Schema = LABELS | {
    "engine_version": TEXT, "guess": TEXT, "cold_energy_difference_ev": REAL, "cold_max_force_difference_ev_a": REAL,
    "from_store": FLAG,
}  # fmt: skip
IMPORTED: Schema = LABELS | {"engine_version": TEXT, "source": TEXT, "detail": TEXT}
