"""The files of a plan: a small file of settings for each task, and tables of keys."""

import shutil
from pathlib import Path
from typing import Any

from ionmelt.errors import UserError
from ionmelt.frame import ENERGY_KEY, FORCES_KEY, STRESS_KEY, theory_id, theory_settings
from ionmelt.labels.settings import OwnLabels
from ionmelt.study.boxes import Box, chosen_cutoff_A, equilibration_step_fs
from ionmelt.study.check_models import LEARNING_RATES
from ionmelt.study.estimate import chunk_size
from ionmelt.study.keys import MODEL_COLUMNS, committees, is_imported, mixtures, model_rows, seed_of
from ionmelt.study.places import Places
from ionmelt.study.plan_files import Plan
from ionmelt.study.references import COLUMNS as REFERENCE_COLUMNS
from ionmelt.study.references import references_of
from ionmelt.study.rounds import Before, plan_rounds, retrained
from ionmelt.study.schema import Study

# What the import of a model needs to know of it.
IMPORTED = (
    "sha256", "licence", "theory", "dispersion", "head", "dtype", "calculator", "arguments", "weights_argument",
)  # fmt: skip


def plan_models(
    plan: Plan, study: Study, boxes: dict[int, Box], rows: list[dict[str, Any]], theory: str | None, before: Before
) -> None:
    """Add the settings of every training and of every import, and the card of every other model."""
    settings = {model.id: model.model_dump(mode="json") for model in study.models}
    settings |= {f"{name}-start": own | {"dispersion": None} for name, own in settings.items()}
    settings["labels"] = {"framework": "xtb"} | (study.labels.model_dump(mode="json") if study.labels else {})
    elements = sorted({symbol for box in boxes.values() for symbol in box.elements})
    growing, going_on = {key for _, _, members in committees(study) for key in members}, retrained(study, before)
    for row in rows:
        own = settings[row["model"]]
        hidden = {"id", "framework", "datasets", "weights", "replay_frames"}
        given = {name: value for name, value in own.items() if name not in hidden}
        weights = own.get("weights")
        names = {"weights": Path(weights).name if weights else None}
        identity = {
            "id": row["key"],
            **{name: row[name] for name in ("model", "framework", "dataset", "seed")},
        }
        if row["trained"]:
            if "replay_frames" in own:
                names["replay_frames"] = Path(own["replay_frames"]).name if own["replay_frames"] else None
            if given["learning_rate"] is None:
                given["learning_rate"] = LEARNING_RATES.get(own["mode"], 0.01)
            if row["key"] in growing:
                given["round"] = before.round
                if row["key"] in going_on:
                    names["weights"] = "model.pt"
                    given |= {"mode": "finetune", "sha256": before.cards[row["key"]]["files"]["model.pt"]}
            plan.json(f"models/{row['key']}.json", {**identity, "theory_id": theory, **given, **names})
            continue
        if is_imported(own) or row["role"] == "start":
            kept = {name: own[name] for name in IMPORTED if name in own}
            plan.json(f"imports/{row['key']}.json", {**identity, **kept, **names, "liquid_elements": elements})
            continue
        card = {
            **identity,
            "versions": {},
            "files": {},
            "theory_id": None,
            "dataset_hash": None,
            "split_hash": None,
            "e0s_ev": None,
            "elements": None,
            "cutoff_A": None,
            "licence": None,
            "settings": {name: own[name] for name in ("method", "accuracy") if name in own},
            "cost": {"wall_s": 0.0},
        }
        if row["role"] != "model":
            card["role"] = row["role"]
        plan.json(f"cards/{row['key']}/model.json", card)


def make_plan(
    study: Study, boxes: dict[int, Box], references: list[dict[str, Any]], places: Places, before: Before | None = None
) -> Plan:
    """Return every file of the plan but its estimate and warnings."""
    before = before or Before()
    plan = Plan()
    plan.json("study.json", study.model_dump(mode="json"))
    melt = study.equilibration.model_dump(mode="json")
    labels = study.labels.model_dump(mode="json") if study.labels else {}
    theory_of = {"theory": labels["theory"]} if "frames" in labels else theory_settings(labels)
    theory = theory_id(theory_of) if labels else None
    own_paths = study.labels.paths() if isinstance(study.labels, OwnLabels) else ()
    rows = model_rows(study)
    box_rows, state_rows, run_rows, files = [], [], [], []
    measured: list[dict[str, Any]] = []
    for index, liquid in enumerate(study.liquids):
        box = boxes[index]
        assert box.edge_A is not None
        conditions = {"pressure_bar": liquid.pressure_bar, "force_field": liquid.force_field}
        for replica in range(1, study.md.replicas + 1):
            key = f"{liquid.id}-r{replica}"
            where = {"liquid": liquid.id, "replica": replica}
            box_rows.append({"key": key, **where})
            plan.json(
                f"boxes/{key}.json",
                {
                    "id": key,
                    **where,
                    "seed": seed_of(key),
                    "ions": box.ions,
                    "density_guess_kg_m3": liquid.density_guess_kg_m3,
                    "force_field": liquid.force_field,
                    "cutoff_A": chosen_cutoff_A(study.equilibration.cutoff_A, box.edge_A),
                },
            )
            if liquid.force_field not in ("clandp", "xtb"):
                files.append({"role": "force_field", "id": key, "path": places.locate(liquid.force_field)})
            for kelvin in liquid.temperatures_K:
                state = f"{liquid.id}-{kelvin:g}K-r{replica}"
                state_rows.append({"key": state, "box": key, **where, "temperature_K": kelvin})
                common = {**where, "temperature_K": kelvin, "seed": seed_of(state)}
                step = {"timestep_fs": equilibration_step_fs(study.equilibration.timestep_fs, liquid.force_field)}
                plan.json(f"states/{state}.json", {**melt, **step, **conditions, **common, "id": state})
                for model in (row for row in rows if row["role"] == "model"):
                    run = f"{state}-{model['key']}"
                    first = (replica - 1) // study.md.batch * study.md.batch
                    run_rows.append(
                        {
                            "key": run,
                            "liquid": liquid.id,
                            "state": state,
                            "model_key": model["key"],
                            "framework": model["framework"],
                            "batch": f"{liquid.id}-{kelvin:g}K-b{first + 1}-{model['key']}",
                            "batch_size": min(study.md.batch, study.md.replicas - first),
                        }
                    )
                    md = study.md.model_dump(mode="json", exclude={"replicas"})
                    plan.json(
                        f"runs/{run}.json",
                        {
                            **md,
                            **common,
                            "id": run,
                            "pressure_bar": liquid.pressure_bar,
                            "model": model["model"],
                            "model_key": model["key"],
                            "dataset": model["dataset"],
                            "model_seed": model["seed"],
                            "framework": model["framework"],
                        },
                    )
        if study.sampling and "engine" in labels:
            plan.json(
                f"samples/{liquid.id}.json",
                {
                    "id": liquid.id,
                    "liquid": liquid.id,
                    "seed": study.sampling.seed,
                    "temperatures_K": liquid.temperatures_K,
                    "sampling": study.sampling.model_dump(mode="json", exclude={"seed"}),
                    "chunk": chunk_size(study, boxes, index),
                },
            )
        counts = {ion["name"]: ion["count"] for ion in box.ions}
        measured += references_of(liquid.id, counts, liquid.temperatures_K, references)
    for model in rows:
        own = next((entry for entry in study.models if model["model"] in (entry.id, f"{entry.id}-start")), None)
        imported = own is not None and (is_imported(own.model_dump()) or model["role"] == "start")
        for role, name in (("own_model" if imported else "weights", "weights"), ("replay", "replay_frames")):
            if (text := getattr(own, name, None)) and not (imported and role == "replay"):
                files.append({"role": role, "id": model["key"], "path": places.locate(text)})
    files += [{"role": "weights", "id": key, "path": before.file(key)} for key in sorted(retrained(study, before))]
    files += [{"role": "labels", "id": "labels", "path": places.locate(text)} for text in own_paths]
    if study.heldout_frames is not None:
        files.append({"role": "heldout", "id": "heldout", "path": places.locate(study.heldout_frames)})
    plan.csv("boxes.csv", ("key", "liquid", "replica"), box_rows)
    plan.csv("states.csv", ("key", "box", "liquid", "temperature_K", "replica"), state_rows)
    sampled = [{"liquid": liquid.id} for liquid in study.liquids if f"samples/{liquid.id}.json" in plan.files]
    plan.csv("samples.csv", ("liquid",), sampled)
    plan.csv("models.csv", MODEL_COLUMNS, rows)
    plan.csv("runs.csv", ("key", "liquid", "state", "model_key", "framework", "batch", "batch_size"), run_rows)
    plan.csv("files.csv", ("role", "id", "path"), files)
    plan.csv("references.csv", REFERENCE_COLUMNS, measured)
    plan_models(plan, study, boxes, rows, theory, before)
    plan_rounds(plan, study, rows, before)
    # Chunk size and the allowed failures change no label: they are with the tasks that use them. Names that the
    # settings stand for are not needed any more.
    apart = {"chunk", "max_failed_fraction", "quality"} | ({"theory"} if "frames" not in labels else set())
    settings = {k: v for k, v in labels.items() if k not in apart}
    if own_paths:  # what IMPORT_LABELS needs besides: the ions that frames are looked through for
        settings |= {"frames": own_paths, "max_failed_fraction": labels["max_failed_fraction"]}
        settings["liquids"] = [
            {"id": liquid.id, "ions": boxes[index].ions} for index, liquid in enumerate(study.liquids)
        ]
    plan.json("labels.json", settings | {"theory_id": theory, "id": "labels"})
    if study.heldout_frames is not None:
        held = OwnLabels.model_validate({"frames": study.heldout_frames, "theory": "held out"}).model_dump(mode="json")
        held |= {"energy_key": ENERGY_KEY, "forces_key": FORCES_KEY, "stress_key": STRESS_KEY, "liquids": []}
        held |= {"frames": [study.heldout_frames], "theory_id": theory_id({"theory": "held out"}), "id": "heldout"}
        plan.json("heldout.json", held)
    # Where the study names no datasets every frame is there to test.
    mixed = mixtures(study, {"datasets": None})
    plan.json(
        "dataset.json",
        {
            "id": "dataset",
            "datasets": {name: sorted(study.datasets[whole]) for name, whole, _ in mixed},
            "sizes": {name: size for name, _, size in mixed if size},
            "split": study.split.model_dump(mode="json"),
            "max_failed_fraction": labels.get("max_failed_fraction", 0.05),
        },
    )
    return plan


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
