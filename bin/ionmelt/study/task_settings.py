"""The settings of the tasks of a plan: a small file for each."""

from ionmelt.dataset.settings import DatasetSettings
from ionmelt.dynamics.settings import RunSettings, start_volume
from ionmelt.frame import ENERGY_KEY, FORCES_KEY, STRESS_KEY
from ionmelt.frames.settings import SampleSettings
from ionmelt.labels.engines.settings import LabelledBy
from ionmelt.labels.settings import ImportSettings, LabelSettings, NoLabels, OwnLabels
from ionmelt.labels.theory_id import theory_id, theory_settings
from ionmelt.liquid.cutoff import chosen_cutoff_A
from ionmelt.liquid.settings import BoxSettings, Liquid, StateSettings
from ionmelt.models.settings import ImportSettings as ModelSettings
from ionmelt.settings import TaskSettings
from ionmelt.study import teacher as teachers
from ionmelt.study.boxes import Box, equilibration_step_fs
from ionmelt.study.keys import seed_of, training_sets
from ionmelt.study.rows import BoxRow, ModelRow, StateRow
from ionmelt.study.schema import Study
from ionmelt.study.trainings import import_settings as model_settings
from ionmelt.study.workload import chunk_size


def box_settings(study: Study, liquid: Liquid, box: Box, row: BoxRow) -> BoxSettings:
    """Return the settings of BUILD_LIQUID for one box of a liquid."""
    assert box.edge_A is not None
    return BoxSettings(
        id=row.key,
        liquid=row.liquid,
        replica=row.replica,
        seed=seed_of(row.key),
        ions=box.ions,
        density_guess_kg_m3=liquid.density_guess_kg_m3,
        force_field=liquid.force_field,
        charge_scale=liquid.charge_scale,
        cutoff_A=chosen_cutoff_A(study.equilibration.cutoff_A, box.edge_A),
    )


def state_settings(study: Study, liquid: Liquid, row: StateRow) -> StateSettings:
    """Return the settings of EQUILIBRATE for one box at one temperature."""
    return StateSettings(
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


def run_settings(study: Study, liquid: Liquid, state: StateRow, model: ModelRow, key: str) -> RunSettings:
    """Return the settings of RUN_MD for one model in one state."""
    times = study.md.truth_times if model.model in study.truths else 1.0
    return RunSettings(
        **study.md.model_dump(exclude={"models", "replicas", "start_percent", "truth_times", "npt_ps", "nvt_ps"}),
        npt_ps=times * study.md.npt_ps,
        nvt_ps=times * study.md.nvt_ps,
        start_volume=start_volume(study.md.start_percent, state.replica),
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


def sample_settings(study: Study, boxes: dict[int, Box], index: int) -> SampleSettings:
    """Return the settings of SAMPLE_FRAMES for one liquid of a study that samples."""
    assert study.sampling is not None
    liquid = study.liquids[index]
    return SampleSettings(
        id=liquid.id,
        liquid=liquid.id,
        seed=study.sampling.seed,
        temperatures_K=liquid.temperatures_K,
        sampling=study.sampling,
        chunk=chunk_size(study, boxes, index),
    )


def label_settings(
    study: Study,
    boxes: dict[int, Box],
    theory: str | None,
    force_fields: dict[str, LabelledBy],
    teacher: ModelSettings | None,
) -> TaskSettings:
    """Return the settings of LABEL_FRAMES, or of IMPORT_LABELS where the study brings labels."""
    if study.labels is None:
        return NoLabels(id="labels", theory_id=None)
    if isinstance(study.labels, OwnLabels):
        return import_settings(study.labels, "labels", theory, study, boxes)
    assert theory is not None
    return LabelSettings.of(study.labels, theory, force_fields, teachers.described(teacher) if teacher else None)


def import_settings(
    labels: OwnLabels, key: str, theory: str | None, study: Study, boxes: dict[int, Box]
) -> ImportSettings:
    """Return the settings of IMPORT_LABELS, with the ions of the liquids of some boxes, which frames are looked through for."""
    liquids = [{"id": study.liquids[index].id, "ions": box.ions} for index, box in sorted(boxes.items())]
    told = labels.model_dump(mode="json") | {"frames": labels.paths(), "liquids": liquids, "theory_id": theory}
    return ImportSettings.model_validate(told | {"id": key})


def heldout_settings(study: Study) -> ImportSettings:
    """Return the settings of IMPORT_LABELS for frames of other chemistry."""
    assert study.heldout_frames is not None
    keys = {"energy_key": ENERGY_KEY, "forces_key": FORCES_KEY, "stress_key": STRESS_KEY}
    held = OwnLabels.model_validate({"frames": study.heldout_frames, "theory": "held out", **keys})
    return import_settings(held, "heldout", theory_id({"theory": held.theory}), study, {})


def dataset_settings(study: Study) -> DatasetSettings:
    """Return the settings of SPLIT_DATASET; where the study names no datasets every frame is there to test."""
    mixed = training_sets(study)
    return DatasetSettings(
        id="dataset",
        datasets={chosen.name: tuple(sorted(study.datasets[chosen.mixture])) for chosen in mixed},
        sizes={chosen.name: chosen.size for chosen in mixed if chosen.size},
        split=study.split,
        max_failed_fraction=study.labels.max_failed_fraction if study.labels else 0.05,
    )


def theory_of(study: Study, force_fields: dict[str, LabelledBy], teacher: ModelSettings | None) -> str | None:
    """Return the id of the labels' level of theory, to which force fields or the model that label belong; None without labels."""
    if study.labels is None:
        return None
    labels = study.labels.model_dump(mode="json")
    if "frames" in labels:
        return theory_id({"theory": labels["theory"]})
    named = {liquid: force_field.theory() for liquid, force_field in force_fields.items()}
    hashed: dict[str, object] = {**theory_settings(labels)}
    hashed |= {"force_fields": named} if named else {}
    hashed |= {"teacher": teachers.theory(teacher)} if teacher else {}
    return theory_id(hashed)


def teacher_settings(study: Study, models: list[ModelRow]) -> ModelSettings | None:
    """Return what the import of the model that labels is told, but for the elements of the liquids; None where none labels."""
    teacher = teachers.teacher_of(study)
    row = next((row for row in models if row.role == "labels"), None)
    return model_settings(teacher, row, []) if teacher is not None and row is not None else None
