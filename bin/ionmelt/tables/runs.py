"""What was measured on each run, and how far it came."""

from ionmelt.tables.columns import CHECK, FLAG, NUMBER, REAL, RUN, RUN_MODEL, TEXT, WHOLE, Schema

SURVIVAL: Schema = {
    **RUN, **RUN_MODEL, "planned_ps": REAL, "survived_ps": REAL, "end": TEXT, "detail": TEXT, "n_atoms": WHOLE,
    "atom_steps_per_s": REAL, "dtype": TEXT, "device": TEXT, "equilibrated": FLAG, "save_every_fs": REAL,
    "save_every_asked_fs": REAL,
}  # fmt: skip
DENSITY: Schema = {
    **RUN, "density_kg_m3": REAL, "standard_error_kg_m3": REAL, "reference_kg_m3": REAL, "n_effective": REAL, **CHECK,
    "equilibrated_ps": REAL, "needed_ps": REAL, **RUN_MODEL, "reference_low_kg_m3": REAL, "reference_high_kg_m3": REAL,
    "reference_source": TEXT, "reference_interpolated": FLAG, "reference_second_hand": FLAG,
}  # fmt: skip
DIFFUSION: Schema = {
    **RUN, "species": TEXT, "diffusion_m2_s": REAL, "ci95_low_m2_s": REAL, "ci95_high_m2_s": REAL,
    "finite_size_correction_m2_s": REAL, "log_slope": REAL, "fit_start_ps": REAL, "fit_stop_ps": REAL, **CHECK,
    "needed_ps": REAL, "finite_size_viscosity_pa_s": REAL, "finite_size_viscosity_source": TEXT, **RUN_MODEL,
    "finite_size_reason": TEXT, "n_independent": REAL,
}  # fmt: skip
FIT: Schema = {"fit_start_ps": REAL, "fit_stop_ps": REAL, "log_slope": REAL, "n_independent": REAL}
CONDUCTIVITY: Schema = {
    **RUN, "conductivity_s_m": REAL, "standard_error_s_m": REAL, "ci95_low_s_m": REAL, "ci95_high_s_m": REAL, **CHECK,
    "needed_ps": REAL, "nernst_einstein_s_m": REAL, "nernst_einstein_ci95_low_s_m": REAL,
    "nernst_einstein_ci95_high_s_m": REAL, "nernst_einstein_converged": FLAG, "ionicity": REAL,
    "ionicity_ci95_low": REAL, "ionicity_ci95_high": REAL, **RUN_MODEL, **FIT,
}  # fmt: skip
ONSAGER: Schema = {
    **RUN, "pair": TEXT, "onsager_s_m": REAL, "standard_error_s_m": REAL, "ci95_low_s_m": REAL, "ci95_high_s_m": REAL,
    **CHECK, **RUN_MODEL,
}  # fmt: skip
VISCOSITY: Schema = {
    **RUN, "viscosity_pa_s": REAL, "standard_error_pa_s": REAL, "ci95_low_pa_s": REAL, "ci95_high_pa_s": REAL, **CHECK,
    "needed_ps": REAL, **RUN_MODEL, **FIT,
}  # fmt: skip
# Curves, over r_A, q_per_A, angle_deg or lag_ps, and numbers: which quantities there are, measure/structure.py says.
STRUCTURE: Schema = {
    **RUN, "quantity": TEXT, "pair": TEXT, "r_A": REAL, "q_per_A": REAL, "angle_deg": REAL, "lag_ps": REAL,
    "value": REAL, "standard_error": REAL, "unit": TEXT, "reason": TEXT, **RUN_MODEL,
}  # fmt: skip
COORDINATION: Schema = {
    **RUN, "quantity": TEXT, "pair": TEXT, "state": TEXT, "cut_A": REAL, **NUMBER, **RUN_MODEL,
}  # fmt: skip
CONFORMERS: Schema = {
    **RUN, "species": TEXT, "feature": TEXT, "quantity": TEXT, "state": TEXT, **NUMBER, **RUN_MODEL,
}  # fmt: skip
KINETICS: Schema = {
    **RUN, "quantity": TEXT, "pair": TEXT, "state_from": TEXT, "state_to": TEXT, "tolerance_ps": REAL, "events": WHOLE,
    **NUMBER, **RUN_MODEL,
}  # fmt: skip
DOMAIN: Schema = {
    **RUN, "quantity": TEXT, "frames": WHOLE, "share_outside": REAL, "seen_low": REAL, "seen_high": REAL,
    "limit_low": REAL, "limit_high": REAL, "unit": TEXT, "verdict": TEXT, "reason": TEXT, **RUN_MODEL,
}  # fmt: skip

MEASURED: dict[str, Schema] = {
    "survival": SURVIVAL,
    "density": DENSITY,
    "diffusion": DIFFUSION,
    "conductivity": CONDUCTIVITY,
    "onsager": ONSAGER,
    "viscosity": VISCOSITY,
    "structure": STRUCTURE,
    "coordination": COORDINATION,
    "conformers": CONFORMERS,
    "kinetics": KINETICS,
    "domain": DOMAIN,
}
