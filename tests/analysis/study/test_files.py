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


@pytest.mark.parametrize("beside", ["report.html", "tables/summary.csv"])
def test_a_plan_takes_the_place_of_a_plan_alone(planned: Planned, beside: str) -> None:
    """Results have a study.json too: a slip of the hand, --out for --outdir, must not cost them."""
    Path("study.yaml").write_text(DEMO)
    command = ["--study", "study.yaml", "--assets", str(ASSETS), "--out", "mine"]
    assert plan_module.main(command) == plan_module.main(command) == 0
    path = Path("mine", beside)
    path.parent.mkdir(exist_ok=True)
    path.write_text("of core-months")
    assert plan_module.main(command) == 2
    assert path.read_text() == "of core-months"
    for name in ("SHA256SUMS", "plan.txt"):
        Path("mine", name).unlink()
    assert plan_module.main(command) == 2
    assert path.read_text() == "of core-months"
