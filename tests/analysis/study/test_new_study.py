"""A study written to begin with is right as it stands, wherever it lies, and for every salt of the library."""

import itertools
import json
import re
from pathlib import Path

import pytest
import yaml

from ionmelt.study import new
from ionmelt.study import plan as plan_module

ROOT = Path(__file__).resolve().parents[3]
IONS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "assets" / "ions").glob("*.yaml")}
TYPED = {name: ion["charge"] for name, ion in IONS.items() if ion["types"]}
CATIONS, ANIONS = (sorted(name for name, charge in TYPED.items() if sign * charge > 0) for sign in (1, -1))


def test_it_is_a_study_whose_schema_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "deep" / "my.yaml"
    file.parent.mkdir()
    assert new.main([str(file), "--ions", "emim,bf4", "--temperature", "353"]) == 0
    screen = capsys.readouterr().out
    assert re.search(r"^label +\d+ +frames", screen, re.M)
    assert f"--study {file} --outdir" in screen
    schema = re.match(r"# yaml-language-server: \$schema=(.*)\n", file.read_text())[1]
    assert json.loads((file.parent / schema).read_text())["title"] == "Study"
    study = yaml.safe_load(file.read_text())
    assert study["liquids"][0]["temperatures_K"] == [353]
    assert study["liquids"][0]["ions"]["emim"] == study["liquids"][0]["ions"]["bf4"] > 0


def test_every_ion_of_the_force_field_can_be_begun_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {"li", "emim"} <= set(CATIONS) and {"bf4", "tfsi"} <= set(ANIONS)
    for cation, anion in zip(CATIONS, itertools.cycle(ANIONS), strict=False):
        file = tmp_path / f"{cation}{anion}.yaml"
        assert new.main([str(file), "--ions", f"{anion},{cation}", "--temperature", "600"]) == 0, capsys.readouterr()


def test_what_stands_beside_the_fields_is_right_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings that its comments call real are those of a study: what they name is there, and can have that value."""
    monkeypatch.chdir(tmp_path)
    assert new.main(["my.yaml", "--ions", "emim:32,bf4:32", "--temperature", "353"]) == 0
    study = yaml.safe_load(Path("my.yaml").read_text())
    study["labels"] = {"engine": "cp2k", "theory": "PBE-D3(BJ)", "quality": "production"}
    study["equilibration"] |= {"timestep_fs": 2, "cool_ps": 100, "settle_ps": 100, "production_ps": 2000}
    study["models"][0] |= {"channels": 64, "max_L": 1, "r_max_A": 6, "correlation": 3, "epochs": 200, "batch_size": 5}
    study["models"][1] = {"id": "dpmd", "framework": "deepmd", "rcut_A": 6.0, "steps": 400000}
    study["md"] |= {"npt_ps": 200, "nvt_ps": 1000, "replicas": 3}
    study |= {"seeds": [1, 2, 3], "budget_core_hours": 1e9}
    Path("real.yaml").write_text(yaml.safe_dump(study))
    assert plan_module.main(["--study", "real.yaml", "--assets", str(ROOT / "assets")]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ions", "emmim,bf4", "--temperature", "353"], ["--ions: emmim: unknown ion 'emmim'; did you mean emim? known: "]),
        (["--ions", "emim,bmim", "--temperature", "353"], ["--ions: emim,bmim: both have a charge of the same sign"]),
        (["--ions", "emim,li,bf4", "--temperature", "353"], ["--ions: emim,li,bf4: give two ions, such as emim,bf4, or"]),
        (["--ions", "emim:two,bf3", "--temperature", "353"], ["--ions: emim:two: give NAME:COUNT", "--ions: bf3: unknown"]),
        (["--ions", "ea,no3", "--temperature", "353"], ["--ions: ea: has no types in CL&P", "--ions: no3: has no types"]),
        (["--ions", "li,water", "--temperature", "353"], ["--ions: water: is neutral"]),
        (["--ions", "emim:2,bf4:3", "--temperature", "353"], ["liquids[0].ions: "]),
        (["--ions", "emim,bf4", "--temperature", "80"], ["--temperature: 80: give kelvin"]),
    ],
)  # fmt: skip
def test_mistakes_are_a_line_each_and_nothing_is_written(
    arguments: list[str], said: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new.main([str(tmp_path / "my.yaml"), *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(said)
    for line, beginning in zip(lines, said, strict=True):
        assert line.startswith(f"error: {beginning}")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("mine\n")
    assert new.main([str(file), "--ions", "emim,bf4", "--temperature", "353"]) == 2
    assert file.read_text() == "mine\n"
