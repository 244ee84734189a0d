"""What to cite: the list of the report is the one for people, and a study cites what it used."""

from pathlib import Path

import pytest

from ionmelt.report import citations
from ionmelt.report.citations import Citation, used
from ionmelt.theory import THEORIES

LIST = (Path(__file__).parents[3] / "CITATIONS.md").read_text()


def all_citations() -> list[Citation]:
    """Return every work that a report may name, but for those of functionals."""
    alone = [value for value in vars(citations).values() if isinstance(value, Citation)]
    groups = [value for value in vars(citations).values() if isinstance(value, tuple)]
    return alone + [work for group in groups for work in group if isinstance(work, Citation)]


def test_the_list_for_people_has_every_work_of_the_report_word_for_word() -> None:
    works = {f"- {work.text} {work.link}" for work in all_citations()}
    assert len(works) > 15
    lines = set(LIST.splitlines())
    assert works <= lines
    missing = {line for line in lines if line.startswith("- ")} - works
    assert [line for line in missing if "GPU-acceleration" not in line] == [], "GPU4PySCF alone is not told from PySCF"


@pytest.mark.parametrize(
    ("study", "labels", "words", "without"),
    [
        ({"models": [{"framework": "mace"}]}, {"engine": "xtb", "method": "GFN1-xTB"}, ["MACE:", "GFN1", "PyTorch"], ["DeePMD", "CP2K"]),
        ({"models": [{"framework": "deepmd"}]}, {"engine": "cp2k", "functional": "PBE", "dispersion": "D3(BJ)"},
         ["DeePMD-kit v3", "CP2K", "damping", "PhysRevLett.77.3865"], ["MACE:", "GFN1"]),
        ({"models": [{"framework": "classical"}], "liquids": [{"force_field": "clandp"}]}, {}, ["Ionic Liquids Using", "OPLS"], ["PyTorch", "Sage", "UFF"]),
        ({"liquids": [{"force_field": "xtb"}]}, {"engine": "cp2k", "functional": "PBE"}, ["GFN1-xTB", "CP2K"], ["GFN2", "OPLS"]),
        ({"models": [{"framework": "xtb", "method": "GFN2-xTB"}]}, {}, ["GFN2-xTB"], ["GFN1"]),
        ({"liquids": [{"force_field": "fields/mine.xml"}]}, {}, ["the force field mine.xml"], ["fields/", "OPLS", "GFN"]),
        ({"models": [{"framework": "named", "model": "sevennet-0"}], "liquids": [{"force_field": "openff"}]}, {},
         ["Ionic Liquids Using", "Sage", "OPLS", "UFF", "NAGL", "GFN2-xTB", "Of the model sevennet-0. https://"], ["PyTorch"]),
    ],
)  # fmt: skip
def test_a_study_cites_what_it_used(study: dict, labels: dict, words: list[str], without: list[str]) -> None:
    text = "\n".join(f"{work.text} {work.link}" for work in used(study, labels))
    assert all(word in text for word in words) and not any(word in text for word in without)
    assert "Nextflow" in text and len(text.splitlines()) == len(set(text.splitlines()))


@pytest.mark.parametrize(
    ("source", "link"),
    [
        ("NIST ILThermo (SRD 147) via ILThermoPy 1.1: median", "https://doi.org/10.1021/je700171f"),
        ("arXiv 2503.18249 (its 'experimental' value)", "https://arxiv.org/abs/2503.18249"),
        ("measured by us (doi:10.1021/abc123)", "https://doi.org/10.1021/abc123"),
        ("IAPWS-95, as in handbooks", None),
    ],
)
def test_where_measured_values_are_from_is_cited(source: str, link: str | None) -> None:
    links = {work.link for work in used({}, {}, [source])} - {work.link for work in used({}, {})}
    assert links == ({link} if link else set())


def test_every_functional_that_has_a_name_has_its_source() -> None:
    for theory in THEORIES.values():
        links = {work.link for work in used({}, {"functional": theory.functional, "dispersion": theory.dispersion})}
        assert {f"https://doi.org/{source}" for source in theory.sources} <= links
