"""The files of a plan: a small file of settings for each task, and tables of keys."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ionmelt.dynamics.settings import RunSettings
from ionmelt.errors import UserError
from ionmelt.frame import ENERGY_KEY, FORCES_KEY, STRESS_KEY, theory_id, theory_settings
from ionmelt.frames.settings import SampleSettings
from ionmelt.labels.settings import OwnLabels
from ionmelt.liquid.settings import BoxIon, BoxSettings, Liquid, StateSettings
from ionmelt.study.boxes import Box, chosen_cutoff_A, equilibration_step_fs
from ionmelt.study.estimate import chunk_size
from ionmelt.study.files import Plan
from ionmelt.study.keys import MODEL_COLUMNS, is_imported, mixtures, model_rows, seed_of
from ionmelt.study.places import Places
from ionmelt.study.references import COLUMNS as REFERENCE_COLUMNS
from ionmelt.study.references import references_of
from ionmelt.study.rounds import Before, plan_rounds, retrained
from ionmelt.study.schema import Study
from ionmelt.study.trainings import plan_models

Row = dict[str, Any]


def box_settings(study: Study, liquid: Liquid, box: Box, where: Row) -> Row:
    """Return the settings of BUILD_LIQUID for one box of a liquid; `where` is its key, liquid and replica."""
    assert box.edge_A is not None
    settings = BoxSettings(
        id=where["key"],
        liquid=where["liquid"],
        replica=where["replica"],
        seed=seed_of(where["key"]),
        ions=tuple(BoxIon.model_validate(ion) for ion in box.ions),
        density_guess_kg_m3=liquid.density_guess_kg_m3,
        force_field=liquid.force_field,
        cutoff_A=chosen_cutoff_A(study.equilibration.cutoff_A, box.edge_A),
    )
    return settings.model_dump(mode="json")


def state_settings(study: Study, liquid: Liquid, where: Row) -> Row:
    """Return the settings of EQUILIBRATE for one box at one temperature; `where` is its row of states.csv."""
    settings = StateSettings(
        **study.equilibration.model_dump(exclude={"timestep_fs"}),
        timestep_fs=equilibration_step_fs(study.equilibration.timestep_fs, liquid.force_field),
        pressure_bar=liquid.pressure_bar,
        force_field=liquid.force_field,
        liquid=where["liquid"],
        replica=where["replica"],
        temperature_K=where["temperature_K"],
        seed=seed_of(where["key"]),
        id=where["key"],
    )
    return settings.model_dump(mode="json")


def run_settings(study: Study, liquid: Liquid, state: Row, model: Row, key: str) -> Row:
    """Return the settings of RUN_MD for one model in one state."""
    settings = RunSettings(
        **study.md.model_dump(exclude={"replicas"}),
        liquid=state["liquid"],
        replica=state["replica"],
        temperature_K=state["temperature_K"],
        seed=seed_of(state["key"]),
        id=key,
        pressure_bar=liquid.pressure_bar,
        model=model["model"],
        model_key=model["key"],
        dataset=model["dataset"],
        model_seed=model["seed"],
        framework=model["framework"],
    )
    return settings.model_dump(mode="json")


def sample_settings(study: Study, boxes: dict[int, Box], index: int) -> Row:
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


def label_settings(study: Study, boxes: dict[int, Box], theory: str | None) -> Row:
    """Return the settings of LABEL_FRAMES, or of IMPORT_LABELS where the study brings labels.

    Chunk size and the allowed failures change no label: they are with the tasks that use them. Names that the settings stand for
    are not needed any more.
    """
    if study.labels is None:
        return {"theory_id": theory, "id": "labels"}
    apart = {"chunk", "max_failed_fraction", "quality"}
    if not isinstance(study.labels, OwnLabels):
        return study.labels.model_dump(mode="json", exclude=apart | {"theory"}) | {"theory_id": theory, "id": "labels"}
    # what IMPORT_LABELS needs besides: the ions that frames are looked through for
    liquids = [{"id": liquid.id, "ions": boxes[index].ions} for index, liquid in enumerate(study.liquids)]
    return study.labels.model_dump(mode="json") | {
        "frames": study.labels.paths(),
        "liquids": liquids,
        "theory_id": theory,
        "id": "labels",
    }


def heldout_settings(study: Study) -> Row:
    """Return the settings of IMPORT_LABELS for frames of other chemistry."""
    held = OwnLabels.model_validate({"frames": study.heldout_frames, "theory": "held out"}).model_dump(mode="json")
    return held | {
        "energy_key": ENERGY_KEY,
        "forces_key": FORCES_KEY,
        "stress_key": STRESS_KEY,
        "liquids": [],
        "frames": [study.heldout_frames],
        "theory_id": theory_id({"theory": "held out"}),
        "id": "heldout",
    }


def dataset_settings(study: Study) -> Row:
    """Return the settings of SPLIT_DATASET; where the study names no datasets every frame is there to test."""
    mixed = mixtures(study, {"datasets": None})
    return {
        "id": "dataset",
        "datasets": {name: sorted(study.datasets[whole]) for name, whole, _ in mixed},
        "sizes": {name: size for name, _, size in mixed if size},
        "split": study.split.model_dump(mode="json"),
        "max_failed_fraction": study.labels.max_failed_fraction if study.labels else 0.05,
    }


def theory_of(study: Study) -> str | None:
    """Return the id of the labels' level of theory; None without labels."""
    if study.labels is None:
        return None
    labels = study.labels.model_dump(mode="json")
    return theory_id({"theory": labels["theory"]} if "frames" in labels else theory_settings(labels))


def plan_boxes(plan: Plan, study: Study, boxes: dict[int, Box]) -> list[Row]:
    """Add the boxes of every liquid and their states; return the rows of the states."""
    box_rows, state_rows = [], []
    for index, liquid in enumerate(study.liquids):
        for replica in range(1, study.md.replicas + 1):
            where = {"key": f"{liquid.id}-r{replica}", "liquid": liquid.id, "replica": replica}
            box_rows.append(where)
            plan.json(f"boxes/{where['key']}.json", box_settings(study, liquid, boxes[index], where))
            for kelvin in liquid.temperatures_K:
                key = f"{liquid.id}-{kelvin:g}K-r{replica}"
                state_rows.append({**where, "key": key, "box": where["key"], "temperature_K": kelvin})
                plan.json(f"states/{key}.json", state_settings(study, liquid, state_rows[-1]))
    plan.csv("boxes.csv", ("key", "liquid", "replica"), box_rows)
    plan.csv("states.csv", ("key", "box", "liquid", "temperature_K", "replica"), state_rows)
    return state_rows


def plan_runs(plan: Plan, study: Study, states: list[Row], models: list[Row]) -> None:
    """Add the molecular dynamics of every model in every state, in batches of replicas."""
    liquids = {liquid.id: liquid for liquid in study.liquids}
    rows = []
    for state in states:
        for model in (row for row in models if row["role"] == "model"):
            key = f"{state['key']}-{model['key']}"
            first = (state["replica"] - 1) // study.md.batch * study.md.batch
            batch = f"{state['liquid']}-{state['temperature_K']:g}K-b{first + 1}-{model['key']}"
            row = {"key": key, "liquid": state["liquid"], "state": state["key"], "model_key": model["key"]}
            row |= {name: model[name] for name in ("image", "environment")}
            size = min(study.md.batch, study.md.replicas - first)
            rows.append(row | {"framework": model["framework"], "batch": batch, "batch_size": size})
            plan.json(f"runs/{key}.json", run_settings(study, liquids[state["liquid"]], state, model, key))
    columns = ("key", "liquid", "state", "model_key", "framework", "batch", "batch_size", "image", "environment")
    plan.csv("runs.csv", columns, rows)


def plan_samples(plan: Plan, study: Study, boxes: dict[int, Box]) -> None:
    """Add the sampling of every liquid, where the study labels frames of its own."""
    sampled = []
    for index, liquid in enumerate(study.liquids):
        if study.sampling and study.labels and not isinstance(study.labels, OwnLabels):
            sampled.append({"key": liquid.id})
            plan.json(f"samples/{liquid.id}.json", sample_settings(study, boxes, index))
    plan.csv("samples.csv", ("key",), sampled)


def files_of(study: Study, places: Places, models: list[Row], before: Before) -> list[Row]:
    """Return the rows of files.csv: every file that the study names, what it is for, and for which box or model."""
    files = [
        {"role": "force_field", "id": f"{liquid.id}-r{replica}", "path": places.locate(liquid.force_field)}
        for liquid in study.liquids
        if liquid.force_field not in ("clandp", "xtb")
        for replica in range(1, study.md.replicas + 1)
    ]
    for model in models:
        own = next((entry for entry in study.models if model["model"] in (entry.id, f"{entry.id}-start")), None)
        imported = own is not None and (is_imported(own.model_dump()) or model["role"] == "start")
        for role, name in (("own_model" if imported else "weights", "weights"), ("replay", "replay_frames")):
            if (text := getattr(own, name, None)) and not (imported and role == "replay"):
                files.append({"role": role, "id": model["key"], "path": places.locate(text)})
    files += [{"role": "weights", "id": key, "path": before.file(key)} for key in sorted(retrained(study, before))]
    own_paths = study.labels.paths() if isinstance(study.labels, OwnLabels) else ()
    files += [{"role": "labels", "id": "labels", "path": places.locate(text)} for text in own_paths]
    if study.heldout_frames is not None:
        files.append({"role": "heldout", "id": "heldout", "path": places.locate(study.heldout_frames)})
    return files


def make_plan(
    study: Study, boxes: dict[int, Box], references: list[Row], places: Places, before: Before | None = None
) -> Plan:
    """Return every file of the plan but its estimate and warnings."""
    before = before or Before()
    plan = Plan()
    plan.json("study.json", study.model_dump(mode="json"))
    theory, models = theory_of(study), model_rows(study)
    states = plan_boxes(plan, study, boxes)
    plan_runs(plan, study, states, models)
    plan_samples(plan, study, boxes)
    plan.csv("models.csv", MODEL_COLUMNS, models)
    plan.csv("files.csv", ("role", "id", "path"), files_of(study, places, models, before))
    plan.csv(
        "references.csv",
        REFERENCE_COLUMNS,
        [row for index in boxes for row in measured(study, boxes, index, references)],
    )
    plan_models(plan, study, boxes, models, theory, before)
    plan_rounds(plan, study, models, before)
    plan.json("labels.json", label_settings(study, boxes, theory))
    if study.heldout_frames is not None:
        plan.json("heldout.json", heldout_settings(study))
    plan.json("dataset.json", dataset_settings(study))
    return plan


def measured(study: Study, boxes: Mapping[int, Box], index: int, references: list[Row]) -> list[Row]:
    """Return the references of a liquid of the study at its temperatures."""
    counts = {ion["name"]: ion["count"] for ion in boxes[index].ions}
    return references_of(study.liquids[index].id, counts, study.liquids[index].temperatures_K, references)


def write_plan(plan: Plan, out: Path) -> None:
    """Write the files of a plan into a folder of their own; an earlier plan there is replaced."""
    if out.exists():
        if not (out / "study.json").is_file() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"out: {out}: exists and is not a plan: give another folder")
        shutil.rmtree(out)
    for name, text in sorted(plan.files.items()):
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
