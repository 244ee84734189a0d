"""A study written to begin with is right as it stands, wherever it lies, and for every salt of the library."""

import itertools
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from ionmelt.study import new
from ionmelt.study import plan as plan_module
from ionmelt.study.new_liquid import FORMS

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
    assert (
        f"--study {file} --outdir my_results" in screen
    )  # as the documentation says, and outside the results of the demo
    schema = re.match(r"# yaml-language-server: \$schema=(.*)\n", file.read_text())[1]
    assert json.loads((file.parent / schema).read_text())["title"] == "Study"
    study = yaml.safe_load(file.read_text())
    assert study["liquids"][0]["temperatures_K"] == [353]
    assert study["liquids"][0]["ions"]["emim"] == study["liquids"][0]["ions"]["bf4"] > 0


def test_its_commands_can_be_pasted_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "it's mine, é.yaml"
    assert new.main([name, "--ions", "emim,bf4", "--temperature", "353"]) == 0
    said = capsys.readouterr().out.partition("to run it: ")[2]
    printed = [said, *re.findall(r"^# +(\./nextflow .*?)  ", Path(name).read_text(), re.M)]
    assert len(printed) == 3
    assert {shlex.split(line)[4] for line in printed} == {name}
    assert {shlex.split(line)[6] for line in printed} == {"it's mine, é_results"}
    program, _, project = shlex.split(said)[:3]  # from a folder that is no checkout
    assert Path(program).samefile(ROOT / "nextflow") and Path(project).samefile(ROOT)


def test_every_ion_of_the_force_field_can_be_begun_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {"li", "emim"} <= set(CATIONS) and {"bf4", "tfsi"} <= set(ANIONS)
    for cation, anion in zip(CATIONS, itertools.cycle(ANIONS), strict=False):
        file = tmp_path / f"{cation}{anion}.yaml"
        assert new.main([str(file), "--ions", f"{anion},{cation}", "--temperature", "600"]) == 0, capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "box"),
    [
        (["--ions", "ea=CC[NH3+],an=[O-][N+](=O)[O-]:4"], None),
        (["--ions", "ea=CC[NH3+]:4,an=[O-][N+](=O)[O-]:4"], "4 ea, 4 an: "),
        (["--ions", "mg,cl"], "14 mg, 28 cl: "),
        (["--ions", "Pyr1,4,TFSI"], "4 pyr14, 4 tfsi: "),
        (["--ions", "p6,6,6,14:2,N,N-dimethylpyrrolidinium:2,cl:4"], "2 p66614, 2 pyr11, 4 cl: "),
        (["--molecules", "1,2-dimethoxyethane:8,1,3-dioxolane:8"], "8 dme, 8 dol: "),
        (["--molecules", "ec:20,mine=COC(=O)OC:6"], "20 ec, 6 mine: "),
        (["--ions", "li:1,pf6:1", "--molecules", "ec:5,mine=COC(=O)OC:5"], "1 li, 1 pf6, 5 ec, 5 mine: 118 atoms"),
        (["--ions", "li,pf6", "--molecules", "ec,mine=COC(=O)OC", "--molarity", "1"], "1 li, 1 pf6, 6 ec, 6 mine: "),
        (["--ions", "na,pf6", "--molecules", "pc", "--molality", "1.5"], "2 na, 2 pf6, 12 pc: 172 atoms"),
        (["--ions", "na:2,pf6:2", "--molecules", "pc", "--molality", "1.5"], "2 na, 2 pf6, 12 pc: 172 atoms"),
        (["--ions", "mg,tfsi", "--molecules", "g2", "--molality", "0.5"], "1 mg, 2 tfsi, 15 g2: "),
        (["--ions", "na,cl"], "20 na, 20 cl: "),
    ],
)
def test_any_electrolyte_can_be_begun_with(
    arguments: list[str], box: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Solvents, ions that CL&P has no types for, SMILES, and concentrations: no file is written by hand."""
    done = new.main([str(tmp_path / "my.yaml"), *arguments, "--temperature", "298.15"])
    screen = capsys.readouterr()
    assert done == (0 if box else 2), screen.err
    if box:
        assert box in screen.out
        title = yaml.safe_load((tmp_path / "my.yaml").read_text())["description"]
        assert ("density_guess_kg_m3: left out: the molarity is of" in screen.out) == ("--molarity" in arguments)
        assert "COC" not in title and ("mine" not in str(arguments) or "dimethyl carbonate" in title)
    else:
        assert "give two ions, such as emim,bf4, or how many of each" in screen.err


@pytest.mark.parametrize(
    ("arguments", "atoms"),
    [
        (["--ions", "emim,bf4", "--atoms", "500"], 500),
        (["--ions", "mg,cl", "--atoms", "200"], 200),
        (["--ions", "ea=CC[NH3+],an=[O-][N+](=O)[O-]", "--atoms", "450"], 450),
        (["--ions", "li,pf6", "--molecules", "ec:1,dmc:1", "--molarity", "1", "--atoms", "600"], 600),
        (["--ions", "cho:2,cl:2", "--molecules", "urea:4", "--atoms", "5e2"], 500),
        (["--ions", "cho,cl", "--molecules", "urea:2", "--atoms", "500"], 500),
        (["--molecules", "water", "--atoms", "300"], 300),
    ],
)
def test_the_size_and_a_foundation_model_can_be_asked_for(
    arguments: list[str], atoms: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new.main([str(tmp_path / "my.yaml"), *arguments, "--model", "sevennet-0", "--temperature", "298.15"]) == 0
    screen = capsys.readouterr().out
    box = int(re.search(r": (\d+) atoms", screen)[1])
    assert box == pytest.approx(atoms, rel=0.1)
    assert {"framework": "named", "model": "sevennet-0"}.items() <= yaml.safe_load((tmp_path / "my.yaml").read_text())[
        "models"
    ][3].items()


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
    ("arguments", "kelvin", "guess"),
    [
        (["--ions", "Na+,FSI-", "--molecules", "DME", "--molality", "1"], 298.15, 861),
        (["--molecules", "water:30"], 298.15, 997),
        (["--molecules", "water:30"], 313.15, 992),
        (["--molecules", "dme:10,dmc:10"], 298.15, 951),  # (90.12 + 90.08) / (90.12 / 861 + 90.08 / 1063) = 951
        (["--ions", "li:1,pf6:1", "--molecules", "ec:9,acn:9"], 298.15, 1080),
        (["--ions", "Na+,FSI-", "--molecules", "DME", "--molality", "8"], 298.15, 1200),  # most of it is salt
        (["--ions", "li,pf6", "--molecules", "ec,fec", "--molality", "1"], 298.15, 1200),  # of one nothing was measured
        (["--ions", "emim,bf4"], 298.15, 1200),
    ],
)
def test_a_solution_begins_with_the_density_of_its_solvent(
    arguments: list[str], kelvin: float, guess: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As measured of the molecules alone (assets/references/solvents.csv), at the nearest temperature and without a change of volume."""
    done = new.main([str(tmp_path / "my.yaml"), *arguments, "--temperature", str(kelvin)])
    assert done == 0, capsys.readouterr().err
    text = (tmp_path / "my.yaml").read_text()
    assert yaml.safe_load(text)["liquids"][0]["density_guess_kg_m3"] == pytest.approx(guess, abs=1)
    assert ("as measured of the molecules alone" in text) == (guess != 1200)


def test_a_try_is_what_the_file_says_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The numbers of the file and of the first study, put in, are planned at what the first study says."""
    monkeypatch.chdir(tmp_path)
    assert new.main(["my.yaml", "--ions", "emim,bf4", "--temperature", "353"]) == 0
    text, page = Path("my.yaml").read_text(), (ROOT / "docs" / "first-study.md").read_text()
    said = re.search(
        r"frames (\d+) of eq, (\d+) of volume_scan, (\d+) of each other; epochs (\d+); steps (\d+); npt_ps and nvt_ps ([\d.]+\d)",
        text,
    )
    on_page = re.search(
        r"to (\d+) of `eq`, (\d+) of `volume_scan` and (\d+) of each\s+other, `epochs` to (\d+), `steps` to (\d+), "
        r"and `npt_ps` and `nvt_ps` of `md` to ([\d.]+\d)",
        page,
    )
    assert said.groups() == on_page.groups()
    eq, scan, other, epochs, steps = map(int, said.groups()[:5])
    study = yaml.safe_load(text)
    study["sampling"]["eq"]["frames"] = eq
    for recipe, settings in study["sampling"]["neq"].items():
        settings["frames"] = scan if recipe == "volume_scan" else other
    study["models"][0]["epochs"], study["models"][1]["steps"] = epochs, steps
    study["md"] |= dict.fromkeys(("npt_ps", "nvt_ps"), float(said[6]))
    Path("try.yaml").write_text(yaml.safe_dump(study))
    whole = float(re.search(r"^total +([\d.]+)", capsys.readouterr().out, re.M)[1])
    assert plan_module.main(["--study", "try.yaml", "--assets", str(ROOT / "assets")]) == 0
    cut = float(re.search(r"^total +([\d.]+)", capsys.readouterr().out, re.M)[1])
    falls = re.search(r"falls from ([\d.]+) to ([\d.]+) core-hours", page)
    assert (whole, cut) == pytest.approx(tuple(map(float, falls.groups())), rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ions", "emmim,bf4", "--temperature", "353"], ["--ions: emmim: unknown ion 'emmim'; did you mean emim? known: "]),
        (["--ions", "emim,bmim", "--temperature", "353"], ["--ions: emim,bmim: both have a charge of the same sign"]),
        (["--ions", "emim,li,bf4", "--temperature", "353"], ["--ions: emim,li,bf4: give two ions, such as emim,bf4, or"]),
        (["--ions", "emim:two,bf3", "--temperature", "353"], ["--ions: emim:two: give NAME:COUNT", "--ions: bf3: unknown"]),
        (["--ions", "li,water", "--temperature", "353"], ["--ions: water: is neutral: give it under --molecules"]),
        (["--ions", "li,pf6", "--molecules", "na:3", "--temperature", "353"], ["--molecules: na: has the charge +1: give it"]),
        (["--ions", "li,pf6", "--molecules", "ec,dmc:3", "--temperature", "353"], ["--molecules: ec: how many? give ec:10; or"]),
        (["--ions", "x=CC[NH3,no3", "--temperature", "353"], ["--ions: x: smiles 'CC[NH3' is not a valid SMILES"]),
        (["--molecules", "ec:20 dmc:20", "--temperature", "353"], [f"--molecules: 'ec:20 dmc:20': give {FORMS}"]),
        (["--molecules", "ec:1:2", "--temperature", "353"], [f"--molecules: 'ec:1:2': give {FORMS}"]),
        (["--ions", "CC[NH3+],no3", "--temperature", "353"], ["--ions: CC[NH3+]: unknown ion"]),
        (["--ions", "My Ion=CC[NH3+],no3", "--temperature", "353"], ["--ions: 'My Ion': give NAME=SMILES, the name of small"]),
        (["--ions", "li,lithium,pf6", "--temperature", "353"], ["--ions: lithium: is li, which is given before"]),
        (["--ions", "li,pf6", "--molarity", "1", "--temperature", "353"], ["--molarity: is of ions in molecules: give"]),
        (["--temperature", "353"], ["--ions: missing; such as --ions emim,bf4; or --molecules"]),
        (["--ions", "emim:2,bf4:3", "--temperature", "353"], ["liquids[0].ions: "]),
        (["--ions", "emim,bf4:8", "--atoms", "500", "--temperature", "353"], ["--ions: emim,bf4: give two ions, such as emim,bf4, or how"]),
        (["--ions", "mg,cl", "--molecules", "water:9", "--temperature", "353"], ["--ions: mg,cl: how many beside the molecules? give mg:10,cl:20"]),
        (["--ions", "emim,bf4", "--atoms", "1e8", "--temperature", "353"], ["--atoms: 100000000: give 240000 or less"]),
        (["--ions", "emim,bf4", "--atoms", "many", "--temperature", "353"], ["--atoms: 'many': give a number"]),
        (["--ions", "li,pf6", "--molecules", "ec", "--molarity", "0", "--temperature", "353"], ["--molarity: 0: give a number above 0"]),
        (["--ions", "li,pf6", "--molecules", "ec", "--molarity", "1M", "--temperature", "353"], ["--molarity: '1M': give the number alone, 1, in mol/L"]),
        (["--ions", "emim,bf4", "--temperature", "80 °C"], ["--temperature: '80 °C': give kelvin, 353.15"]),
        (["--ions", "emim,bf4", "--temperature", "353,15"], ["--temperature: '353,15': give a decimal point"]),
        (["--ions", "emim,bf4", "--atoms", "2", "--temperature", "353"], ["--atoms: 2: give 10 or more"]),
        (["--ions", "emim,bf4", "--model", "sevennet", "--temperature", "353"], ["--model: 'sevennet': is not known (docs/named.md"]),
        (["--ions", "emim,bf4", "--model", "uma-s-omol", "--temperature", "353"], ["--model: 'uma-s-omol': needs a file or an"]),
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


def test_the_coldest_liquid_is_not_swung_below_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kelvin in ("100", "353"):
        assert new.main([str(tmp_path / f"{kelvin}.yaml"), "--ions", "emim,bf4", "--temperature", kelvin]) == 0
    assert "error" not in capsys.readouterr().err


def test_parts_keep_their_proportions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Choline chloride and urea 1:2, by whatever multiple they are given."""
    for number, parts in enumerate((("cho:1,cl:1", "urea:2"), ("cho:10,cl:10", "urea:20"), ("cho,cl", "urea:2"))):
        asked = ["--ions", parts[0], "--molecules", parts[1], "--atoms", "500", "--temperature", "333"]
        assert new.main([str(tmp_path / f"{number}.yaml"), *asked]) == 0
        liquid = yaml.safe_load((tmp_path / f"{number}.yaml").read_text())["liquids"][0]
        assert liquid["ions"]["cho"] == liquid["ions"]["cl"] == liquid["molecules"]["urea"] / 2 == 13


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("mine\n")
    assert new.main([str(file), "--ions", "emim,bf4", "--temperature", "353"]) == 2
    assert file.read_text() == "mine\n"
