"""The models of a study, by key: one for each dataset, size and seed; the committees of active learning."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ionmelt import theory as theory_level
from ionmelt.labels.engines import ENGINES
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.study.rows import ModelRow
from ionmelt.study.schema import Study


def by_force_field(study: Study) -> bool:
    """Tell whether frames are labelled by the force fields of their liquids."""
    engine = ENGINES.get(getattr(study.labels, "engine", ""))
    return engine is not None and engine.boxes


def is_trained(model: Mapping[str, Any]) -> bool:
    """Tell whether a model is trained in this study."""
    return FRAMEWORKS[model["framework"]].is_trained and model.get("mode") != "zero-shot"


def is_imported(model: Mapping[str, Any]) -> bool:
    """Tell whether a model comes from elsewhere and is used as it is."""
    return FRAMEWORKS[model["framework"]].given or model.get("mode") == "zero-shot"


def times(study: Study, model: Mapping[str, Any]) -> int:
    """Return how many models an entry stands for: one for each dataset and seed where it is trained."""
    return len(mixtures(study, model)) * len(study.seeds) if is_trained(model) else 1


def mixtures(study: Study, model: Mapping[str, Any]) -> list[tuple[str, str, int | None]]:
    """Return what a model is trained on: name, the dataset it is of, and the frames it is cut to (None: all)."""
    return [
        (name if size is None else f"{name}.{size}", name, size)
        for name in model["datasets"] or sorted(study.datasets)
        for size in (None, *sorted(study.sizes))
    ]


# --- Active learning ------------------------------------------------------------------------------------


def committees(study: Study) -> list[tuple[Any, str, list[str]]]:
    """Return the committees that explore: the model, the dataset, and the keys of the members that differ by seed."""
    found: list[tuple[Any, str, list[str]]] = []
    if study.active is None:
        return found
    for model in study.models:
        settings = model.model_dump()
        if is_trained(settings):
            for name, whole, size in mixtures(study, settings):
                if size is None and "active" in study.datasets[whole]:
                    found.append((model, name, [f"{model.id}-{name}-s{seed}" for seed in sorted(study.seeds)]))
    return found


# --- The plan ------------------------------------------------------------------------------------------


def seed_of(key: str) -> int:
    """Return the seed of a box or state: from its key alone, so that a study that grows keeps what it has."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % (2**31 - 1) + 1


def start_of(study: Study, model: Any) -> str | None:
    """Return the key of the model that a tuned one started from: a zero-shot row of the study, or one that is only evaluated."""
    if getattr(model, "weights", None) is None or is_imported(model.model_dump()):
        return None
    for other in study.models:
        same = all(getattr(other, name, None) == getattr(model, name) for name in ("framework", "sha256", "head"))
        if same and is_imported(other.model_dump()) and other.dispersion is None:  # type: ignore[union-attr]
            return other.id
    return f"{model.id}-start"


def levels(study: Study, model: Any) -> dict[str, Any]:
    """Return the level of theory that a model from elsewhere imitates, that of the labels, and whether they are one."""
    level, theory = theory_level.level_of(study.labels), getattr(model, "theory", None)
    if by_force_field(study):
        level = f"{level}, {' and '.join(sorted({Path(liquid.force_field).stem for liquid in study.liquids}))}"
    if level is None or theory is None or not is_imported(model.model_dump()):
        return {"theory": None, "labels_theory": level, "same_theory": None}
    added = getattr(model, "dispersion", None)
    theory = theory_level.level_with(theory, added.functional if added else None)
    return {"theory": theory, "labels_theory": level, "same_theory": theory_level.same_level(theory, level)}


def model_rows(study: Study) -> list[ModelRow]:
    """Return the rows of models.csv: one for each model."""
    rows: list[ModelRow] = []
    for model in study.models:
        trained_in = FRAMEWORKS[model.framework].environment
        start = start_of(study, model)
        row = ModelRow(
            key=model.id,
            model=model.id,
            framework=model.framework,
            start=start,
            image=getattr(model, "image", None) or trained_in,
            environment=getattr(model, "environment", None) or trained_in,
            **levels(study, model),
        )
        settings = model.model_dump()
        if not is_trained(settings):
            rows.append(replace(row, imported=is_imported(settings)))
            continue
        if start == f"{model.id}-start":
            rows.append(replace(row, key=start, model=start, role="start", start=None, imported=True))
        for dataset, mixture, size in mixtures(study, settings):
            for seed in study.seeds:
                key = f"{model.id}-{dataset}-s{seed}"
                rows.append(replace(row, key=key, dataset=dataset, mixture=mixture, size=size, seed=seed, trained=True))
    engine = ENGINES.get(getattr(study.labels, "engine", ""))
    if engine is not None and engine.pairs:
        assert engine.framework is not None
        place = FRAMEWORKS[engine.framework].environment
        row = ModelRow("labels", "labels", engine.framework, role="labels", image=place, environment=place)
        rows.append(row)
    return rows
