"""What trainings refuse before they begin."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
import tiny_training as tiny

from ionmelt.dataset.summary import Dataset
from ionmelt.errors import UserError
from ionmelt.models import training

MACE = {"id": "mace-eq-s1", "framework": "mace", "stress_weight": 10.0}
DEEPMD = {"id": "dpmd-eq-s1", "framework": "deepmd", "start_pref_v": 0.02, "limit_pref_v": 1.0}


def dataset(with_stress: int, validated_with_stress: int) -> Dataset:
    return Dataset(
        kinds=["eq"],
        frames={"train": 20, "valid": 4},
        frames_with_stress={"train": with_stress, "valid": validated_with_stress},
        dataset_hash="d",
        split_hash="e",
        fitted_e0s_ev={},
        e0s_ev={},
    )


@pytest.mark.parametrize(
    ("model", "remedy"),
    [
        (MACE, "give stress_weight: 0 to train on energies and forces alone, so that the density is not learnt"),
        (MACE | {"stress_weight": "auto"}, "give stress_weight: 0 "),
        (DEEPMD, "give start_pref_v: 0 and limit_pref_v: 0 "),
        (DEEPMD | {"start_pref_v": 0.0}, "give start_pref_v: 0 and limit_pref_v: 0 "),
    ],
)
def test_a_stress_that_no_frame_has_is_not_weighed(model: dict[str, Any], remedy: str) -> None:
    with pytest.raises(UserError) as caught:
        training.check_stress(tiny.training_settings(model), dataset(0, 4))
    (line,) = caught.value.errors
    assert line.startswith(f"model {model['id']}: ")
    assert "none of the 20 training frames has a stress: " + remedy in line


@pytest.mark.parametrize(
    ("model", "with_stress"),
    [
        (MACE | {"stress_weight": 0.0}, 0),
        (DEEPMD | {"start_pref_v": 0.0, "limit_pref_v": 0.0}, 0),
        (MACE, 1),  # those that have one teach it
        (DEEPMD, 20),
    ],
)
def test_what_the_study_says_is_done(model: dict[str, Any], with_stress: int) -> None:
    training.check_stress(tiny.training_settings(model), dataset(with_stress, 0))


def test_a_training_that_other_code_began_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def killed_after(code: str) -> list[str]:
        with pytest.raises(KeyboardInterrupt), training.kept(tmp_path / "kept", ["settings", code], []) as folder:
            there = sorted(path.name for path in folder.iterdir() if path.suffix == ".pt")
            (folder / f"{code}.pt").touch()
            raise KeyboardInterrupt
        return there

    assert killed_after("one") == []
    assert killed_after("one") == ["one.pt"]
    assert killed_after("other") == []


def test_what_killed_attempts_took_counts_until_their_last_file(tmp_path: Path) -> None:
    assert training.spent_before(tmp_path) == 0
    start = time.time() - 1000
    (tmp_path / training.SPENT).write_text(f"{start} 20\n")
    (tmp_path / "epoch.pt").touch()
    os.utime(tmp_path / "epoch.pt", (start + 100, start + 100))  # then it was killed
    assert training.spent_before(tmp_path) == pytest.approx(120, abs=0.01)
    # the next attempt wrote nothing before it was killed too
    assert training.spent_before(tmp_path) == pytest.approx(120, abs=0.01)
