"""The models of a study that are the very method of its labels: their error on the labels is 0 by construction."""

from typing import Any


def labellers(study: dict[str, Any], labels: dict[str, Any]) -> list[str]:
    """Return their names; ``study`` and ``labels`` as the plan wrote them."""
    return [
        model["id"]
        for model in study.get("models", [])
        if model["framework"] == "xtb" and labels.get("engine") == "xtb" and model.get("method") == labels.get("method")
    ]
