"""The round before, in active learning or where the equilibrium is refined: what is read of its results."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ionmelt import files
from ionmelt.dynamics.record import RunRecord
from ionmelt.models.card import Card

RUN, ERRORS = "run.json", "errors.parquet"


@dataclass(frozen=True)
class Before:
    """The round before: where its results are, the cards of its models by key, its runs, and the force errors of its models by key (eV/A).

    The errors are those on its test frames, which are the same for all models, where validation frames are those of a dataset; of a model that
    gave no answer on some there is none.
    """

    folder: str = ""
    cards: Mapping[str, Card] = field(default_factory=dict)
    runs: tuple[RunRecord, ...] = ()
    force_errors: Mapping[str, float] = field(default_factory=dict)

    @property
    def round(self) -> int:
        """Return the number of the round that follows: the first, without anything before it, is 0."""
        return 1 + max(card.settings.round or 0 for card in self.cards.values()) if self.cards else 0

    def file(self, key: str) -> str:
        """Return the address of the weights of a model that a training can go on from."""
        return f"{self.folder.rstrip('/')}/models/{key}/model.pt"

    def trajectory(self, run: RunRecord) -> str:
        """Return the address of the folder of a run."""
        return f"{self.folder.rstrip('/')}/trajectories/{run.id}"


def read_before(folder: str | None, records: Iterable[Path]) -> Before:
    """Return the round before, from its model.json, run.json and errors.parquet; only models that were trained have weights to go on from."""
    paths = sorted(records)
    cards = [Card.read(path) for path in paths if path.name not in (RUN, ERRORS)]
    runs = tuple(RunRecord.read(path) for path in paths if path.name == RUN)
    errors: dict[str, float] = {}
    for path in (path for path in paths if path.name == ERRORS):
        table = files.read_tables([path], "model_key", "split", "quantity", "scope", "rmse", "frames_missing")
        table = table.drop_nulls("rmse").filter(split="test", quantity="force", scope="all", frames_missing=0)
        errors |= dict(table.select("model_key", "rmse").iter_rows())
    return Before(folder or "", {card.id: card for card in cards if "model.pt" in card.files}, runs, errors)
