"""Levels of theory: a name is the same level as its settings, and only what changes a label changes its theory_id."""

import itertools
from typing import Any

import pytest

from ionmelt import theory as theory_level
from ionmelt.labels.engines import ENGINES as ROWS
from ionmelt.labels.engines.settings import DftLabels
from ionmelt.labels.theory_id import theory_id, theory_settings
from ionmelt.study.check_labels import check_level
from ionmelt.study.reading import Problems, read_draft
from ionmelt.theory import QUALITIES, THEORIES

SECTIONS = {name: row.settings for name, row in ROWS.items()}
ENGINES = {name: section.program for name, section in SECTIONS.items() if issubclass(section, DftLabels)}
SPELLED_OUT = {
    "engine": "cp2k", "functional": "PBE", "dispersion": "D3(BJ)", "potential": "GTH-PBE",
    "basis": "TZV2P-MOLOPT-PBE-GTH", "cutoff_Ry": 1200, "rel_cutoff_Ry": 60, "eps_scf": "1e-7",
    "multigrids": 5, "eps_default": 1e-12, "dispersion_cutoff_A": 16,
}  # fmt: skip
HAD = [(e, name) for e, name in itertools.product(ENGINES, THEORIES) if name not in ENGINES[e].refused]


def settings(labels: dict[str, Any]) -> dict[str, Any]:
    return SECTIONS[labels["engine"]].model_validate(labels).model_dump(mode="json")


def identity(labels: dict[str, Any]) -> str:
    return theory_id(theory_settings(settings(labels)))


def mistakes(labels: dict[str, Any]) -> list[str]:
    problems = Problems()
    draft = read_draft({"labels": labels}, problems)
    if isinstance(draft.study.labels, DftLabels):
        check_level(draft.study.labels, problems)
    return [line for line in problems.lines() if line.startswith("labels")]


def test_a_name_is_the_same_level_as_its_settings() -> None:
    named = {"engine": "cp2k", "theory": "PBE-D3(BJ)", "quality": "production"}
    assert identity(named) == identity(SPELLED_OUT) == identity(named | {"quality": None})
    by_quality = {"engine": "cp2k", "functional": "PBE", "dispersion": "D3(BJ)", "quality": "production"}
    assert identity(by_quality) == identity(SPELLED_OUT)
    assert identity(named | {"quality": "economy"}) != identity(named)


@pytest.mark.parametrize(("engine", "name"), HAD)
def test_every_preset_is_complete_and_its_own_level(engine: str, name: str) -> None:
    for quality in QUALITIES:
        labels = {"engine": engine, "theory": name, "quality": quality}
        if engine == "pyscf":
            labels["device"] = "cuda"  # where it has every functional
        assert mistakes(labels) == []
        full = settings(labels)
        by_hand = {key: value for key, value in full.items() if key not in ("theory", "quality")}
        assert identity(by_hand) == identity(labels)
        assert None not in by_hand.values()
        assert theory_level.name_of(full["functional"], full["dispersion"]) == name


def test_no_two_presets_are_the_same_level() -> None:
    every = [
        identity({"engine": engine, "theory": name, "quality": quality})
        for engine, name in HAD
        for quality in QUALITIES
    ]
    assert len(set(every)) == len(every)


def test_what_is_given_beside_a_name_wins() -> None:
    named = {"engine": "cp2k", "theory": "PBE-D3(BJ)", "quality": "production"}
    full = settings(named | {"cutoff_Ry": 900, "basis": "DZVP-MOLOPT-SR-GTH"})
    assert (full["cutoff_Ry"], full["basis"], full["rel_cutoff_Ry"]) == (900, "DZVP-MOLOPT-SR-GTH", 60)
    assert identity(named | {"cutoff_Ry": 1200}) == identity(named)
    moved = settings(named | {"functional": "r2SCAN"})  # potential and basis follow
    assert (moved["potential"], moved["basis"]) == ("GTH-SCAN", "TZV2P-MOLOPT-SCAN-GTH")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_meta_gga_has_finer_grids(engine: str) -> None:
    for quality, cutoff in zip(QUALITIES, (1600, 2000), strict=True):
        grids = settings({"engine": engine, "theory": "r2SCAN", "quality": quality})
        assert (grids["cutoff_Ry"], grids.get("rel_cutoff_Ry", 60)) == (cutoff, 60)
        plain = settings({"engine": engine, "theory": "PBE-D3(BJ)", "quality": quality})
        assert (plain["cutoff_Ry"] < cutoff, plain["eps_scf"] == grids["eps_scf"]) == (True, True)
    assert settings({"engine": engine, "theory": "r2SCAN", "quality": "economy", "cutoff_Ry": 900})["cutoff_Ry"] == 900


# A value that differs from every preset's, for each field of a labels section.
OTHER: dict[str, Any] = {
    "functional": "revPBE", "dispersion": "D3", "basis": "OTHER", "potential": "OTHER", "cutoff_Ry": 555,
    "rel_cutoff_Ry": 44, "eps_scf": 3e-6, "multigrids": 4, "eps_default": 3e-12, "dispersion_cutoff_A": 15,
    "method": "GFN2-xTB", "accuracy": 0.5, "electronic_temperature_K": 77,
    "chunk": 3, "max_failed_fraction": 0.5, "max_iterations": 99, "max_frame_s": 60, "device": "cuda",
    "spot_check_fraction": 0.5, "model": "chgnet-0.3.0",
}  # fmt: skip
# How the work is done, not what a converged label is.
OF_THE_WORK = {"chunk", "max_failed_fraction", "max_iterations", "max_frame_s", "device", "spot_check_fraction"}
OF_THE_WORK |= {"model"}  # a name: what is behind it counts by its digest (study/test_teacher.py)


@pytest.mark.parametrize("engine", SECTIONS)
def test_only_what_changes_a_label_changes_its_theory_id(engine: str) -> None:
    """Every field is on one side: a field that is added has to be put there."""
    base = {"engine": engine} | ({"theory": "PBE-D3(BJ)", "quality": "production"} if engine in ENGINES else {})
    base |= {"model": "sevennet-0"} if engine == "model" else {}
    fields = set(SECTIONS[engine].model_fields) - {"engine", "theory", "quality"}
    assert fields - set(OTHER) == set()
    for name in fields:
        assert OTHER[name] != settings(base)[name]
        changed = identity(base | {name: OTHER[name]}) != identity(base)
        assert changed == (name not in OF_THE_WORK), name


def test_theory_id_ignores_order_and_sees_values() -> None:
    assert theory_id({"a": 1, "b": 2.5}) == theory_id({"b": 2.5, "a": 1})
    assert theory_id({"a": 1, "b": 2.5}) != theory_id({"a": 1, "b": 2.6})
    assert len(theory_id({})) == 12
    # label stores that people have know their levels by it: it may never change
    assert theory_id({"a": 1.0, "b": "x"}) == "499eec8fbeda"
    with pytest.raises(ValueError, match="JSON"):
        theory_id({"a": float("nan")})


def test_names_of_the_task_are_no_theory() -> None:
    """What stands for other settings of a labels section, and how the work is done."""
    names = ("model", "theory", "quality", "chunk", "max_failed_fraction", "max_frame_s", "max_iterations", "device")
    names += ("spot_check_fraction",)
    assert theory_settings(dict.fromkeys(names, "x") | {"basis": "b", "cutoff_Ry": 800}) == {
        "basis": "b",
        "cutoff_Ry": 800.0,
    }


def test_theory_ignores_what_cannot_change_the_energy() -> None:
    labels = {"engine": "xtb", "method": "GFN1-xTB", "accuracy": 0.1}
    assert theory_settings(labels | {"chunk": 20, "max_iterations": 5}) == labels


def test_the_radius_of_a_dispersion_that_there_is_not_does_not_count() -> None:
    plain = {"engine": "cp2k", "theory": "r2SCAN", "quality": "economy"}
    assert identity(plain) == identity(plain | {"dispersion_cutoff_A": 20})


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        (
            {"engine": "cp2k", "theory": "r2SCAN-D4"},
            "labels.theory: 'r2SCAN-D4' cannot be had with cp2k: CP2K has no D4 here; take r2SCAN-D3(BJ), or engine: pyscf",
        ),
        (
            {"engine": "pyscf", "theory": "B97-3c", "quality": "economy"},
            "labels.theory: 'B97-3c' cannot be had with pyscf: it needs all electrons in the basis def2-mTZVP, and "
            "liquids run with pseudopotentials; take r2SCAN-D3(BJ)",
        ),
        (
            {"engine": "pyscf", "theory": "r2SCAN-D4", "quality": "economy"},
            "labels.functional: 'r2SCAN': PySCF has its forces on a GPU only; use device: cuda, or engine: cp2k",
        ),
        (SPELLED_OUT | {"dispersion": "D4"}, "labels.dispersion: 'D4': CP2K has none here; use D3(BJ), or engine: pyscf"),
        (SPELLED_OUT | {"functional": "r2SCAN", "dispersion": "D3"}, "labels.dispersion: there is no D3 for r2SCAN; use D3(BJ)"),
        (
            {"engine": "cp2k", "theory": "PBE-D3BJ"},
            "labels.theory: 'PBE-D3BJ': did you mean PBE-D3(BJ)? give one of 'PBE-D3(BJ)', 'revPBE-D3', 'revPBE-D3(BJ)', 'r2SCAN', "
            "'r2SCAN-D3(BJ)', 'r2SCAN-D4' or 'B97-3c'",
        ),
        (
            {"engine": "cp2k", "theory": "PBE-D3(BJ)", "quality": "best"},
            "labels.quality: 'best': give one of 'economy' or 'production'",
        ),
        (
            {"engine": "cp2k", "theory": "PBE-D3(BJ)", "cutoff_Ry": 10},
            "labels.cutoff_Ry: 10 is below 50 Ry",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_one_line(labels: dict[str, Any], line: str) -> None:
    assert mistakes(labels) == [line]


def test_without_a_word_of_a_gpu_there_is_none() -> None:
    wrong = theory_level.problem(ENGINES["pyscf"], "r2SCAN", "D4")
    assert wrong is not None and wrong[0] == "functional"
    assert theory_level.problem(ENGINES["pyscf"], "r2SCAN", "D4", on_gpu=True) is None


PAPERS = {
    "PBE": "10.1103/PhysRevLett.77.3865", "revPBE": "10.1103/PhysRevLett.80.890", "r2SCAN": "10.1021/acs.jpclett.0c02405",
    "B97-3c": "10.1063/1.5012601", "D3": "10.1063/1.3382344", "(BJ)": "10.1002/jcc.21759", "D4": "10.1063/1.5090222",
    "r2SCAN with dispersion": "10.1063/5.0041008",
}  # fmt: skip


@pytest.mark.parametrize("name", THEORIES)
def test_every_level_names_the_papers_of_its_functional_and_dispersion(name: str) -> None:
    theory = THEORIES[name]
    expected = {PAPERS[theory.functional]}
    if name != "B97-3c":  # whose paper holds its dispersion
        expected |= {PAPERS[word] for word in ("D3", "(BJ)", "D4") if word in theory.dispersion}
        if theory.functional == "r2SCAN" and theory.dispersion != "none":
            expected.add(PAPERS["r2SCAN with dispersion"])
    assert set(theory.sources) == expected


@pytest.mark.parametrize(
    ("functional", "potential", "bases"),
    [
        ("PBE", "GTH-PBE", ("DZVP-MOLOPT-SR-GTH", "TZV2P-MOLOPT-PBE-GTH")),
        ("revPBE", "GTH-PBE", ("DZVP-MOLOPT-SR-GTH", "TZV2P-MOLOPT-PBE-GTH")),
        ("BLYP", "GTH-BLYP", ("DZVP-MOLOPT-SR-GTH", "TZV2P-MOLOPT-PBE-GTH")),
        ("r2SCAN", "GTH-SCAN", ("DZVP-MOLOPT-SCAN-GTH", "TZV2P-MOLOPT-SCAN-GTH")),
    ],
)
def test_a_quality_stands_for_the_bases_of_the_pseudopotential(
    functional: str, potential: str, bases: tuple[str, str]
) -> None:
    for quality, basis in zip(("economy", "production"), bases, strict=True):
        full = settings({"engine": "cp2k", "functional": functional, "dispersion": "D3(BJ)", "quality": quality})
        assert (full["potential"], full["basis"]) == (potential, basis)


def test_dispersion_is_offered_where_its_damping_was_fitted() -> None:
    every = theory_level.Program("X", ({}, {}))
    fitted = {"PBE": ["D3", "D3(BJ)", "D4"], "revPBE": ["D3", "D3(BJ)", "D4"], "BLYP": ["D3", "D3(BJ)", "D4"],
              "r2SCAN": ["D3(BJ)", "D4"], "B97-3c": ["none"]}  # fmt: skip
    assert {functional: theory_level.fits(functional, every) for functional in fitted} == fitted
    without = theory_level.Program("X", ({}, {}), lacks={"D4": "take D3"})
    assert theory_level.fits("r2SCAN", without) == ["D3(BJ)"]


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("PBE-D3(BJ)/DZVP", "pbe d3bj", True),
        ("PBE by VASP", "PBE, plane waves", True),
        ("PBE with GTH; 400 Ry", "PBE", True),
        ("PBE", "PBE+U", False),
        ("PBE", "revPBE", False),
        ("PBE-D3", "PBE-D3(BJ)", False),
    ],
)
def test_levels_are_the_same_whatever_basis_and_program_are_said(a: str, b: str, same: bool) -> None:
    assert theory_level.same_level(a, b) is same


@pytest.mark.parametrize(
    ("theory", "functional", "said"),
    [
        ("PBE", "PBE", None),
        ("PBE+U", "PBE", None),
        ("PBE+U", "r2SCAN", "give functional: PBE"),
        ("r2SCAN+U/plane waves", "r2SCAN", None),
        ("PBE", "BLYP", "give functional: PBE"),
        ("revPBE/TZV2P", "PBE", "give functional: revPBE"),
        *((name, "PBE", "twice") for name in ("PBE-D2", "PBE-D3", "PBE D3(BJ)", "PBE-D4", "PBE-MBD", "PBE-TS", "vdW-DF2",
          "rVV10", "wB97M-V", "B97M-V", "BLYP-XDM")),
    ],
)  # fmt: skip
def test_dispersion_is_added_once_and_with_its_own_parameters(theory: str, functional: str, said: str | None) -> None:
    problem = theory_level.dispersion_problem(theory, functional)
    assert problem is None if said is None else said in (problem or "")
    assert theory_level.level_with("PBE", None) == "PBE"
    assert theory_level.level_with("PBE", "PBE") == "PBE-D3(BJ)"


def test_models_of_one_other_level_are_named_together() -> None:
    one = theory_level.two_levels({"a": "PBE"}, "r2SCAN")
    assert one.startswith("a imitates PBE, the labels are r2SCAN: its errors on them are those of the model")
    three = theory_level.two_levels({"a": "PBE", "b": "PBE-D3", "c": "PBE"}, "r2SCAN")
    assert three.startswith(
        "a and c imitate PBE, b imitates PBE-D3, the labels are r2SCAN: their errors on them are those of the models"
    )
