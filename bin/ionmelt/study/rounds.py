"""The round before, in active learning, and what the next one does with it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ionmelt import files as files_module
from ionmelt.frames.settings import ChooseSettings, ExploreSettings
from ionmelt.study.files import Plan
from ionmelt.study.keys import committees, seed_of
from ionmelt.study.reading import Problems
from ionmelt.study.schema import Study


@dataclass(frozen=True)
class Before:
    """The round before, in active learning: where its results are, and the cards of its models, by key."""

    place: str = ""
    cards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def round(self) -> int:
        """Return the number of the round that follows: the first, without anything before it, is 0."""
        return 1 + max(card["settings"].get("round", 0) for card in self.cards.values()) if self.cards else 0

    def file(self, key: str) -> str:
        """Return the address of the weights of a model that a training can go on from."""
        return f"{self.place.rstrip('/')}/models/{key}/model.pt"


def read_before(place: str | None, cards: Iterable[Path]) -> Before:
    """Return the round before; only models that were trained have weights to go on from."""
    read = [files_module.read_json(path) for path in sorted(cards)]
    return Before(place or "", {card["id"]: card for card in read if "model.pt" in card["files"]})


def retrained(study: Study, before: Before) -> set[str]:
    """Return the keys of the models that go on from their weights of the round before: those that began from nothing."""
    own = [members for model, _, members in committees(study) if model.mode is None] if before.cards else []
    return {key for members in own for key in members}


def check_before(study: Study, before: Before, problems: Problems) -> None:
    """Judge the results that a round goes on from."""
    if study.active is None:
        problems.add(
            ("active",), f"missing: --previous {before.place} is for active learning; give active: {{frames: ...}}"
        )
        return
    if not before.cards:
        text = f"--previous {before.place}: holds no models/*/model.json: give the results of a round that has ended"
        problems.add(("active",), text)
        return
    for key in [key for _, _, members in committees(study) for key in members]:
        if key not in before.cards:
            problems.add(("active",), f"--previous {before.place}: has no model {key}: is it of another study?")


def plan_rounds(plan: "Plan", study: Study, rows: list[dict[str, Any]], before: Before) -> None:
    """Add the explorations of a round, and what is chosen of what they find."""
    explored, chosen = [], []
    own = study.active.model_dump() if study.active and before.round else {}
    md = {name: getattr(study.md, name) for name in ("timestep_fs", "thermostat_fs", "barostat_fs", "engine")}
    for liquid in study.liquids if own else ():
        name = f"{liquid.id}-active{before.round}"
        chosen.append({"key": name, "liquid": liquid.id})
        choice = ChooseSettings(id=name, liquid=liquid.id, frames=own["frames"])
        plan.json(f"choose/{name}.json", choice.model_dump(mode="json"))
        for kelvin in liquid.temperatures_K:
            state = f"{liquid.id}-{kelvin:g}K-r1"
            where = {"liquid": liquid.id, "temperature_K": kelvin, "pressure_bar": liquid.pressure_bar}
            for model, dataset, members in committees(study):
                key = f"{state}-{model.id}-{dataset}"
                place = next(
                    {name: row[name] for name in ("image", "environment")} for row in rows if row["key"] == members[0]
                )
                row = {"key": key, "liquid": liquid.id, "state": state, "dataset": dataset, **place}
                explored.append(row | {"members": " ".join(members)})
                seed = (own["seed"] + seed_of(key)) % 2**31
                names = {"id": key, "model": model.id, "dataset": dataset, "round": before.round}
                settings = ExploreSettings.model_validate({**own, **md, **where, **names, "seed": seed})
                plan.json(f"explore/{key}.json", settings.model_dump(mode="json"))
    columns = ("key", "liquid", "state", "dataset", "members", "image", "environment")
    plan.csv("explore.csv", columns, explored)
    plan.csv("choose.csv", ("key", "liquid"), chosen)
