"""What the tables and their columns say; docs/tables.md is made of it.

A column means the same in every table, but for those of `EXCEPTIONS`. What the names of intervals, errors and verdicts
have in common is said once, in `PATTERNS`.
"""

import re

from ionmelt.measure.observables import MEASUREMENTS
from ionmelt.tables.labels import IMPORTED, LABELLED
from ionmelt.tables.published import TABLES

ROWS = {
    "equilibration": "a starting state: an equilibrated box of a liquid at a temperature",
    "labels": "a frame that was sampled or brought along, labelled or not",
    "dataset": "a labelled frame in a dataset",
    "errors": "an error of a model on a set of frames",
    "survival": "a run of a model, how far it came and how it ended",
    "scan": "a test frame with its ions moved apart or together as rigid bodies",
    "curves": "a point of the learning curve of a training",
    "trainings": "a term of the loss of a training",
    "sampling": "a recipe of frames of a liquid",
    "cost": "a task",
    "versions": "a library that a process ran with",
    "dimers": "a distance of two atoms alone",
    "committee": "a property of one model that was trained with several seeds",
    "exploration": "a configuration on a walk of active learning that the committee was asked about",
    "rounds": "a model in a state of the liquid after a round of active learning",
    "forgetting": "a tuned model, held against the one it started from on frames of other chemistry",
    "summary": "a property of a model: its runs, seeds and boxes as one number",
    "verdicts": "a comparison of two models, or of a model with the reference",
    "pareto": "a property of a model with its error and its cost",
    "learning": "an error of a model that was trained on so many frames",
    "worth": "an answer to what the data were worth",
    "uncertainty": "a quantity and a level: how far the spread of a committee tells its error",
    "references": "a measured value, at the temperature of a state of the study",
    "failures": "a model that could not be had, evaluated or run",
} | {measurement.name: measurement.row for measurement in MEASUREMENTS}

COLUMNS = {
    # what a row is about
    "key": "key of the state or walk",
    "run_id": "key of the run",
    "id": "key of the task",
    "process": "process of the pipeline",
    "liquid": "liquid of the study",
    "temperature_K": "temperature of the state",
    "replica": "which of the boxes of one liquid and temperature",
    "model": "model of the study",
    "model_key": "key of the model: its name, dataset and seed",
    "dataset": "dataset that the model was trained on; empty: it was not trained here",
    "mixture": "dataset of the study; `dataset` names the cut as well",
    "size": "number of frames that `sizes` cuts the dataset to",
    "seed": "seed of the training",
    "framework": "framework of the model",
    "species": "kind of ion",
    "pair": "the two kinds, of ions or of atoms",
    "property": "property that is compared",
    "quantity": "which quantity the row holds",
    "state": "which state of the quantity",
    "feature": "torsion, ring or shape that the row is about",
    "state_from": "state that is left",
    "state_to": "state that is entered",
    "unit": "unit of the numbers of the row",
    "kind": "`eq` or `neq`, or `active`",
    "recipe": "how the frame was made",
    "group": "trajectory that the frame is from; splits never cut one",
    "frame_id": "hash of elements, positions and cell",
    "n_atoms": "number of atoms",
    # numbers
    "value": "the number",
    "standard_error": "its standard error",
    "converged": "whether the number may be trusted",
    "reason": "why it may not, or what is to be known about it",
    "n_effective": "number of samples as good as independent",
    "needed_ps": "length of a run that is likely to be enough, where this one is not",
    "frames": "number of frames used",
    "interval_ps": "time between two of these frames",
    "verdict": "what follows from the comparison",
    "p_value": "chance of a difference as large or larger if there is none",
    "p_holm": "the same, corrected by Holm for all tests of the property",
    "difference": "the first less the second",
    # liquid
    "force_field": "force field of the equilibration",
    "engine": "program that computed it",
    "production_ps": "length of the production after equilibration",
    "samples": "number of samples of the density",
    "correlation_time_ps": "correlation time of the density",
    "density_kg_m3": "density",
    "drift_kg_m3": "change of the density along the production",
    "equilibrated": "whether the liquid that the frame or run is from was equilibrated",
    # labels
    "theory_id": "hash of all settings that change the energy",
    "energy_ev": "energy",
    "max_force_ev_a": "largest force on an atom",
    "net_force_ev_a": "length of the sum of all forces",
    "has_stress": "whether there is a stress",
    "pressure_bar": "pressure, from the stress",
    "scf_steps": "steps to self-consistency",
    "wall_s": "wall time",
    "engine_version": "version of that program",
    "guess": "what the first density was taken from",
    "cold_energy_difference_ev": "energy less that of a calculation from scratch, where one was made to check",
    "cold_max_force_difference_ev_a": "largest difference of a force component from that calculation",
    "from_store": "whether the label was taken from a store of labels",
    "source": "file that the frame was read from",
    "detail": "more about it",
    # datasets, errors
    "split": "`train`, `valid` or `test`",
    "scope": "what the error is taken over: all, one element, one recipe ...",
    "name": "which of these",
    "n": "number of numbers behind the error",
    "rmse": "root of the mean squared error",
    "mae": "mean absolute error",
    "frames_missing": "frames that the model gave no answer for",
    "energy_offset_removed": "whether a constant for each element was taken off the energies",
    "scale": "factor of all distances between ions",
    "energy_ref_ev_per_atom": "energy of the label, from that of scale 1",
    "energy_model_ev_per_atom": "energy of the model, from that of scale 1",
    "pressure_ref_bar": "pressure of the label",
    "pressure_model_bar": "pressure of the model",
    "distance_A": "distance of the two atoms",
    # trainings
    "step": "step of the training: an epoch of MACE, a batch of DeePMD",
    "set": "`train` or `valid`",
    "term": "energy, forces or stress",
    "weight_start": "weight of the term in the loss at the start",
    "weight_end": "weight of the term in the loss at the end",
    "gradient_share_start": "share of the term in the gradient at the start",
    "gradient_share_end": "share of the term in the gradient at the end",
    "steps": "number of steps",
    "valid_first": "first error on validation frames",
    "valid_best": "best error on validation frames",
    "best_step": "step of the best error",
    "valid_end": "last error on validation frames",
    "train_end": "last error on training frames",
    "grew_again": "whether the error grew again after its best",
    "still_falling": "whether the error still fell at the end",
    "hardly_learnt": "whether the error hardly fell at all",
    # sampling, active learning
    "requested": "number of frames that the study asks for",
    "kept": "number of frames that were kept",
    "offered": "number of frames to choose from",
    "spacing_frames": "spacing of the frames in their trajectory",
    "inefficiency_frames": "statistical inefficiency of that trajectory's energy",
    "refused_duplicate": "frames refused as one that was kept already",
    "refused_contact": "frames refused for atoms too close",
    "refused_bond": "frames refused for a broken bond",
    "round": "round of active learning",
    "members": "number of models of the committee",
    "walk": "`npt`, `ramp` or `swing`",
    "time_ps": "time on the walk",
    "bath_K": "temperature of the bath at that time",
    "disagreement_ev_a": "largest disagreement about a force among the members",
    "worth_above_ev_a": "disagreement from which on a frame is worth a label",
    "stop_above_ev_a": "disagreement at which a walk ends",
    "train_frames": "frames of the training set",
    "active_frames": "those of them that active learning added",
    "survived_share": "mean share of the planned time that the runs survived",
    "density_converged": "whether that density may be trusted",
    "scan_energy_rmse_ev_per_atom": "error of the volume scan",
    "force_rmse_ev_a": "error of the forces",
    "median_disagreement_ev_a": "median disagreement on the walks",
    "offered_share": "share of the configurations that were offered for a label",
    "walked_share": "share of the planned walks that was walked",
    "density_change_kg_m3": "density less that of the round before",
    # runs
    "planned_ps": "planned length of NPT and NVT together",
    "survived_ps": "length that was reached",
    "end": "`completed`, or what ended it: `bond_broken`, `temperature`, `volume`, `nan`, `missing` ...",
    "atom_steps_per_s": "speed: atoms times steps in a second",
    "dtype": "precision of the numbers",
    "device": "processor or accelerator",
    "save_every_fs": "time between saved frames",
    "save_every_asked_fs": "the same, as the study asks for",
    "equilibrated_ps": "time from which on the run is used",
    # observables
    "log_slope": "slope of the logarithm of the mean squared displacement against that of time: 1 in diffusion",
    "fit_start_ps": "first lag of the fit",
    "fit_stop_ps": "last lag of the fit",
    "n_independent": "displacements of the first lag that do not overlap",
    "diffusion_m2_s": "self-diffusion coefficient of the box, without correction for its size",
    "finite_size_correction_m2_s": "to be added for an infinite box (Yeh and Hummer)",
    "finite_size_reason": "why there is none",
    "finite_size_viscosity_pa_s": "viscosity that it is made with",
    "finite_size_viscosity_source": "where that viscosity is from",
    "conductivity_s_m": "conductivity from the collective displacement of charge",
    "nernst_einstein_s_m": "conductivity of as many independent ions",
    "nernst_einstein_converged": "whether that may be trusted",
    "ionicity": "conductivity over that of independent ions",
    "onsager_s_m": "share of the pair in the conductivity: one of the two orders of a pair of two kinds",
    "viscosity_pa_s": "shear viscosity",
    "r_A": "distance",
    "q_per_A": "length of the scattering vector",
    "angle_deg": "angle",
    "lag_ps": "time since the contact was there",
    "cut_A": "distance within which neighbours count",
    "tolerance_ps": "contacts and breaks shorter than this do not count",
    "events": "number of events seen",
    "share_outside": "share of the run outside of the limits",
    "seen_low": "least value in the run",
    "seen_high": "largest value in the run",
    "limit_low": "least value that the training frames span",
    "limit_high": "largest value that the training frames span",
    # comparison
    "runs": "runs, or trained models, with a value",
    "planned_runs": "those that were planned",
    "reference": "measured value",
    "finite_size_correction": "mean correction for the size of the box, not in `value`",
    "points": "test frames, or places of the volume scan, that every seed answered",
    "points_missing": "those that one did not",
    "pairs": "number of boxes over which the two are paired; empty: taken as independent",
    "seeds": "number of training seeds",
    "mean": "mean over the seeds",
    "between_seeds": "standard deviation between seeds, beyond the error of the runs",
    "within_seed": "error of one seed's mean, from its runs",
    "start": "model that the tuning started from",
    "groups": "number of trajectories, or of other groups that stay together",
    "force_rmse_before": "error of the forces before the tuning",
    "force_rmse_after": "error of the forces after the tuning",
    "error": "error of the model in this property",
    "labels_core_h": "core-hours of the labels",
    "training_core_h": "core-hours of the training",
    "training_gpu_h": "GPU-hours of the training",
    "md_core_h_per_ns": "core-hours of a nanosecond of dynamics",
    "md_gpu_h_per_ns": "GPU-hours of a nanosecond of dynamics",
    "total_core_h": "core-hours of labels, training and a nanosecond",
    "total_gpu_h": "GPU-hours of training and a nanosecond",
    "front": "whether no cheaper model is better: `yes`, `no`, `undecided`, `not converged`, `cost unknown`",
    "against": "what the error is taken from: the truth of the study, or experiment",
    "question": "`kinds`, `frames` or `framework`",
    "frames_ratio": "how many times the frames of model_b model_a needs for the same error",
    "first_reason": "the first of the reasons in `reason`",
    "reasons": "how many reasons there are",
    "spread": "root of the mean squared spread of the committee",
    "level": "level of the interval",
    "raw_coverage": "share of the errors within the interval of the bare spread",
    "coverage": "share of the errors within the interval after stretching, on trajectories the stretch never saw",
    "standard_uncertainty": "standard uncertainty of the value",
    "low": "lower end that the source gives",
    "high": "upper end that the source gives",
    "range": "what `low` and `high` are",
    "interpolated": "whether the value lies between two measured temperatures",
    "second_hand": "whether the value is from a text about the source",
    # costs
    "cpu_s": "processor time",
    "max_rss_mb": "largest memory",
    "library": "library",
    "version": "its version",
    "tasks": "number of tasks that ran with it",
    "stage": "`import`, `training`, `evaluation` or `dynamics`",
}

EXCEPTIONS = {
    ("dataset", "dataset"): "dataset that the frame is in",
    ("exploration", "offered"): "whether the configuration was offered for a label",
    ("labels", "converged"): "whether the label is good",
    ("errors", "frames"): "frames of the set",
    ("equilibration", "engine"): "program that ran it",
    ("learning", "frames"): "frames that the model was trained on",
    ("references", "value"): "measured value",
    ("references", "n"): "number of measurements behind it",
    ("references", "source"): "where it is published",
    ("uncertainty", "scale"): "factor that the spread is stretched by",
    ("uncertainty", "points"): "numbers compared",
    ("uncertainty", "rmse"): "error of the committee's mean",
    ("verdicts", "points"): "points that both models answered",
    ("worth", "reason"): "all reasons",
}

# The beginnings and ends of names: what is said of the rest of the name.
PATTERNS = (
    (r"(?:.*_)?ci95_low(?:_.*)?", "lower end of the 95 % interval"),
    (r"(?:.*_)?ci95_high(?:_.*)?", "upper end of the 95 % interval"),
    (r"standard_error_.*", "standard error"),
    (r"(?:.*_)?holm_low", "lower end of the interval at the level of Holm's test"),
    (r"(?:.*_)?holm_high", "upper end of the interval at the level of Holm's test"),
    (r"reference_low.*", "lower end of the reference's 95 % interval, from its standard uncertainty"),
    (r"reference_high.*", "upper end of the reference's 95 % interval, from its standard uncertainty"),
    (r"reference_source", "where the reference is from"),
    (r"reference_interpolated", "whether the reference lies between two measured temperatures"),
    (r"reference_second_hand", "whether the reference is from a text about the source"),
    (r"reference_kg_m3", "measured density"),
    (r"model_a", "the first model, as the report writes it"),
    (r"model_b", "the second model, or `reference`"),
    (r"(.*)_a", "the first model's `{}`"),
    (r"(.*)_b", "the second model's `{}`"),
)
ALIASES = {"model_id": "model"}


MEANINGS = {column: text for measurement in MEASUREMENTS for column, text in measurement.meanings.items()}


def words(table: str, column: str) -> str:
    """Return what a column of a table says; raises `KeyError` for one that nothing is said of."""
    if (table, column) in EXCEPTIONS:
        return EXCEPTIONS[table, column]
    if text := COLUMNS.get(column) or MEANINGS.get(column):
        return text
    for pattern, text in PATTERNS:
        if match := re.fullmatch(pattern, column):
            rest = match.groups()[0] if match.groups() else ""
            return text.format(ALIASES.get(rest, rest))
    raise KeyError(f"{table}.{column}")


def page() -> str:
    """Return docs/tables.md: every table, what a row of it is, and what its columns say."""
    columns = TABLES | {"labels": LABELLED | IMPORTED}
    lines = [
        "# The tables of the results",
        "",
        "Each is `tables/NAME.parquet` and `tables/NAME.csv`. A name carries its unit; empty means not known, and `reason` says why.",
        "This page is made by `ionmelt.tables.words.page`.",
    ]
    for table in sorted(TABLES):
        lines += ["", f"## {table}", "", f"A row is {ROWS[table]}.", "", "| column | type | meaning |", "|---|---|---|"]
        for column, kind in columns[table].items():
            name = {"String": "text", "Float64": "number", "Int64": "whole number", "Boolean": "true, false"}[str(kind)]
            lines.append(f"| `{column}` | {name} | {words(table, column)} |")
    return "\n".join(lines) + "\n"
