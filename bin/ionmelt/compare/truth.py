"""The models of a study that are the very method of its labels: their error on the labels is 0 by construction.

That is GFN1-xTB or GFN2-xTB itself beside labels by it, and the classical force field beside labels by the force fields of the liquids.
"""

from typing import Any

from ionmelt.labels.engines import ENGINES


def labellers(study: dict[str, Any], labels: dict[str, Any]) -> list[str]:
    """Return their names; ``study`` and ``labels`` as the plan wrote them."""
    engine = ENGINES.get(labels.get("engine", ""))
    return [
        model["id"]
        for model in study.get("models", [])
        if engine is not None and model["framework"] == engine.framework and model.get("method") == labels.get("method")
    ]
