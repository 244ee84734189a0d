"""What is wrong with the files of measured values that a study names."""

from pathlib import Path

import pytest
from planned_studies import Planned, Refusal, Refused, Spoil, demo, each_of, reference_file, rows, study

REFUSALS: list[Refusal] = [
    ("missing_reference", study(references=["mine.csv"]), [
        "references[0]: 'mine.csv': no such file: {here}/mine.csv; a path is relative to the study file"]),
    ("missing_asset", study(references=["assets/references/x.csv"]), [
        "references[0]: 'assets/references/x.csv': no such file: {assets}/references/x.csv; a path is relative to the study file"]),
    ("mistyped_asset", study(references=["assets/references/ilthemro.csv"]), [
        "references[0]: 'assets/references/ilthemro.csv': no such file: {assets}/references/ilthemro.csv; "
        "did you mean assets/references/ilthermo.csv? a path is relative to the study file"]),
    ("reference_of_another_form", study(references=["study.yaml"]), [
        "references[0]: study.yaml: line 1: give the columns ions,property,species,temperature_K,value,unit,low,high,range,n,"
        "source,second_hand"]),
]  # fmt: skip


@each_of(REFUSALS)
def test_refusal(refused: Refused, spoil: Spoil, lines: list[str]) -> None:
    refused(spoil, lines)


def test_references_of_other_liquids_are_refused_before_anything_runs(planned: Planned, tmp_path: Path) -> None:
    content = demo()
    content["references"] = ["mine.csv"]
    reference_file(tmp_path, {}, {"temperature_K": "310"})
    told = "references[0]: mine.csv: none of its 2 rows is of a liquid of this study: give 'bf4:1 pyr14:1'"
    assert planned(content) == (2, [told])
    reference_file(tmp_path, {"ions": "pyr41:1 bf4:1"})
    code, lines = planned(content)
    assert code == 2 and len(lines) == 1
    assert lines[0].startswith("references[0]: mine.csv: line 2: ions: pyr41: neither of assets nor of this study")
    reference_file(tmp_path, {}, {"ions": "pyr14:2 bf4:2", "value": "1210", "low": "1200", "high": "1220"})
    assert planned(content) == (0, [])
    (row,) = rows("references.csv")
    assert (row["value"], row["range"], row["n"]) == ("1210.0", "quartiles", "9")


EMIM, BF4 = "CCn1cc[n+](C)c1", "F[B-](F)(F)F"


@pytest.mark.parametrize("written", ["emim:1 bf4:1", "EMIM:1 [BF4]-:1", "c2mim:2 BF₄⁻:2", "cat:1 an:1"])
def test_an_ion_has_the_references_of_its_chemistry_whatever_it_is_called(
    planned: Planned, tmp_path: Path, written: str
) -> None:
    """An ion of the study's own, whose name is one of acetonitrile's in the library, too."""
    content = demo()
    content["liquids"][0] |= {
        "ions": {"cat": {"smiles": EMIM, "count": 4}, "an": {"smiles": BF4, "count": 4}}, "temperatures_K": [310],
    }  # fmt: skip
    content["references"] = ["mine.csv"]
    diffusion = {"property": "diffusion", "unit": "m2/s", "value": "2e-11", "low": "1e-11", "high": "3e-11"}
    first, _, second = written.partition(" ")
    names = [word.partition(":")[0] for word in (first, second)]
    reference_file(
        tmp_path, *({"ions": written} | change for change in ({}, *(diffusion | {"species": name} for name in names)))
    )
    assert planned(content) == (0, [])
    assert sorted((row["property"], row["species"]) for row in rows("references.csv")) == [
        ("density", ""), ("diffusion", "an"), ("diffusion", "cat"),
    ]  # fmt: skip


def test_two_names_of_one_ion_are_one_in_its_references(planned: Planned) -> None:
    content = demo()
    twice = {"smiles": EMIM, "count": 4}
    content["liquids"][0] |= {"ions": {"cat": twice, "EMIM": 4, "bf4": 8}, "temperatures_K": [353.15, 280]}
    assert planned(content) == (0, [])
    density = {row["temperature_K"]: row["value"] for row in rows("references.csv") if row["property"] == "density"}
    assert float(density["353.15"]) == pytest.approx(1240, abs=10)
    assert "melts at 284-288 K" in Path("plan/warnings.txt").read_text()
