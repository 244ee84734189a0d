"""What COMPARE_MODELS makes of all results: one number for each model, verdicts, costs, what the data were worth."""

from ionmelt.tables.columns import CHECK, FLAG, MODEL, REAL, TEXT, WHOLE, Schema

STATE: Schema = {"liquid": TEXT, "temperature_K": REAL, "property": TEXT, "species": TEXT}
SUMMARY: Schema = {
    **STATE, "model": TEXT, "dataset": TEXT, "framework": TEXT, "value": REAL, "standard_error": REAL,
    "ci95_low": REAL, "ci95_high": REAL, "unit": TEXT, "runs": WHOLE, "planned_runs": WHOLE, **CHECK,
    "reference": REAL, "reference_low": REAL, "reference_high": REAL, "reference_source": TEXT,
    "reference_second_hand": FLAG, "reference_interpolated": FLAG, "reference_is_truth": FLAG, "finite_size_correction": REAL, "needed_ps": REAL,
    "points": WHOLE, "points_missing": WHOLE, "mixture": TEXT, "size": WHOLE, "hydrogen_mass_u": REAL,
    "finite_size_standard_error": REAL,
}  # fmt: skip
VERDICTS: Schema = {
    **STATE, "model_a": TEXT, "model_b": TEXT, "difference": REAL, "ci95_low": REAL, "ci95_high": REAL, "unit": TEXT,
    "verdict": TEXT, "reason": TEXT, "p_value": REAL, "p_holm": REAL, "holm_low": REAL, "holm_high": REAL,
    "ci90_low": REAL, "ci90_high": REAL, "pairs": WHOLE, "points": WHOLE, "points_missing_a": WHOLE, "points_missing_b": WHOLE, "model_id_a": TEXT,
    "dataset_a": TEXT, "model_id_b": TEXT, "dataset_b": TEXT, "about": TEXT,
    "margin": REAL, "more_runs": REAL,
}  # fmt: skip
POWER: Schema = {
    **STATE, "about": TEXT, "runs_a": WHOLE, "runs_b": WHOLE, "tests": WHOLE, "value": REAL, "run_error": REAL, "unit": TEXT,
    "detectable": REAL, "detectable_percent": REAL, "equivalent_percent": REAL, "margin_percent": REAL, "length_times": REAL,
    "reason": TEXT,
}  # fmt: skip
LEARNING: Schema = {
    **STATE, "model": TEXT, "framework": TEXT, "dataset": TEXT, "mixture": TEXT, "frames": WHOLE, "labels_core_h": REAL,
    "seeds": WHOLE, "error": REAL, "ci95_low": REAL, "ci95_high": REAL, "unit": TEXT, "against": TEXT, **CHECK,
}  # fmt: skip
WORTH: Schema = {
    "question": TEXT, **STATE, "model_a": TEXT, "model_b": TEXT, "frames_a": WHOLE, "frames_b": WHOLE,
    "labels_core_h_a": REAL, "labels_core_h_b": REAL, "error_a": REAL, "error_b": REAL, "difference": REAL,
    "ci95_low": REAL, "ci95_high": REAL, "unit": TEXT, "frames_ratio": REAL, "frames_ratio_ci95_low": REAL,
    "frames_ratio_ci95_high": REAL, "seeds": WHOLE, "p_value": REAL, "p_holm": REAL, "holm_low": REAL,
    "holm_high": REAL, "frames_ratio_holm_low": REAL, "frames_ratio_holm_high": REAL, "verdict": TEXT, "reason": TEXT,
    "model_id_a": TEXT, "mixture_a": TEXT, "model_id_b": TEXT, "mixture_b": TEXT, "first_reason": TEXT,
    "reasons": WHOLE,
}  # fmt: skip
PARETO: Schema = {
    **STATE, "model": TEXT, "dataset": TEXT, "error": REAL, "ci95_low": REAL, "ci95_high": REAL, "unit": TEXT,
    "labels_core_h": REAL, "training_core_h": REAL, "training_gpu_h": REAL, "md_core_h_per_ns": REAL,
    "md_gpu_h_per_ns": REAL, "total_core_h": REAL, "total_gpu_h": REAL, "front": TEXT, "reason": TEXT,
}  # fmt: skip
TRAININGS: Schema = {
    "model_key": TEXT, **MODEL, "framework": TEXT, "term": TEXT, "quantity": TEXT, "unit": TEXT, "weight_start": REAL,
    "weight_end": REAL, "gradient_share_start": REAL, "gradient_share_end": REAL, "steps": WHOLE, "valid_first": REAL,
    "valid_best": REAL, "best_step": WHOLE, "valid_end": REAL, "train_end": REAL, "grew_again": FLAG,
    "still_falling": FLAG, "hardly_learnt": FLAG, "far_from_best": FLAG, "undertrained": FLAG,
}  # fmt: skip
COMMITTEE: Schema = {
    **STATE, "model": TEXT, "dataset": TEXT, "seeds": WHOLE, "mean": REAL, "unit": TEXT, "between_seeds": REAL,
    "between_seeds_ci95_low": REAL, "between_seeds_ci95_high": REAL, "within_seed": REAL, "p_value": REAL,
    "verdict": TEXT, "reason": TEXT,
}  # fmt: skip
FORGETTING: Schema = {
    "model_key": TEXT, **MODEL, "start": TEXT, "frames": WHOLE, "groups": WHOLE, "force_rmse_before": REAL,
    "force_rmse_after": REAL, "difference": REAL, "ci95_low": REAL, "ci95_high": REAL, "unit": TEXT, "verdict": TEXT,
    "reason": TEXT,
}  # fmt: skip
DISTILLATION: Schema = {
    **STATE, "model": TEXT, "dataset": TEXT, "teacher": TEXT, "difference": REAL, "ci95_low": REAL, "ci95_high": REAL,
    "unit": TEXT, "speed_up": REAL, "speed_up_ci95_low": REAL, "speed_up_ci95_high": REAL, "md_core_h_per_ns": REAL,
    "teacher_md_core_h_per_ns": REAL, **CHECK,
}  # fmt: skip
ROUNDS: Schema = {
    "round": WHOLE, "liquid": TEXT, "temperature_K": REAL, "model": TEXT, "dataset": TEXT, "train_frames": WHOLE,
    "active_frames": WHOLE, "runs": WHOLE, "survived_share": REAL, "density_kg_m3": REAL,
    "density_ci95_low_kg_m3": REAL, "density_ci95_high_kg_m3": REAL, "density_converged": FLAG,
    "scan_energy_rmse_ev_per_atom": REAL, "force_rmse_ev_a": REAL, "worth_above_ev_a": REAL,
    "median_disagreement_ev_a": REAL, "offered_share": REAL, "walked_share": REAL, "density_change_kg_m3": REAL,
    "density_change_ci95_low_kg_m3": REAL, "density_change_ci95_high_kg_m3": REAL, "verdict": TEXT, "reason": TEXT,
}  # fmt: skip
UNCERTAINTY: Schema = {
    "model": TEXT, "dataset": TEXT, "quantity": TEXT, "members": WHOLE, "groups": WHOLE, "points": WHOLE, "rmse": REAL,
    "spread": REAL, "unit": TEXT, "level": REAL, "scale": REAL, "raw_coverage": REAL, "coverage": REAL,
    "coverage_ci95_low": REAL, "coverage_ci95_high": REAL, "reason": TEXT,
}  # fmt: skip
# Which split each labelled frame of a dataset is in
DATASET: Schema = {
    "frame_id": TEXT, "liquid": TEXT, "kind": TEXT, "recipe": TEXT, "equilibrated": FLAG, "group": TEXT,
    "dataset": TEXT, "split": TEXT, "n_atoms": WHOLE, "temperature_K": REAL, "equilibrium_pressure_bar": REAL,
}  # fmt: skip
COST: Schema = {"process": TEXT, "id": TEXT, "wall_s": REAL, "cpu_s": REAL, "max_rss_mb": REAL}
VERSIONS: Schema = {"process": TEXT, "library": TEXT, "version": TEXT, "tasks": WHOLE}
# Models that could not be had, evaluated or run: stage is import, training, evaluation or dynamics
FAILURES: Schema = {"stage": TEXT, "model_key": TEXT, **MODEL, "run_id": TEXT, "reason": TEXT}
# The models that there should be, from the plan; no table of its own
MODELS: Schema = {
    "key": TEXT, "model": TEXT, "framework": TEXT, "dataset": TEXT, "mixture": TEXT, "size": WHOLE, "seed": WHOLE,
    "trained": TEXT, "role": TEXT, "start": TEXT, "theory": TEXT, "labels_theory": TEXT, "same_theory": FLAG,
}  # fmt: skip
