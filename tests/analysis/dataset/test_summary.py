"""dataset.json: what a training reads of it, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from ionmelt.dataset.summary import DatasetSummary
from ionmelt.errors import UserError

MIXTURE = {
    "kinds": ["eq"], "frames": {"train": 4, "valid": 1}, "frames_with_stress": {"train": 4, "valid": 1},
    "dataset_hash": "d", "split_hash": "e", "fitted_e0s_ev": {"Li": -1.0}, "e0s_ev": {"Li": -2.0},
}  # fmt: skip
SUMMARY = {"theory_id": "t", "elements": ["Li"], "type_map": ["Li"], "datasets": {"eq": MIXTURE, "neq": MIXTURE}}


def written(folder: Path, content: dict[str, Any]) -> Path:
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder / "dataset.json"


def test_a_training_is_told_of_its_own_mixture(tmp_path: Path) -> None:
    data = DatasetSummary.read(written(tmp_path, SUMMARY)).training_data("eq")
    assert data.model_dump() == MIXTURE | {name: SUMMARY[name] for name in ("theory_id", "elements", "type_map")}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    mixture = {name: value for name, value in MIXTURE.items() if name != "e0s_ev"}
    with pytest.raises(UserError) as caught:
        DatasetSummary.read(written(tmp_path, SUMMARY | {"datasets": {"eq": mixture}}))
    (line,) = caught.value.errors
    assert line.endswith("dataset.json: datasets.eq.e0s_ev: missing")
