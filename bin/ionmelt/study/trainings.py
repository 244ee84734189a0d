"""The settings of every training and of every import, and the cards of models that are neither trained nor imported."""

from pathlib import Path
from typing import Any

from ionmelt.labels.engines import ENGINES
from ionmelt.labels.engines.settings import LabelTasks
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.settings import ImportSettings
from ionmelt.study.boxes import Box
from ionmelt.study.check_models import LEARNING_RATES
from ionmelt.study.files import Plan
from ionmelt.study.keys import committees, is_imported
from ionmelt.study.rounds import Before, retrained
from ionmelt.study.rows import ModelRow
from ionmelt.study.schema import Study

# What the import of a model needs to know of it.
IMPORTED = (
    "sha256", "licence", "theory", "dispersion", "head", "dtype", "calculator", "arguments", "weights_argument",
)  # fmt: skip


def training_settings(content: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a training as its task reads them, with the fields that are given."""
    kind = FRAMEWORKS[content["framework"]].training_settings
    assert kind is not None, f"{content['framework']} is not trained"
    return kind.model_validate(content).model_dump(mode="json", exclude_unset=True)


def plan_models(
    plan: Plan, study: Study, boxes: dict[int, Box], rows: list[ModelRow], theory: str | None, before: Before
) -> None:
    """Add the settings of every training and of every import, and the card of every other model."""
    settings = {model.id: model.model_dump(mode="json") for model in study.models}
    settings |= {f"{name}-start": own | {"dispersion": None} for name, own in settings.items()}
    if isinstance(study.labels, LabelTasks):
        framework = ENGINES[study.labels.engine].framework
        settings["labels"] = {"framework": framework, **study.labels.model_dump(mode="json")}
    elements = sorted({symbol for box in boxes.values() for symbol in box.elements})
    growing, going_on = {key for _, _, members in committees(study) for key in members}, retrained(study, before)
    for row in rows:
        own = settings[row.model]
        hidden = {"id", "framework", "datasets", "weights", "replay_frames"}
        given = {name: value for name, value in own.items() if name not in hidden}
        weights = own.get("weights")
        names = {"weights": Path(weights).name if weights else None}
        identity = {
            "id": row.key,
            "model": row.model,
            "framework": row.framework,
            "dataset": row.dataset,
            "seed": row.seed,
        }
        if row.trained:
            if "replay_frames" in own:
                names["replay_frames"] = Path(own["replay_frames"]).name if own["replay_frames"] else None
            if given["learning_rate"] is None:
                given["learning_rate"] = LEARNING_RATES.get(own["mode"], 0.01)
            if row.key in growing:
                given["round"] = before.round
                if row.key in going_on:
                    names["weights"] = "model.pt"
                    given |= {"mode": "finetune", "sha256": before.cards[row.key]["files"]["model.pt"]}
            plan.json(f"models/{row.key}.json", training_settings({**identity, "theory_id": theory, **given, **names}))
            continue
        if is_imported(own) or row.role == "start":
            kept = {name: own[name] for name in IMPORTED if name in own}
            imported = ImportSettings.model_validate({**identity, **kept, **names, "liquid_elements": elements})
            plan.json(f"imports/{row.key}.json", imported.model_dump(mode="json", exclude_unset=True))
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
        if row.role != "model":
            card["role"] = row.role
        plan.json(f"cards/{row.key}/model.json", card)
