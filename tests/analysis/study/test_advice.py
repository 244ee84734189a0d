"""The warnings of a plan."""

import json
from pathlib import Path

import pytest
from planned_studies import ASSETS, Planned, demo, loaded

from ionmelt.study import plan


def test_warnings(planned: Planned) -> None:
    content = demo()
    content["liquids"][0]["temperatures_K"] = [400, 430]
    content["md"] |= {"timestep_fs": 2.0, "npt_ps": 50, "nvt_ps": 500}
    assert planned(content) == (0, [])
    assert Path("plan/warnings.txt").read_text().splitlines() == [
        "labels.engine: xtb: semi-empirical labels are for trying things out, not a reference",
        "liquids[0].temperatures_K[0]: 400 K: bf4 pyr14 melts at 424-425 K: call it supercooled, or give 430 K",
        "liquids[0].ions: 4 ion pairs are not the liquid: densities and structures depend on the box",
        "liquids[0].ions: 4 ion pairs: diffusion is too slow in so small a box; it needs the Yeh-Hummer correction "
        "(finite_size_correction_m2_s)",
        "liquids[0].temperatures_K[0]: no reference at 400 K for density: models can be told apart, none can be called right",
        "liquids[0].temperatures_K[1]: no reference at 430 K for density: models can be told apart, none can be called right",
        "md.timestep_fs: 2 fs is too long for bonds to hydrogen: 0.5 fs is usual",
        "md.npt_ps: 50 ps is too short for a density to converge: give 100 ps or more",
        "md.nvt_ps: 500 ps is too short for diffusion to converge: give 1000 ps or more",
    ]


def test_a_step_is_too_long_for_hydrogen_only_where_there_is_some(planned: Planned) -> None:
    content = demo()
    content["md"]["timestep_fs"] = 2.0
    content["liquids"] = [
        {"id": "salt", "ions": {"li": 4, "bf4": 4}, "temperatures_K": [600], "density_guess_kg_m3": 500},
        content["liquids"][0],
    ]
    for liquids, said in (
        (content["liquids"], ["bonds to hydrogen of pyr14bf4: 0.5 fs is usual"]),
        (content["liquids"][:1], []),
    ):
        assert planned(content | {"liquids": liquids}) == (0, [])
        warned = Path("plan/warnings.txt").read_text().splitlines()
        assert [line.split(" too long for ")[1] for line in warned if "hydrogen" in line] == said


@pytest.mark.parametrize(
    ("ions", "kelvin", "solid"),
    [
        ({"li": 8, "bf4": 8}, 300, True),
        ({"li": 8, "bf4": 8}, 900, False),
        ({"li": 8, "tfsi": 8}, 450, True),
        ({"emim": 8, "bf4": 8}, 353, False),
        ({"li": 4, "pyr14": 4, "tfsi": 8}, 200, False),  # a mixture: none is known
    ],
)
def test_a_salt_below_its_melting_point_is_called_so(planned: Planned, ions: dict, kelvin: float, solid: bool) -> None:
    content = demo()
    content["liquids"][0] |= {"ions": ions, "temperatures_K": [kelvin]}
    assert planned(content) == (0, [])
    assert ("melts at" in Path("plan/warnings.txt").read_text()) == solid


def test_the_plan_in_words_and_as_json_is_the_plan(planned: Planned, capsys: pytest.CaptureFixture[str]) -> None:
    """What is shown before the first task, and what scripts are given, say what the files of the plan hold."""
    assert planned(demo()) == (0, [])
    shown = Path("plan/plan.txt").read_text().splitlines()
    warnings = Path("plan/warnings.txt").read_text().splitlines()
    assert shown[0].startswith("plan of demo")
    assert [line.removeprefix("warning: ") for line in shown if line.startswith("warning: ")] == warnings
    files = sorted(Path().rglob("*"))
    assert plan.main(["--study", "study.yaml", "--assets", str(ASSETS), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    stages = {row["stage"]: row["core_hours"] for row in loaded("estimate.json")["stages"]}
    assert {row["stage"]: row["core_hours"] for row in told["estimate"]["stages"]} == stages
    assert all(any(line.split()[:1] == [stage] for line in shown) for stage in stages)
    assert told["warnings"] == warnings and told["study"]["md"]["replicas"] == 2
    assert sorted(Path().rglob("*")) == files, "it writes nothing"
    Path("study.yaml").write_text("colour: red\n")
    assert plan.main(["--study", "study.yaml", "--assets", str(ASSETS), "--json"]) == 2
    assert "colour: unknown field" in json.loads(capsys.readouterr().out)["mistakes"][0]


def test_a_setting_that_a_path_does_not_use_is_named(planned: Planned) -> None:
    content = demo()
    content["md"] |= {"engine": "openmm", "barostat_fs": 300}
    assert planned(content) == (0, [])
    assert "md.barostat_fs: is not used for clp: OpenMM's barostat" in Path("plan/warnings.txt").read_text()


def test_frames_that_are_kept_less_often_than_asked_are_announced(planned: Planned) -> None:
    content = demo()
    content["md"] |= {"npt_ps": 2, "nvt_ps": 8, "save_every_fs": 1, "max_trajectory_mb": 4}
    assert planned(content) == (0, [])
    assert (
        "md.save_every_fs: a run of pyr14bf4 may make 12 MB of frames, above max_trajectory_mb 4: they are kept every 4 fs"
        in Path("plan/warnings.txt").read_text().splitlines()
    )


def test_a_large_and_long_study_has_no_warning(planned: Planned) -> None:
    content = demo()
    content["liquids"][0] |= {"ions": {"pyr14": 80, "tfsi": 80}, "temperatures_K": [353.15]}
    content["md"] = {"npt_ps": 200, "nvt_ps": 1000}
    content["labels"] = {
        "engine": "cp2k", "functional": "PBE", "dispersion": "D3", "basis": "DZVP", "potential": "GTH-PBE",
        "cutoff_Ry": 400, "rel_cutoff_Ry": 50, "eps_scf": "1e-6"}  # fmt: skip
    assert planned(content) == (0, [])
    assert Path("plan/warnings.txt").read_text() == ""


def test_a_force_field_that_was_not_made_for_ions_is_said(planned: Planned) -> None:
    content = demo()
    content["liquids"] = [
        {"id": "melt", "ions": {"emim": 8, "alcl4": 8}, "temperatures_K": [353]},
        {"id": "protic", "ions": {"ea": 8, "no3": 8}, "molecules": {"urea": 4}, "temperatures_K": [353]},
    ]
    assert planned(content) == (0, [])
    warned = Path("plan/warnings.txt").read_text().splitlines()
    assert [line for line in warned if "force_field" in line] == [
        "liquids[0].force_field: alcl4: UFF was made for structures, not for liquids: a start only",
        "liquids[1].force_field: ea, no3: OpenFF Sage was fitted to neutral liquids: densities of ions may be 10 % off",
    ]


def test_a_temperature_that_was_measured_needs_no_warning(planned: Planned) -> None:
    """Of EMIM-BF4, whose density ilthermo.csv has from 293 to 363 K, and of water."""
    content = demo()
    content["liquids"] = [
        {"id": "salt", "ions": {"emim": 8, "bf4": 8}, "temperatures_K": [353, 348, 400]},
        {"id": "water", "molecules": {"H2O": 30}, "temperatures_K": [298], "density_guess_kg_m3": 1000},
    ]
    content["models"] = content["models"][2:]
    del content["datasets"]
    assert planned(content) == (0, [])
    warned = Path("plan/warnings.txt").read_text().splitlines()
    assert [line.split(": ")[0] for line in warned if "no reference" in line] == ["liquids[0].temperatures_K[2]"]
    assert "liquids[1].molecules.H2O: taken as water, water" in warned
    assert any(line.startswith("liquids[1].molecules: 30 molecules: diffusion") for line in warned)
