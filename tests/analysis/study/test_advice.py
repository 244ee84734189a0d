"""The warnings of a plan."""

import json
from pathlib import Path

import pytest
from planned_studies import ASSETS, Planned, concentrations, demo, loaded

from ionmelt.liquid.ions import library
from ionmelt.study import plan
from ionmelt.study.melting import read_melting


def test_warnings(planned: Planned) -> None:
    content = demo()
    content["liquids"][0]["temperatures_K"] = [400, 430]
    content["md"] |= {"timestep_fs": 2.0, "npt_ps": 50, "nvt_ps": 500}
    assert planned(content) == (0, [])
    assert Path("plan/warnings.txt").read_text().splitlines() == [
        "labels.engine: xtb: semi-empirical labels are for trying things out, not a reference",
        "liquids[0].temperatures_K[0]: 400 K: PYR14BF4 melts at 424-425 K: call it supercooled, or give 430 K",
        "liquids[0].ions: 4 ion pairs are not the liquid: densities and structures depend on the box",
        "liquids[0].ions: 4 ion pairs: diffusion is too slow in so small a box; it needs the Yeh-Hummer correction "
        "(finite_size_correction_m2_s)",
        "liquids[0].temperatures_K[0]: no reference at 400 K for density: models can be told apart, none can be called right",
        "liquids[0].temperatures_K[1]: no reference at 430 K for density: models can be told apart, none can be called right",
        "md.timestep_fs: 2 fs is too long for bonds to hydrogen: 0.5 fs is usual",
        "md.npt_ps: 50 ps is too short for a density to converge: give 100 ps or more",
        "md.nvt_ps: 500 ps is too short for diffusion to converge: give 1000 ps or more",
    ]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            {"engine": "cp2k", "theory": "PBE-D3(BJ)"},
            "fecl4: electrons of Fe may be unpaired, and cp2k labels closed shells",
        ),
        ({"engine": "xtb"}, ""),
    ],
)
def test_dft_of_closed_shells_is_not_the_ground_state_of_a_magnetic_liquid(
    planned: Planned, labels: dict[str, str], said: str
) -> None:
    content = demo()
    content["liquids"][0]["ions"] = {"bmim": 4, "fecl4": {"smiles": "Cl[Fe-](Cl)(Cl)Cl", "count": 4}}
    content |= {"labels": labels, "budget_core_hours": 1e6}
    assert planned(content) == (0, [])
    unpaired = [line for line in Path("plan/warnings.txt").read_text().splitlines() if "unpaired" in line]
    assert len(unpaired) == bool(said)
    assert all(line.startswith(f"liquids[0].ions: {said}") for line in unpaired)


@pytest.mark.parametrize(
    ("liquid", "nvt_ps", "said"),
    [
        (
            {"ions": {"li": 1, "pf6": 1}, "molecules": {"ec": 5, "dmc": 3}},
            1,
            "1 li, 1 pf6 and 3 dmc: diffusion is a mean",
        ),
        (
            {"ions": {"li": 3, "pf6": 3}, "molecules": {"ec": 200}},
            1,
            "3 li and 3 pf6: diffusion is a mean",
        ),  # a large box
        ({"ions": {"li": 1, "pf6": 1}, "molecules": {"ec": 5}}, 0, ""),  # no run that measures it
        ({"ions": {"li": 4, "pf6": 4}, "molecules": {"ec": 20}}, 1, ""),
    ],
)
def test_diffusion_of_a_kind_of_which_there_are_few_is_named(
    planned: Planned, liquid: dict[str, dict[str, int]], nvt_ps: float, said: str
) -> None:
    content = demo()
    content["liquids"] = [{"id": "a", "temperatures_K": [300], "density_guess_kg_m3": 1200} | liquid]
    content["md"]["nvt_ps"] = nvt_ps
    content["budget_core_hours"] = 1e6
    assert planned(content) == (0, [])
    few = [line for line in Path("plan/warnings.txt").read_text().splitlines() if "a mean over" in line]
    assert len(few) == bool(said) and all(line.startswith(f"liquids[0].ions: {said}") for line in few)


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


def test_what_step_is_usual_depends_on_the_mass_of_hydrogen(planned: Planned) -> None:
    content = demo()
    content["md"] |= {"timestep_fs": 2.0, "hydrogen_mass_u": 2.268}  # vibrations last 1.5 times as long
    assert planned(content) == (0, [])
    assert (
        "2 fs is too long for bonds to hydrogen of 2.268 u: 0.75 fs is usual" in Path("plan/warnings.txt").read_text()
    )


def test_a_step_is_not_too_long_for_hydrogen_that_the_engine_holds(planned: Planned) -> None:
    content = demo()
    content["md"] |= {"engine": "openmm", "timestep_fs": 4.0}
    for models, said in ((["clp"], False), (["clp", "mace"], True)):
        content["md"]["models"] = models
        assert planned(content) == (0, [])
        assert ("4 fs is too long for bonds to hydrogen" in Path("plan/warnings.txt").read_text()) == said


def test_a_box_far_off_what_is_asked_for_is_said(planned: Planned) -> None:
    for atoms, said in ((300, True), (3000, False)):
        content = demo() | {"budget_core_hours": 1e6}
        concentrations(mole_fraction={"li": 0.05, "pyr14": 0.45, "tfsi": 0.5}, atoms=atoms)(content)
        assert planned(content) == (0, [])
        line = "composition.atoms: li: the box has 25 % more of it than is asked for: a larger one comes nearer"
        assert (line in Path("plan/warnings.txt").read_text()) == said


def test_temperatures_that_look_like_celsius_and_an_annealing_that_is_none_are_said(planned: Planned) -> None:
    content = demo()
    content["liquids"][0]["temperatures_K"] = [120, 430]
    content["equilibration"] = {"anneal_K": 400}
    for anneal_ps, said in ((60, 1), (0, 0)):
        content["equilibration"]["anneal_ps"] = anneal_ps
        assert planned(content) == (0, [])
        text = Path("plan/warnings.txt").read_text()
        assert "temperatures_K[0]: 120 K is -153.15 degC: is it 120 degC? give 393.15\n" in text
        assert "430 K is" not in text
        assert text.count("anneal_K: 400 K is not above the 430 K of pyr14bf4") == said


@pytest.mark.parametrize(
    ("margins", "said"),
    [({"diffusion_percent": 0.15}, "is it 15 %? give 15"), ({"density_percent": 0.01}, "is it 1 %? give 1"), ({"density_percent": 0.1}, "")],
)  # fmt: skip
def test_a_margin_that_is_a_fraction_is_said(planned: Planned, margins: dict[str, float], said: str) -> None:
    assert planned(demo() | {"margins": margins}) == (0, [])
    lines = [line for line in Path("plan/warnings.txt").read_text().splitlines() if line.startswith("margins")]
    assert len(lines) == bool(said) and all(said in line for line in lines)


@pytest.mark.parametrize(
    ("ions", "kelvin", "solid"),
    [
        ({"li": 8, "bf4": 8}, 300, True),
        ({"li": 8, "bf4": 8}, 900, False),
        ({"li": 8, "tfsi": 8}, 450, True),
        ({"emim": 8, "bf4": 8}, 353, False),
        ({"li": 4, "pyr14": 4, "tfsi": 8}, 200, False),  # a mixture: none is known
        ({"na": 16, "cl": 16}, 300, True),
        ({"na": 16, "cl": 16}, 1200, False),
        ({"emim": 8, "cl": 8}, 300, True),
    ],
)
def test_a_salt_below_its_melting_point_is_called_so(planned: Planned, ions: dict, kelvin: float, solid: bool) -> None:
    content = demo()
    content["liquids"][0] |= {"ions": ions, "temperatures_K": [kelvin]}
    assert planned(content) == (0, [])
    assert ("melts at" in Path("plan/warnings.txt").read_text()) == solid


WATER = {"molecules": {"water": 40}}


@pytest.mark.parametrize(
    ("liquid", "kelvin", "said"),
    [
        (WATER, 200, "H2O melts at 273.15 K: call it supercooled, or give 278.15 K"),
        (WATER, 300, ""),
        (WATER, 400, "H2O boils at 373.12 K: call it superheated, or give less"),
        (WATER | {"pressure_bar": 10.0}, 400, ""),  # it boils at 453 K there
        ({"molecules": {"one": {"smiles": "O", "count": 40}}}, 200, "H2O melts at 273.15 K"),
        ({"molecules": {"ec": 10, "dmc": 10}}, 250, ""),
        ({"ions": {"a": {"smiles": "[Li+]", "count": 8}, "bf4": 8}}, 300, "LiBF4 melts at 566-583 K"),
        ({"ions": {"mg": 4, "tfsi": 8}}, 300, "no melting point of Mg(TFSI)2 is known here: see that it is a liquid"),
        ({"ions": {"p66614": 4, "tfsi": 4}}, 300, ""),
    ],
)  # fmt: skip
def test_what_is_no_liquid_at_its_temperature_is_called_so(
    planned: Planned, liquid: dict, kelvin: float, said: str
) -> None:
    content = demo()
    content["liquids"] = [{"id": "a", "temperatures_K": [kelvin], "density_guess_kg_m3": 500} | liquid]
    content["equilibration"] = content.get("equilibration", {}) | {"cutoff_A": "auto"}
    status, mistakes = planned(content)
    assert (status, mistakes) == (0, [])
    lines = [line for line in Path("plan/warnings.txt").read_text().splitlines() if "melt" in line or "boils" in line]
    assert len(lines) == bool(said) and all(f"{kelvin} K: {said}" in line for line in lines)


def test_melting_points_are_of_the_library_and_below_boiling_points() -> None:
    names = library(ASSETS)
    points = read_melting(ASSETS)
    for liquid, point in points.items():
        assert {name for name, _ in liquid} <= names.keys()
        assert sum(names[name]["charge"] * count for name, count in liquid) == 0
        assert 100 < point.low_K <= point.high_K < (point.boils_K or 2000) and "second-hand" in point.source
    # the chloride of sodium melts hotter than that of lithium: rows that are exchanged show
    assert points[(("cl", 1), ("na", 1))].low_K > points[(("cl", 1), ("li", 1))].high_K
    assert len(points) == len((ASSETS / "references" / "melting.csv").read_text().splitlines()) - 1


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


def test_a_model_that_labels_and_does_not_run_is_named(planned: Planned) -> None:
    """Only where it runs is there a truth of the study, which students are held against."""
    content = demo()
    content["labels"] = {"engine": "model", "model": "sevennet-0"}
    said = (
        "labels.model: sevennet-0 runs no dynamics: no model is held against it, in its properties or its speed: add "
    )
    named = {"framework": "named", "model": "sevennet-0"}
    corrected = {"id": "d3", **named, "dispersion": {"functional": "PBE"}}  # another model than labels
    for models, more, how in (
        ([], {}, "{id: teacher, framework: named, model: sevennet-0} to models"),
        ([corrected], {}, "{id: teacher, framework: named, model: sevennet-0} to models"),
        ([{"id": "s", **named}], {"models": ["clp"]}, "s to md.models"),
        ([{"id": "s", **named}], {}, None),
    ):
        study = content | {"models": content["models"] + models, "md": content["md"] | more}
        assert planned(study) == (0, [])
        warned = Path("plan/warnings.txt").read_text().splitlines()
        assert [line for line in warned if line.startswith("labels.model")] == ([said + how] if how else [])


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
        {"id": "mine", "molecules": {"ether": {"smiles": "CCCOCCC", "count": 16}, "dmc": 4}, "temperatures_K": [300]},
    ]
    assert planned(content) == (0, [])
    warned = Path("plan/warnings.txt").read_text().splitlines()
    assert [line for line in warned if "force_field" in line] == [
        "liquids[0].force_field: alcl4: UFF was made for structures, not for liquids: a start only",
        "liquids[1].force_field: ea, no3: OpenFF Sage was fitted to neutral liquids: densities of ions may be 10 % off",
        "liquids[2].force_field: ether: charges fitted to the potential of GFN2-xTB, not those that OpenFF Sage was fitted with: "
        "docs/force_fields.md has what was seen",
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


@pytest.mark.parametrize(
    ("density", "said"),
    [
        (1291, None),
        (1200, "6 % off"),
        (1000, "the nearest that was measured, with 1291 kg/m3, is na 1 pf6 1 pc 11, 27 % off"),
    ],
)
def test_a_solution_that_was_measured_has_its_reference(planned: Planned, density: float, said: str | None) -> None:
    """1 M NaPF6 in PC, by its own density, by one that is 7 % off, and by one that makes it another solution."""
    content = demo()
    concentrations(molarity={"na": 1, "pf6": 1}, solvent={"pc": 1}, atoms=600)(content)
    content["liquids"][0] |= {"density_guess_kg_m3": density, "temperatures_K": [298.15]}
    assert planned(content) == (0, [])
    warned = Path("plan/warnings.txt").read_text()
    assert ("no reference" in warned) == (density == 1000)
    assert said in warned if said else "off the box" not in warned


@pytest.mark.parametrize(
    ("kind", "density", "warned"),
    [("molarity", {}, True), ("molarity", {"density_guess_kg_m3": 1200}, False), ("molality", {}, False)],
)
def test_a_molarity_of_a_density_that_nobody_gave_is_said(
    planned: Planned, kind: str, density: dict, warned: bool
) -> None:
    """1 M NaPF6 in DME, of which 995 kg/m3 was measured."""
    content = demo()
    concentrations(solvent={"dme": 1}, **{kind: {"na": 1, "pf6": 1}})(content)
    del content["liquids"][0]["density_guess_kg_m3"]
    content["liquids"][0] |= density | {"temperatures_K": [298.15]}
    assert planned(content) == (0, [])
    lines = Path("plan/warnings.txt").read_text().splitlines()
    of_density = "liquids[0].density_guess_kg_m3: left out: the molarity is of a solution of 1200 kg/m3 then: give its measured density"
    assert (of_density in lines) == warned
    if kind == "molarity":
        assert any("the nearest that was measured, with 995 kg/m3, is na 1 pf6 1 dme 9.18, " in line for line in lines)


def test_what_is_held_against_its_own_truth_needs_no_reference(planned: Planned) -> None:
    content = demo() | {"labels": {"engine": "classical"}}
    content["liquids"][0]["temperatures_K"] = [400]
    assert planned(content) == (0, [])
    assert "none can be called right" not in Path("plan/warnings.txt").read_text()
    content["models"] = [model for model in content["models"] if model["framework"] != "classical"]
    assert planned(content) == (0, [])
    assert "none can be called right" in Path("plan/warnings.txt").read_text()


@pytest.mark.parametrize(
    ("boxes", "runs", "is_wide"), [(1, True, True), (2, True, True), (3, True, False), (2, False, False)]
)
def test_a_truth_in_few_boxes_has_a_wide_interval(planned: Planned, boxes: int, runs: bool, is_wide: bool) -> None:
    content = demo()
    content["labels"] = {"engine": "classical"}
    content["md"] |= {"replicas": boxes} | ({} if runs else {"models": ["mace"]})
    assert planned(content) == (0, [])
    said = [line for line in Path("plan/warnings.txt").read_text().splitlines() if line.startswith("md.replicas")]
    wide = "the interval of a truth from so few boxes is wide, however long it runs: 3 or more decide more"
    assert said == ([f"md.replicas: {boxes}: {wide}"] if is_wide else [])
