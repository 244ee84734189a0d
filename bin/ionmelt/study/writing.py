"""The files of a plan: tables of keys, and a small file of settings for each task (`task_settings`)."""

from dataclasses import replace

from ionmelt.labels.settings import OwnLabels
from ionmelt.liquid.settings import BUILT_IN
from ionmelt.models.frameworks.ase import AseModel
from ionmelt.models.frameworks.classical import FORCE_FIELDS, ClassicalFields
from ionmelt.models.frameworks.mace import MaceModel
from ionmelt.models.frameworks.named import NamedModel
from ionmelt.models.settings import AnyModel, LearnedModel
from ionmelt.study import teacher as teachers
from ionmelt.study.boxes import Box
from ionmelt.study.files import Plan
from ionmelt.study.force_fields import label_force_fields
from ionmelt.study.interpolation import references_of
from ionmelt.study.keys import by_force_field, model_rows
from ionmelt.study.paths import Paths
from ionmelt.study.references import COLUMNS as REFERENCE_COLUMNS
from ionmelt.study.references import Reference, at_pressure
from ionmelt.study.refinement import files_of_refinement
from ionmelt.study.round_before import Before
from ionmelt.study.rounds import plan_rounds, retrained
from ionmelt.study.rows import BoxRow, FileRow, LabelEngineRow, ModelRow, RunRow, SampleRow, StateRow
from ionmelt.study.schema import Study
from ionmelt.study.task_settings import (
    box_settings,
    dataset_settings,
    heldout_settings,
    label_settings,
    run_settings,
    sample_settings,
    state_settings,
    teacher_settings,
    theory_of,
)
from ionmelt.study.trainings import plan_models


def plan_label_engine(plan: Plan, study: Study, models: list[ModelRow]) -> None:
    """Add the row that says what LABEL_FRAMES and ESTIMATE_LABELS run in, and whether a GPU is of use; that of a model is its own."""
    engine, row = study.label_engine, LabelEngineRow()
    if engine is not None:
        row = LabelEngineRow(engine.name, engine.environment, engine.environment, engine.gpu)
    if engine is not None and engine.model:
        of_model = next(model for model in models if model.role == "labels")
        row = replace(row, image=of_model.image, environment=of_model.environment)
    plan.csv("label_engine.csv", LabelEngineRow, [row])


def plan_force_fields(plan: Plan, study: Study, boxes: dict[int, Box]) -> None:
    """Add where the force field of each ion and molecule is from, and the scale of the ions' charges, by liquid.

    A file of its own: in the card of the classical model a further liquid would repeat the dynamics of those that were there.
    """
    liquids = {study.liquids[index].id: (study.liquids[index], box) for index, box in boxes.items()}
    said = ClassicalFields(
        force_fields={key: box.sources for key, (_, box) in liquids.items()},
        charge_scale={key: liquid.charge_scale for key, (liquid, _) in liquids.items()},
    )
    plan.json(FORCE_FIELDS, said.model_dump())


def plan_boxes(plan: Plan, study: Study, boxes: dict[int, Box]) -> list[StateRow]:
    """Add the boxes of every liquid and their states; return the rows of the states."""
    box_rows, state_rows = [], []
    for index, liquid in enumerate(study.liquids):
        for replica in range(1, study.md.replicas + 1):
            box = BoxRow(f"{liquid.id}-r{replica}", liquid.id, replica, by_force_field(study) and replica == 1)
            box_rows.append(box)
            plan.settings(f"boxes/{box.key}.json", box_settings(study, liquid, boxes[index], box))
            for kelvin in liquid.temperatures_K:
                state = StateRow(f"{liquid.id}-{kelvin:g}K-r{replica}", box.key, liquid.id, kelvin, replica)
                state_rows.append(state)
                plan.settings(f"states/{state.key}.json", state_settings(study, liquid, state))
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
        for model in (row for row in models if row.role == "model" and study.runs(row.model)):
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
            plan.settings(f"runs/{row.key}.json", run_settings(study, liquids[state.liquid], state, model, row.key))
    plan.csv("runs.csv", RunRow, rows)


def plan_samples(plan: Plan, study: Study, boxes: dict[int, Box]) -> None:
    """Add the sampling of every liquid, where the study labels frames of its own."""
    rows = []
    for index, liquid in enumerate(study.liquids):
        if study.sampling and study.labels and not isinstance(study.labels, OwnLabels):
            rows.append(SampleRow(liquid.id))
            # the seed stands beside the section that the study gives it in
            plan.settings(
                f"samples/{liquid.id}.json", sample_settings(study, boxes, index), exclude={"sampling": {"seed"}}
            )
    plan.csv("samples.csv", SampleRow, rows)


def plan_references(plan: Plan, study: Study, boxes: dict[int, Box], references: list[Reference]) -> None:
    """Add what was measured of the liquids of the study, at their temperatures."""
    rows = []
    for index, box in boxes.items():
        liquid = study.liquids[index]
        measured = at_pressure(references, liquid.pressure_bar)
        rows += references_of(liquid.id, box.library_counts, liquid.temperatures_K, measured, box.library_names)
    plan.csv("references.csv", Reference, rows, REFERENCE_COLUMNS)


def files_of(study: Study, paths: Paths, models: list[ModelRow], before: Before) -> list[FileRow]:
    """Return the rows of files.csv: every file that the study names."""
    rows = [
        FileRow("force_field", f"{liquid.id}-r{replica}", paths.locate(liquid.force_field))
        for liquid in study.liquids
        if liquid.force_field not in BUILT_IN
        for replica in range(1, study.md.replicas + 1)
    ]
    for model in models:
        rows += [FileRow(role, model.key, paths.locate(text)) for role, text in files_of_model(study, model)]
    rows += [FileRow("weights", key, before.file(key)) for key in sorted(retrained(study, before))]
    rows += files_of_refinement(study, before)
    own_paths = study.labels.paths() if isinstance(study.labels, OwnLabels) else ()
    rows += [FileRow("labels", "labels", paths.locate(text)) for text in own_paths]
    if study.heldout_frames is not None:
        rows.append(FileRow("heldout", "heldout", paths.locate(study.heldout_frames)))
    return rows


def files_of_model(study: Study, row: ModelRow) -> list[tuple[str, str]]:
    """Return the files that the study names for a model, each as what it is for and its path."""
    model: AnyModel | None = teachers.teacher_of(study) if row.key == teachers.KEY else None
    model = model or next((model for model in study.models if row.model in (model.id, f"{model.id}-start")), None)
    script = [("own_model", model.script)] if isinstance(model, AseModel) and model.script else []
    if not isinstance(model, LearnedModel | AseModel | NamedModel) or model.weights is None:
        return script
    if model.is_imported or row.role == "start":
        return [("own_model", model.weights), *script]
    replay = [("replay", model.replay_frames)] if isinstance(model, MaceModel) and model.replay_frames else []
    return [("weights", model.weights), *replay]


def make_plan(
    study: Study, boxes: dict[int, Box], references: list[Reference], paths: Paths, before: Before | None = None
) -> Plan:
    """Return every file of the plan but its estimate and warnings."""
    before = before or Before()
    plan = Plan()
    plan.json("study.json", study.model_dump(mode="json"))
    force_fields, models = label_force_fields(study, boxes, paths), model_rows(study)
    teacher = teacher_settings(study, models)
    theory = theory_of(study, force_fields, teacher)
    plan_force_fields(plan, study, boxes)
    states = plan_boxes(plan, study, boxes)
    plan_runs(plan, study, states, models)
    plan_samples(plan, study, boxes)
    plan.csv("models.csv", ModelRow, models)
    plan.csv("files.csv", FileRow, files_of(study, paths, models, before))
    plan_references(plan, study, boxes, references)
    plan_models(plan, study, boxes, models, theory, before)
    plan_rounds(plan, study, models, before)
    plan_label_engine(plan, study, models)
    plan.settings("labels.json", label_settings(study, boxes, theory, force_fields, teacher))
    if study.heldout_frames is not None:
        plan.settings("heldout.json", heldout_settings(study))
    plan.settings("dataset.json", dataset_settings(study))
    return plan
