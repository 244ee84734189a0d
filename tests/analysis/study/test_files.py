"""The folder of a plan."""

from pathlib import Path

import pytest
from planned_studies import ASSETS, DEMO, Planned

from ionmelt.study import plan as plan_module


def test_a_plan_replaces_no_other_folder(planned: Planned, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").mkdir()
    Path("mine/work").write_text("x")
    Path("study.yaml").write_text(DEMO)
    assert plan_module.main(["--study", "study.yaml", "--assets", str(ASSETS), "--out", "mine"]) == 2
    assert capsys.readouterr().err == "error: out: mine: exists and is not a plan: give another folder\n"
    assert Path("mine/work").exists()
