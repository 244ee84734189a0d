"""Frames that are to be labelled: how many each recipe gave, and what committees were asked about."""

from ionmelt.tables.columns import FLAG, REAL, TEXT, WHOLE, Schema

SAMPLING: Schema = {
    "liquid": TEXT, "recipe": TEXT, "kind": TEXT, "requested": WHOLE, "kept": WHOLE,
    "equilibrium_of": TEXT, "equilibrated": FLAG, "spacing_frames": REAL, "inefficiency_frames": REAL, "offered": WHOLE, "refused_bond": WHOLE,
    "refused_contact": WHOLE, "refused_duplicate": WHOLE,
}  # fmt: skip
# A row for each configuration that a committee was asked about on a walk of EXPLORE_LIQUID
EXPLORATION: Schema = {
    "key": TEXT, "round": WHOLE, "liquid": TEXT, "temperature_K": REAL, "model": TEXT, "dataset": TEXT,
    "members": WHOLE, "walk": TEXT, "time_ps": REAL, "bath_K": REAL, "density_kg_m3": REAL, "disagreement_ev_a": REAL,
    "worth_above_ev_a": REAL, "stop_above_ev_a": REAL, "offered": FLAG, "end": TEXT, "detail": TEXT,
}  # fmt: skip
