"""Levels of theory: a name is the same level as its settings, and only what changes a label changes its theory_id."""

import itertools
import re
from typing import Any

import pytest

from ionmelt import theory as theory_level
from ionmelt.frame import NOT_THEORY, theory_id, theory_settings
from ionmelt.labels.engines import ENGINES as ROWS
from ionmelt.labels.engines.settings import DftLabels, LabelTasks
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
        found = settings({"engine": engine, "theory": "r2SCAN", "quality": quality})
        assert (found["cutoff_Ry"], found.get("rel_cutoff_Ry", 60)) == (cutoff, 60)
        plain = settings({"engine": engine, "theory": "PBE-D3(BJ)", "quality": quality})
        assert (plain["cutoff_Ry"] < cutoff, plain["eps_scf"] == found["eps_scf"]) == (True, True)
    assert settings({"engine": engine, "theory": "r2SCAN", "quality": "economy", "cutoff_Ry": 900})["cutoff_Ry"] == 900


# A value that differs from every preset's, for each field of a labels section.
OTHER: dict[str, Any] = {
    "functional": "revPBE", "dispersion": "D3", "basis": "OTHER", "potential": "OTHER", "cutoff_Ry": 555,
    "rel_cutoff_Ry": 44, "eps_scf": 3e-6, "multigrids": 4, "eps_default": 3e-12, "dispersion_cutoff_A": 15,
    "method": "GFN2-xTB", "accuracy": 0.5, "electronic_temperature_K": 77,
    "chunk": 3, "max_failed_fraction": 0.5, "max_iterations": 99, "max_frame_s": 60, "device": "cuda",
    "spot_check_fraction": 0.5,
}  # fmt: skip


@pytest.mark.parametrize("engine", SECTIONS)
def test_only_what_changes_a_label_changes_its_theory_id(engine: str) -> None:
    """Every field is on one side: a field that is added has to be put there."""
    base = {"engine": engine} | ({"theory": "PBE-D3(BJ)", "quality": "production"} if engine in ENGINES else {})
    fields = set(SECTIONS[engine].model_fields) - {"engine", "theory", "quality"}
    assert fields - set(OTHER) == set()
    for name in fields:
        assert OTHER[name] != settings(base)[name]
        changed = identity(base | {name: OTHER[name]}) != identity(base)
        assert changed == (name not in NOT_THEORY), name
    assert set(LabelTasks.model_fields) <= set(NOT_THEORY)


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
            "labels.theory: 'PBE-D3BJ': give one of 'PBE-D3(BJ)', 'revPBE-D3', 'revPBE-D3(BJ)', 'r2SCAN', "
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


def test_every_level_names_its_sources() -> None:
    for theory in THEORIES.values():
        assert theory.sources
        assert all(re.fullmatch(r"10\.\d{4,}/\S+", doi) for doi in theory.sources)
