"""What is wrong with the files of measured values that a study names."""

from pathlib import Path

from planned_studies import Planned, Refusal, Refused, Spoil, demo, each_of, reference_file, rows, study

REFUSALS: list[Refusal] = [
    ("missing_reference", study(references=["mine.csv"]), [
        "references[0]: 'mine.csv': no such file: {here}/mine.csv; a path is relative to the study file"]),
    ("missing_asset", study(references=["assets/references/x.csv"]), [
        "references[0]: 'assets/references/x.csv': no such file: {assets}/references/x.csv; a path is relative to the study file"]),
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
