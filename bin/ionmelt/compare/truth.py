"""The models of a study that are the very method of its labels: their error on the labels is 0 by construction.

That is GFN1-xTB or GFN2-xTB itself beside labels by it, the classical force field beside labels by the force fields of the liquids, and
a model beside the labels that it made.
"""

from typing import Any

from ionmelt.labels.engines import ENGINES


def labellers(study: dict[str, Any], labels: dict[str, Any]) -> list[str]:
    """Return their names; ``study`` and ``labels`` as the plan wrote them."""
    engine, models = ENGINES.get(labels.get("engine", "")), study.get("models", [])
    if engine is None:
        return []
    if engine.model:
        return [model["id"] for model in models if is_teacher(model, labels["model"], models)]
    return [
        model["id"]
        for model in models
        if model["framework"] == engine.framework and model.get("method") == labels.get("method")
    ]


def is_teacher(model: dict[str, Any], name: str, models: list[dict[str, Any]]) -> bool:
    """Tell whether a model is the one that labels: by its id, else by its name in the table of named models, with nothing added."""
    if any(other["id"] == name for other in models):
        return bool(model["id"] == name)
    return model["framework"] == "named" and model["model"] == name and model.get("dispersion") is None
