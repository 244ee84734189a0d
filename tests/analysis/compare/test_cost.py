"""What labels cost, where some are not of this study."""

import polars as pl
import pytest

from ionmelt.compare.cost import label_hours, start_weighs
from ionmelt.compare.reading import conform
from ionmelt.tables.published import TABLES


def tables(stored: int, imported: int = 0, spent_s: float = 36_000.0) -> dict[str, pl.DataFrame]:
    """Return 100 labelled frames, of which 60 are of training and 20 of the test, the first ones from a store, the next brought along."""
    frames = [
        {"frame_id": f"f{i}", "dataset": "both" if i < 80 else None, "split": "train" if i < 60 else "valid" if i < 80 else "test"}
        for i in range(100)
    ]  # fmt: skip
    origin = [True] * stored + [None] * imported + [False] * (100 - stored - imported)
    labels = pl.DataFrame({"frame_id": [f"f{i}" for i in range(100)], "from_store": origin})
    return {
        "dataset": conform(pl.DataFrame(frames), TABLES["dataset"]),
        "labels": conform(labels, TABLES["labels"]),
        "cost": conform(pl.DataFrame([{"process": "LABEL_FRAMES", "id": "c", "cpu_s": spent_s}]), TABLES["cost"]),
    }


@pytest.mark.parametrize(("stored", "imported"), [(0, 0), (75, 0), (40, 35)])
def test_a_label_costs_as_much_wherever_it_is_from(stored: int, imported: int) -> None:
    """36 s a label: 80 of them are 0.8 core-hours, whether this study made all or 25 of them."""
    made = 100 - stored - imported
    assert label_hours(tables(stored, imported, 36.0 * made)) == {"both": pytest.approx(0.8)}


def test_of_labels_that_are_all_from_a_store_the_cost_is_not_known() -> None:
    assert label_hours(tables(100, spent_s=12.0)) == {}


@pytest.mark.parametrize(
    ("survived_ps", "replicas", "weighs"), [(0.19, 1, True), (1.0, 1, True), (20.0, 1, False), (20.0, 2, False)]
)
def test_the_price_of_a_nanosecond_is_not_told_where_the_start_is_much_of_it(
    survived_ps: float, replicas: int, weighs: bool
) -> None:
    """A hundred atoms take 10 s a picosecond, after a start of 12 s; replicas that ran at once have one task."""
    run = {"n_atoms": 100, "survived_ps": survived_ps, "atom_steps_per_s": 20_000.0}
    task = {"wall_s": 12.0 + 10.0 * survived_ps}
    runs = [(run, task if replica == 0 else None) for replica in range(replicas)]
    assert start_weighs(runs, 0.5) == weighs
    assert not start_weighs([(run | {"atom_steps_per_s": None}, task)], 0.5), "nothing is known of the start"
