"""The files of a plan: a small file of settings for each task, and tables of keys."""

from typing import Any

from ionmelt.dataset.settings import DatasetSettings
from ionmelt.dynamics.settings import RunSettings
from ionmelt.frame import ENERGY_KEY, FORCES_KEY, STRESS_KEY, theory_id, theory_settings
from ionmelt.frames.settings import SampleSettings
from ionmelt.labels.engines.settings import LabelledBy
from ionmelt.labels.settings import ImportSettings, LabelSettings, NoLabels, OwnLabels
from ionmelt.liquid.cutoff import chosen_cutoff_A
from ionmelt.liquid.settings import BoxSettings, Liquid, StateSettings
from ionmelt.models.frameworks.ase import AseModel
from ionmelt.models.frameworks.mace import MaceModel
from ionmelt.models.settings import LearnedModel
from ionmelt.settings import TaskSettings
from ionmelt.study.boxes import Box, equilibration_step_fs
from ionmelt.study.files import Plan
from ionmelt.study.force_fields import label_force_fields
from ionmelt.study.interpolation import references_of
from ionmelt.study.keys import by_force_field, model_rows, seed_of, training_sets
from ionmelt.study.places import Places
from ionmelt.study.references import COLUMNS as REFERENCE_COLUMNS
from ionmelt.study.references import Reference
from ionmelt.study.rounds import Before, plan_rounds, retrained
from ionmelt.study.rows import BoxRow, FileRow, LabelEngineRow, ModelRow, RunRow, SampleRow, StateRow
from ionmelt.study.schema import Study
from ionmelt.study.trainings import plan_models
from ionmelt.study.workload import chunk_size

Settings = dict[str, Any]


def box_settings(study: Study, liquid: Liquid, box: Box, row: BoxRow) -> Settings:
    """Return the settings of BUILD_LIQUID for one box of a liquid."""
    assert box.edge_A is not None
    settings = BoxSettings(
        id=row.key,
        liquid=row.liquid,
        replica=row.replica,
        seed=seed_of(row.key),
        ions=box.ions,
        density_guess_kg_m3=liquid.density_guess_kg_m3,
        force_field=liquid.force_field,
        cutoff_A=chosen_cutoff_A(study.equilibration.cutoff_A, box.edge_A),
    )
    return settings.model_dump(mode="json")


def state_settings(study: Study, liquid: Liquid, row: StateRow) -> Settings:
    """Return the settings of EQUILIBRATE for one box at one temperature."""
    settings = StateSettings(
        **study.equilibration.model_dump(exclude={"timestep_fs"}),
        timestep_fs=equilibration_step_fs(study.equilibration.timestep_fs, liquid.force_field),
        pressure_bar=liquid.pressure_bar,
        force_field=liquid.force_field,
        liquid=row.liquid,
        replica=row.replica,
        temperature_K=row.temperature_K,
        seed=seed_of(row.key),
        id=row.key,
    )
    return settings.model_dump(mode="json")


def run_settings(study: Study, liquid: Liquid, state: StateRow, model: ModelRow, key: str) -> Settings:
    """Return the settings of RUN_MD for one model in one state."""
    settings = RunSettings(
        **study.md.model_dump(exclude={"replicas"}),
        liquid=state.liquid,
        replica=state.replica,
        temperature_K=state.temperature_K,
        seed=seed_of(state.key),
        id=key,
        pressure_bar=liquid.pressure_bar,
        model=model.model,
        model_key=model.key,
        dataset=model.dataset,
        model_seed=model.seed,
        framework=model.framework,
    )
    return settings.model_dump(mode="json")


def sample_settings(study: Study, boxes: dict[int, Box], index: int) -> Settings:
    """Return the settings of SAMPLE_FRAMES for one liquid of a study that samples."""
    assert study.sampling is not None
    liquid = study.liquids[index]
    settings = SampleSettings(
        id=liquid.id,
        liquid=liquid.id,
        seed=study.sampling.seed,
        temperatures_K=liquid.temperatures_K,
        sampling=study.sampling,
        chunk=chunk_size(study, boxes, index),
    )
    return settings.model_dump(mode="json", exclude={"sampling": {"seed"}})


def label_settings(
    study: Study, boxes: dict[int, Box], theory: str | None, force_fields: dict[str, LabelledBy]
) -> Settings:
    """Return the settings of LABEL_FRAMES, or of IMPORT_LABELS where the study brings labels."""
    settings: TaskSettings
    if study.labels is None:
        settings = NoLabels(id="labels", theory_id=None)
    elif isinstance(study.labels, OwnLabels):
        settings = import_settings(study.labels, "labels", theory, study, boxes)
    else:
        assert theory is not None
        settings = LabelSettings.of(study.labels, theory, force_fields)
    return settings.model_dump(mode="json")


def import_settings(
    labels: OwnLabels, key: str, theory: str | None, study: Study, boxes: dict[int, Box]
) -> ImportSettings:
    """Return the settings of IMPORT_LABELS, with the ions of the liquids of some boxes, which frames are looked through for."""
    liquids = [{"id": study.liquids[index].id, "ions": box.ions} for index, box in sorted(boxes.items())]
    told = labels.model_dump(mode="json") | {"frames": labels.paths(), "liquids": liquids, "theory_id": theory}
    return ImportSettings.model_validate(told | {"id": key})


def plan_label_engine(plan: Plan, study: Study) -> None:
    """Add the row that says what LABEL_FRAMES and ESTIMATE_LABELS run in, and whether a GPU is of use."""
    engine = study.label_engine
    row = LabelEngineRow(engine.name, engine.environment, engine.gpu) if engine else LabelEngineRow()
    plan.csv("label_engine.csv", LabelEngineRow, [row])


def heldout_settings(study: Study) -> Settings:
    """Return the settings of IMPORT_LABELS for frames of other chemistry."""
    assert study.heldout_frames is not None
    keys = {"energy_key": ENERGY_KEY, "forces_key": FORCES_KEY, "stress_key": STRESS_KEY}
    held = OwnLabels.model_validate({"frames": study.heldout_frames, "theory": "held out", **keys})
    return import_settings(held, "heldout", theory_id({"theory": held.theory}), study, {}).model_dump(mode="json")


def dataset_settings(study: Study) -> Settings:
    """Return the settings of SPLIT_DATASET; where the study names no datasets every frame is there to test."""
    mixed = training_sets(study)
    settings = DatasetSettings(
        id="dataset",
        datasets={chosen.name: tuple(sorted(study.datasets[chosen.mixture])) for chosen in mixed},
        sizes={chosen.name: chosen.size for chosen in mixed if chosen.size},
        split=study.split,
        max_failed_fraction=study.labels.max_failed_fraction if study.labels else 0.05,
    )
    return settings.model_dump(mode="json")


def theory_of(study: Study, force_fields: dict[str, LabelledBy]) -> str | None:
    """Return the id of the labels' level of theory, to which the force fields that label belong; None without labels."""
    if study.labels is None:
        return None
    labels = study.labels.model_dump(mode="json")
    if "frames" in labels:
        return theory_id({"theory": labels["theory"]})
    named = {liquid: force_field.theory() for liquid, force_field in force_fields.items()}
    return theory_id(theory_settings(labels) | ({"force_fields": named} if named else {}))


def plan_boxes(plan: Plan, study: Study, boxes: dict[int, Box]) -> list[StateRow]:
    """Add the boxes of every liquid and their states; return the rows of the states."""
    box_rows, state_rows = [], []
    for index, liquid in enumerate(study.liquids):
        for replica in range(1, study.md.replicas + 1):
            box = BoxRow(f"{liquid.id}-r{replica}", liquid.id, replica, by_force_field(study) and replica == 1)
            box_rows.append(box)
            plan.json(f"boxes/{box.key}.json", box_settings(study, liquid, boxes[index], box))
            for kelvin in liquid.temperatures_K:
                state = StateRow(f"{liquid.id}-{kelvin:g}K-r{replica}", box.key, liquid.id, kelvin, replica)
                state_rows.append(state)
                plan.json(f"states/{state.key}.json", state_settings(study, liquid, state))
    plan.csv("boxes.csv", BoxRow, box_rows)
    plan.csv("states.csv", StateRow, state_rows)
    return state_rows


def plan_runs(plan: Plan, study: Study, states: list[StateRow], models: list[ModelRow]) -> None:
    """Add the molecular dynamics of every model in every state, in batches of replicas."""
    liquids = {liquid.id: liquid for liquid in study.liquids}
    rows = []
    for state in states:
        first = (state.replica - 1) // study.md.batch * study.md.batch
        size = min(study.md.batch, study.md.replicas - first)
        for model in (row for row in models if row.role == "model"):
            row = RunRow(
                key=f"{state.key}-{model.key}",
                liquid=state.liquid,
                state=state.key,
                model_key=model.key,
                framework=model.framework,
                batch=f"{state.liquid}-{state.temperature_K:g}K-b{first + 1}-{model.key}",
                batch_size=size,
                image=model.image,
                environment=model.environment,
            )
            rows.append(row)
            plan.json(f"runs/{row.key}.json", run_settings(study, liquids[state.liquid], state, model, row.key))
    plan.csv("runs.csv", RunRow, rows)


def plan_samples(plan: Plan, study: Study, boxes: dict[int, Box]) -> None:
    """Add the sampling of every liquid, where the study labels frames of its own."""
    rows = []
    for index, liquid in enumerate(study.liquids):
        if study.sampling and study.labels and not isinstance(study.labels, OwnLabels):
            rows.append(SampleRow(liquid.id))
            plan.json(f"samples/{liquid.id}.json", sample_settings(study, boxes, index))
    plan.csv("samples.csv", SampleRow, rows)


def plan_references(plan: Plan, study: Study, boxes: dict[int, Box], references: list[Reference]) -> None:
    """Add what was measured of the liquids of the study, at their temperatures."""
    rows = []
    for index, box in boxes.items():
        liquid = study.liquids[index]
        rows += references_of(liquid.id, box.counts, liquid.temperatures_K, references)
    plan.csv("references.csv", Reference, rows, REFERENCE_COLUMNS)


def files_of(study: Study, places: Places, models: list[ModelRow], before: Before) -> list[FileRow]:
    """Return the rows of files.csv: every file that the study names."""
    rows = [
        FileRow("force_field", f"{liquid.id}-r{replica}", places.locate(liquid.force_field))
        for liquid in study.liquids
        if liquid.force_field not in ("clandp", "xtb")
        for replica in range(1, study.md.replicas + 1)
    ]
    for model in models:
        rows += [FileRow(role, model.key, places.locate(text)) for role, text in files_of_model(study, model)]
    rows += [FileRow("weights", key, before.file(key)) for key in sorted(retrained(study, before))]
    own_paths = study.labels.paths() if isinstance(study.labels, OwnLabels) else ()
    rows += [FileRow("labels", "labels", places.locate(text)) for text in own_paths]
    if study.heldout_frames is not None:
        rows.append(FileRow("heldout", "heldout", places.locate(study.heldout_frames)))
    return rows


def files_of_model(study: Study, row: ModelRow) -> list[tuple[str, str]]:
    """Return the files that the study names for a model, each as what it is for and its path."""
    model = next((model for model in study.models if row.model in (model.id, f"{model.id}-start")), None)
    if not isinstance(model, LearnedModel | AseModel) or model.weights is None:
        return []
    if model.is_imported or row.role == "start":
        return [("own_model", model.weights)]
    replay = [("replay", model.replay_frames)] if isinstance(model, MaceModel) and model.replay_frames else []
    return [("weights", model.weights), *replay]


def make_plan(
    study: Study, boxes: dict[int, Box], references: list[Reference], places: Places, before: Before | None = None
) -> Plan:
    """Return every file of the plan but its estimate and warnings."""
    before = before or Before()
    plan = Plan()
    plan.json("study.json", study.model_dump(mode="json"))
    force_fields = label_force_fields(study, boxes, places)
    theory, models = theory_of(study, force_fields), model_rows(study)
    states = plan_boxes(plan, study, boxes)
    plan_runs(plan, study, states, models)
    plan_samples(plan, study, boxes)
    plan.csv("models.csv", ModelRow, models)
    plan.csv("files.csv", FileRow, files_of(study, places, models, before))
    plan_references(plan, study, boxes, references)
    plan_models(plan, study, boxes, models, theory, before)
    plan_rounds(plan, study, models, before)
    plan_label_engine(plan, study)
    plan.json("labels.json", label_settings(study, boxes, theory, force_fields))
    if study.heldout_frames is not None:
        plan.json("heldout.json", heldout_settings(study))
    plan.json("dataset.json", dataset_settings(study))
    return plan
