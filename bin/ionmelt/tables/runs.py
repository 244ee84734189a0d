"""How far each run came and how it ended; what is measured of it, measure/observables says."""

from ionmelt.tables.columns import FLAG, REAL, RUN, RUN_MODEL, TEXT, WHOLE, Schema

SURVIVAL: Schema = {
    **RUN, **RUN_MODEL, "planned_ps": REAL, "survived_ps": REAL, "end": TEXT, "detail": TEXT, "protons_away": WHOLE, "n_atoms": WHOLE,
    "atom_steps_per_s": REAL, "dtype": TEXT, "device": TEXT, "equilibrated": FLAG, "save_every_fs": REAL,
    "save_every_asked_fs": REAL, "start_volume": REAL, "hydrogen_mass_u": REAL,
}  # fmt: skip
