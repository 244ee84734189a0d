"""ESTIMATE_LABELS: what a probe takes becomes the bill, and a probe that fails is one line and an exit code."""

import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms

from ionmelt.frame import no_label
from ionmelt.labels import estimate, worker
from ionmelt.labels.engines.settings import Cp2kLabels, XtbLabels
from ionmelt.labels.settings import LabelSettings
from ionmelt.study.estimate import LabelWork, Probe, Stage, assumed

XTB = LabelSettings.of(XtbLabels(engine="xtb"), "0123456789ab").model_dump(mode="json")
CP2K = LabelSettings.of(Cp2kLabels.model_validate({"engine": "cp2k", "theory": "PBE-D3(BJ)"}), "0123456789ab")


def write_box(folder: Path, liquid: str = "libf4", gap_A: float = 2.0) -> Path:
    """Write the box of one LiBF4 pair as BUILD_LIQUID does, as far as it is read, the lithium a gap away from a fluorine."""
    arms = np.array([[1, 1, 1], [0, 0, 0], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.4 / np.sqrt(3)
    lithium = arms[0] + np.array([gap_A, 0, 0])
    atoms = Atoms("LiFBF3", np.vstack([lithium, arms]) + 3.0, cell=[7.0] * 3, pbc=True)
    atoms.info["liquid"] = liquid
    folder.mkdir()
    ase.io.write(folder / "box.extxyz", atoms, format="extxyz")
    (folder / "topology.json").write_text(json.dumps({"liquid": liquid, "ions": []}))
    return folder


def write_plan(folder: Path, labels: list[LabelWork]) -> Path:
    """Write the estimate of a plan."""
    label_s = sum(work.frames * work.core_s for work in labels)
    stages = [
        Stage("equilibrate", 1, "boxes", 720.0, "a (clandp): from CL&P in OpenMM"),
        Stage("label", sum(work.frames for work in labels), "frames", label_s, "no label is computed"),
        Stage("train", 2, "models", 3600.0, "m (mace): from MACE"),
        Stage("md", 2, "runs", 1800.0, "m (mace): from MACE"),
    ]
    folder.mkdir()
    (folder / "estimate.json").write_text(json.dumps(assumed(stages, 5.0, labels).content()))
    return folder


def run(tmp_path: Path, settings: dict[str, Any], plan: Path, boxes: list[Path]) -> int:
    (tmp_path / "labels.json").write_text(json.dumps(settings))
    where = ["--settings", "labels.json", "--plan", str(plan), "--out", "estimate.json", "--errors", "errors.txt"]
    return estimate.main([*where, "--boxes", *map(str, boxes)])


def test_a_bill_from_two_probes_of_each_liquid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    works = [LabelWork("a", 6, 100, 20, 0.0, 1e5), LabelWork("b", 6, 30, 20, 0.0, 1e5)]
    plan = write_plan(tmp_path / "plan", works)
    boxes = [write_box(tmp_path / f"{name}-r{replica}", name) for name in "ab" for replica in (1, 2)]
    assert run(tmp_path, XTB, plan, boxes) == 0
    estimate = json.loads((tmp_path / "estimate.json").read_text())
    assert [(probe["liquid"], probe["atoms"], probe["threads"]) for probe in estimate["probes"]] == [
        ("a", 6, 1),
        ("b", 6, 1),
    ]
    assert all(probe["cold_s"] > 0 and probe["chained_s"] > 0 for probe in estimate["probes"])
    rows = {row["stage"]: row for row in estimate["stages"]}
    assert [row["basis"] for row in estimate["stages"]] == ["assumed", "measured", "assumed", "assumed"]
    seconds = 0.0
    for probe, frames in zip(estimate["probes"], (100, 30), strict=True):
        chunks = -(-frames // 20)
        chained = min(probe["chained_s"], probe["cold_s"])
        seconds += chunks * probe["cold_s"] + (frames - chunks) * chained
    assert rows["label"]["core_hours"] == pytest.approx(seconds / 3600, rel=0.01)
    # what was measured of xtb labels of six atoms, not the 3600 core-hours that were assumed
    assert estimate["total_core_hours"] == pytest.approx(1.7 + seconds / 3600, rel=0.01)
    screen = capsys.readouterr().out
    for text in (
        "measured: tblite",
        "s cold",
        "s chained",
        "assumed: a (clandp): from CL&P in OpenMM",
        "budget_core_hours is 5;",
    ):
        assert text in screen
    assert not (tmp_path / "errors.txt").exists()


def test_a_liquid_may_have_a_name_like_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of a molality."""
    monkeypatch.chdir(tmp_path)
    plan = write_plan(tmp_path / "plan", [LabelWork("1.5", 6, 100, 20, 0.0, 1e5)])
    assert run(tmp_path, XTB, plan, [write_box(tmp_path / "1.5-r1", "1.5")]) == 0


def test_nothing_to_label_is_nothing_to_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = write_plan(tmp_path / "plan", [])
    assert run(tmp_path, {"frames": ["mine.extxyz"]}, plan, [write_box(tmp_path / "a-r1")]) == 0
    assert json.loads((tmp_path / "estimate.json").read_text()) == json.loads((plan / "estimate.json").read_text())
    assert "measured:" not in capsys.readouterr().out


def test_a_probe_without_a_label_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = write_plan(tmp_path / "plan", [LabelWork("libf4", 6, 10, 20, 0.02, 1.0)])
    assert run(tmp_path, XTB, plan, [write_box(tmp_path / "close", gap_A=0.3)]) == 2
    line = "labels: the probe of libf4, its packed box of 6 atoms: overlap: atoms overlap in the packed box: give a lower density_guess_kg_m3"
    assert (tmp_path / "errors.txt").read_text() == line + "\n"
    assert f"error: {line}" in capsys.readouterr().err
    assert not (tmp_path / "estimate.json").exists()


@pytest.mark.parametrize(("reason", "code"), [("engine_killed", 75), ("out_of_memory", 75), ("disk_full", 74)])
def test_a_probe_that_the_machine_ended_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reason: str, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(worker.Worker, "label", lambda _self, _atoms, _cold: no_label(reason))
    monkeypatch.setattr(worker.Worker, "start", lambda _self: None)
    plan = write_plan(tmp_path / "plan", [LabelWork("libf4", 6, 10, 20, 0.02, 1.0)])
    assert run(tmp_path, XTB, plan, [write_box(tmp_path / "box")]) == code
    (line,) = capsys.readouterr().err.splitlines()[1:]
    assert f"{reason}: the probe of libf4, its packed box" in line
    assert not (tmp_path / "errors.txt").exists()  # which would end the run


def test_an_engine_that_is_not_here_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    plan = write_plan(tmp_path / "plan", [LabelWork("libf4", 6, 10, 20, 0.02, 1.0)])
    assert run(tmp_path, CP2K.model_dump(mode="json"), plan, [write_box(tmp_path / "box")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "cp2k is not installed" in line
    assert (tmp_path / "errors.txt").read_text().strip() == line.removeprefix("error: ")


def test_a_chained_start_never_counts_for_more_than_a_cold_one() -> None:
    work = LabelWork("a", 6, 41, 20, 0.0, 36.0)
    slow = Probe("a", 6, 2, cold_s=10.0, chained_s=12.0, engine_version="x")
    assert (slow.core_s(work), slow.cold_core_s(work)) == (820.0, 820.0)
    fast = Probe("a", 6, 2, cold_s=10.0, chained_s=4.0, engine_version="x")
    assert (fast.core_s(work), fast.cold_core_s(work)) == (2 * (3 * 10 + 38 * 4), 820.0)
    again = LabelWork("a", 6, 100, 20, 0.02, 36.0)
    assert fast.core_s(again) == pytest.approx(2 * (5 * 10 + 95 * 4 + 2 * 10))


def test_over_budget_is_said() -> None:
    work = [LabelWork("a", 6, 100, 10, 0.0, 36.0)]
    plan = assumed([Stage("label", 100, "frames", 3600.0, "PBE: from CP2K 2023.1")], 2.0, work)
    assert "assumed: PBE: from CP2K 2023.1" in plan.text()
    measured = plan.priced([Probe("a", 6, 4, 100.0, 50.0, "CP2K")])
    assert measured.total_core_hours == pytest.approx(4 * (10 * 100 + 90 * 50) / 3600, rel=0.01)
    assert "budget_core_hours is 2, less than the 6.11 that the plan needs: plan less, or raise it" in measured.text()
