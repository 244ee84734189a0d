"""What is wrong with a model, line by line."""

import re
from pathlib import Path

from planned_studies import ZERO, Refusal, Refused, Spoil, class_model, each_of, liquid, model, study, without

from ionmelt.models.frameworks import FRAMEWORKS

SCRIPT = Path(__file__).resolve().parents[3] / "containers" / "environment"
NAMES = re.search(r"^NAMES = \((.*)\)$", SCRIPT.read_text(), re.M)
assert NAMES
ENVIRONMENTS = NAMES[1].replace('"', "")

REFUSALS: list[Refusal] = [
    ("box_below_a_models_cutoff", model(0, r_max_A=12), [
        "models[0].r_max_A: 12 A is more than the box of pyr14bf4, about 11.5 A: give a smaller cut-off or a larger box"]),
    ("liquid_twice", lambda s: s["liquids"].append(s["liquids"][0]), ["liquids[1].id: 'pyr14bf4' is already the id of liquids[0]"]),
    ("model_twice", model(1, id="mace"), ["models[1].id: 'mace' is already the id of models[0]"]),
    ("all_liquids", liquid(id="all"), ["liquids[0].id: 'all' is the name of all liquids together: give another"]),
    ("reserved_id", model(2, id="reference"), ["models[2].id: 'reference' is the name of measured values: give another"]),
    ("hyphen_in_an_id", model(2, id="clp-1"), [
        "models[2].id: 'clp-1': give small letters, digits, _ and ., beginning with a letter or digit"]),
    ("seed_twice", study(seeds=[1, 1]), ["seeds: 1 is given twice"]),
    ("unknown_dataset", model(0, datasets=["boht"]), ["models[0].datasets[0]: unknown dataset 'boht'; did you mean both? known: both, eq"]),
    ("dataset_twice", model(0, datasets=["eq", "eq"]), ["models[0].datasets: 'eq' is given twice"]),
    ("no_datasets", without("datasets"), [
        "models[0].datasets: no dataset to train on: give datasets, such as {both: [eq, neq]}",
        "models[1].datasets: no dataset to train on: give datasets, such as {both: [eq, neq]}"]),
    ("words_about_no_weights", model(0, theory="PBE", theory_change=True), [
        "models[0].theory: 'PBE': weights are missing: give their path, or leave this out",
        "models[0].theory_change: true: weights are missing: give their path, or leave this out"]),
    ("words_about_no_weights_alone", model(0, theory="PBE"), [
        "models[0].theory: 'PBE': weights are missing: give their path, or leave this out"]),
    ("settings_of_what_is_not_done", model(0, lora_rank=16, replay_per_frame=2, huber_delta=0.1, stage_two_energy=5), [
        "models[0].lora_rank: 16: is used by mode lora only", "models[0].replay_per_frame: 2: is used by mode replay only",
        "models[0].huber_delta: 0.1: is used by loss huber only", "models[0].stage_two_energy: 5: is used by stage_two only"]),
    ("smoothing_beyond_the_cutoff", model(1, rcut_smth_A=7), ["models[1].rcut_smth_A: 7 is not below rcut_A 6"]),
    ("settings_of_another_descriptor", model(1, layers=3, attention_layers=1), [
        "models[1].attention_layers: 1: is used by se_atten only", "models[1].layers: 3: is used by dpa3 only"]),
    ("widths_of_messages", model(1, descriptor="dpa3", rcut_A=5, angle_rcut_A=5.5, angle_width=65, node_width=64, neurons=[8]), [
        "models[1].neurons: [8]: is used by se_e2_a and se_atten only",
        "models[1].angle_rcut_A: 5.5 is above rcut_A 5", "models[1].angle_width: 65 is odd: half of it is for each arm",
        "models[1].node_width: 64 is below angle_width 65", "models[1].edge_width: 64 is below angle_width 65"]),
    ("a_descriptor_that_is_not_there", model(1, descriptor="dpa4"), [
        "models[1].descriptor: 'dpa4': did you mean dpa3? give one of 'se_e2_a', 'se_atten' or 'dpa3'"]),
    ("rate_that_would_rise", model(1, final_learning_rate=0.01),
     ["models[1].final_learning_rate: 0.01 is above the first learning rate, 0.001"]),
    ("patience_of_a_rate_that_falls_exponentially", model(0, plateau_patience=10, plateau_factor=0.5), [
        "models[0].plateau_factor: 0.5: is used by schedule plateau only", "models[0].plateau_patience: 10: is used by schedule plateau only"]),
    ("last_rate_of_one_that_waits", model(0, schedule="plateau", final_learning_rate=0.001),
     ["models[0].final_learning_rate: 0.001: is used by schedule exponential and by stage_two only"]),
    ("places_of_messages", model(1, descriptor="dpa3", neighbour_margin=2), [
        "models[1].neighbour_margin: 2: is used by se_e2_a and se_atten only"]),
    ("term_left_out_at_one_end", model(1, start_pref_e=0, limit_pref_e=1),
     ["models[1].start_pref_e: 0 leaves the term out for the whole training, the other end too: give both 0, or a small number"]),
    ("nothing_weighed", model(0, energy_weight=0, forces_weight=0, stress_weight=0),
     ["models[0].energy_weight: 0, and so are the weights of the other terms: nothing would be trained"]),
    ("length_beside_core_minutes", study(training={"core_minutes": 5}), [
        "models[0].epochs: training.core_minutes says how long every training is: leave one of the two out",
        "models[1].steps: training.core_minutes says how long every training is: leave one of the two out"]),
    ("no_core_minutes", study(training={"core_minutes": 0}), ["training.core_minutes: 0 is below 0.1"]),
    ("too_many_trials", study(training={"trials": 9}), ["training.trials: 9 is above 8"]),
    ("no_trials", study(training={"trials": 0}), ["training.trials: 0 is below 1"]),
    ("axis_too_wide", model(1, axis_neurons=200), ["models[1].axis_neurons: 200 is above 100, the last of neurons"]),
    ("frozen_parts_of_nothing", model(0, freeze="products"), [
        "models[0].freeze: 'products': is used by modes finetune and replay only"]),
    ("options_of_weights", model(0, weights="no.model", sha256=ZERO, licence="MIT", theory="GFN1-xTB", mode="finetune", zbl=True,
                                 distance_transform="agnesi"), [
        "models[0].weights: 'no.model': no such file: {here}/no.model; a path is relative to the study file",
        "models[0].zbl: true: the weights bring their own: leave this out",
        "models[0].distance_transform: 'agnesi': the weights bring their own: leave this out"]),
    ("long_range", model(0, long_range="les"), [
        "models[0].long_range: 'les': mace-torch 0.3.16 needs the library les for it, which no package registry has: it cannot be pinned "
        "here; leave this out"]),
    ("levels_that_differ", model(0, weights="no.model", sha256=ZERO, licence="MIT", theory="PBE", mode="finetune"), [
        "models[0].weights: 'no.model': no such file: {here}/no.model; a path is relative to the study file",
        "models[0].theory: 'PBE' is not that of the labels, 'GFN1-xTB': label at the weights' level, use mode replay, which "
        "gives each level a head of its own, or say theory_change: true"]),
    ("dispersion_of_a_trained_model", model(0, dispersion={"functional": "PBE"}), [
        "models[0].dispersion: is added to a zero-shot model only: what a model is trained on holds its dispersion; leave "
        "this out"]),
    ("dispersion_twice", class_model(theory="PBE-D3(BJ)", dispersion={"functional": "PBE"}), [
        "models[0].dispersion: 'PBE-D3(BJ)' has a dispersion correction already: it would count twice; leave this out"]),
    ("dispersion_of_another", class_model(theory="r2SCAN", dispersion={"functional": "PBE"}), [
        "models[0].dispersion: the model imitates 'r2SCAN', these are the parameters of PBE: give functional: r2SCAN"]),
    ("class_without_theory", class_model(theory=None), [
        "models[0].theory: missing: the level of theory that the model imitates, such as PBE"]),
    ("class_with_code", class_model(calculator="os.system('ls')"), [
        "models[0].calculator: \"os.system('ls')\": give a dotted name, such as tblite.ase.TBLite, or a file of yours and a function in it, such as "
        "my_calculator.py:make"]),
    ("image_with_code", class_model(image="a$(ls)"), [
        "models[0].image: 'a$(ls)': give the name of an image, such as ghcr.io/someone/model:1"]),
    ("environment_with_code", class_model(environment="a'; ls"), [
        "models[0].environment: \"a'; ls\": give a folder without spaces or other signs than . _ / + -"]),
    ("environment_that_is_not_there", class_model(environment="/no/such/folder"), [
        "models[0].environment: '/no/such/folder' has no bin/python3: give the folder of a Python environment"]),
    ("environment_that_is_relative", class_model(environment="envs/mine"), [
        "models[0].environment: 'envs/mine': a task runs in a folder of its own: give the absolute path"]),
    ("environment_of_no_name", class_model(environment="analyses"), [
        f"models[0].environment: 'analyses' is none of ours: did you mean analysis? give one of {ENVIRONMENTS}, "
        "aimnet, fairchem, grace, mattersim, nequix, orb, upet, or a folder"]),
    ("classical_without_a_force_field", liquid(force_field="xtb"), [
        "models[2].framework: classical: the force field of pyr14bf4 is xtb, which is not a classical one: give the "
        "liquid a force field, or leave this model out"]),
    ("unknown_framework", model(2, framework="allegro"), [
        f"models[2].framework: 'allegro': give one of {', '.join(FRAMEWORKS)}"]),
    ("arguments_that_are_no_numbers", class_model(arguments={"a": float("nan"), "b": [1, {"c": float("-inf")}], "d": 2.0}), [
        "models[0].arguments.a: nan is not a number", "models[0].arguments.b: -inf is not a number"]),
]  # fmt: skip


@each_of(REFUSALS)
def test_refusal(refused: Refused, spoil: Spoil, lines: list[str]) -> None:
    refused(spoil, lines)
