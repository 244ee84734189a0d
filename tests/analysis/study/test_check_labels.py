"""What is wrong with labels, those of an engine and those of the user."""

import csv
import hashlib
import json
from pathlib import Path

from planned_studies import ZERO, Planned, Refusal, Refused, Spoil, Study, demo, each_of, liquid, study, without

REFUSALS: list[Refusal] = [
    ("no_labels", without("labels"), [
        "labels: missing: models[0] is trained; give {engine: xtb}, or {frames: ..., theory: ...}"]),
    ("no_sampling", without("sampling"), [
        "sampling: missing: models[0] is trained; give {eq: {frames: ...}, neq: {...}}"]),
    ("no_level_of_theory", study(labels={"engine": "cp2k"}), [
        "labels: missing: theory, such as PBE-D3(BJ); or functional, dispersion and quality"]),
    ("the_beginning_of_a_level", study(labels={"engine": "cp2k", "theory": "PBE-D3"}), [
        "labels.theory: 'PBE-D3': did you mean PBE-D3(BJ)? give one of 'PBE-D3(BJ)', 'revPBE-D3', 'revPBE-D3(BJ)', 'r2SCAN', "
        "'r2SCAN-D3(BJ)', 'r2SCAN-D4' or 'B97-3c'"]),
    ("missing_own_labels", lambda s: (s.pop("sampling"), s.update(labels={"frames": "mine.extxyz", "theory": "PBE"})), [
        "labels.frames: 'mine.extxyz': no such file: {here}/mine.extxyz; a path is relative to the study file"]),
    ("one_of_several_own_files_missing", lambda s: (s.pop("sampling"), s.update(labels={
        "frames": ["study.yaml", "b.xyz", "study.yaml"], "theory": "PBE"})), [
        "labels.frames[1]: 'b.xyz': no such file: {here}/b.xyz; a path is relative to the study file",
        "labels.frames: 'study.yaml' is given twice"]),
    ("own_labels_twice_said", lambda s: (s.pop("sampling"), s.update(labels={
        "frames": "study.yaml", "theory": "PBE", "stress_key": "a", "virial_key": "b", "stress_unit": "GPa"})), [
        "labels.virial_key: 'b': give stress_key or virial_key, not both",
        "labels.stress_unit: GPa: a virial is in energy_unit: leave this out"]),
    ("names_where_a_format_has_none", lambda s: (s.pop("sampling"), s.update(labels={
        "frames": "study.yaml", "theory": "PBE", "format": "vasp-out", "energy_key": "E", "forces_unit": "Ha/Bohr"})), [
        "labels.energy_key: is for extxyz: vasp-out has no names of its own: leave this out",
        "labels.forces_unit: is for extxyz: the units of vasp-out are known: leave this out"]),
    ("own_labels_with_typos", lambda s: (s.pop("sampling"), s.update(labels={
        "frames": "study.yaml", "theory": "PBE", "energy_unit": "hartree", "virial": "W"})), [
        "labels.energy_unit: 'hartree': give one of 'eV', 'Ha', 'Ry', 'kcal/mol' or 'kJ/mol'",
        "labels.virial: unknown field; did you mean virial_key?"]),
    ("a_liquid_called_other", lambda s: (s.pop("sampling"), s.update(labels={"frames": "study.yaml", "theory": "PBE"}),
        liquid(id="other")(s)), [
        "liquids[0].id: 'other' is the name of imported frames of other compositions: give another"]),
    ("own_labels_and_sampling", study(labels={"frames": "study.yaml", "theory": "PBE"}), [
        "sampling: is not used with labels.frames: leave one of the two out"]),
    ("path_with_a_command", lambda s: (s.pop("sampling"), s.update(labels={"frames": "a$(touch pwned).xyz", "theory": "PBE"})), [
        "labels.frames: 'a$(touch pwned).xyz': give a path without quotes, brackets, commas or any of $ ; & | < > * ? ! # \\"]),
]  # fmt: skip


@each_of(REFUSALS)
def test_refusal(refused: Refused, spoil: Spoil, lines: list[str]) -> None:
    refused(spoil, lines)


USER_XML = """<ForceField><AtomTypes/></ForceField>"""


def labelled_by_force_fields_of_the_user(force_field: str = "own.xml") -> Study:
    """Return a study whose frames are labelled by the force field of its liquid."""
    content = demo() | {"labels": {"engine": "classical"}}
    content["liquids"][0]["force_field"] = force_field
    return content


def test_labels_by_a_force_field_are_of_its_level(planned: Planned) -> None:
    """What changes a label changes the level: another force field or cut-off, and not the name of its file or the machine."""
    text, digest = USER_XML, hashlib.sha256(USER_XML.encode()).hexdigest()
    for name in ("own.xml", "copy.xml"):
        Path(name).write_text(text)
    Path("other.xml").write_text(text.replace("<AtomTypes/>", "<AtomTypes></AtomTypes>"))
    levels: dict[str, str] = {}
    given_ = {"own": {}, "copy": {}, "other": {}, "unseen": {"force_field_sha256": digest}}
    for name, more in given_.items():
        content = labelled_by_force_fields_of_the_user("own.xml" if name == "unseen" else f"{name}.xml")
        content["liquids"][0] |= more
        assert planned(content, *(["--files-unseen"] if name == "unseen" else []), out=name) == (0, [])
        labels = json.loads(Path(name, "labels.json").read_text())
        assert labels["theory_id"] == json.loads(Path(name, "models/mace-eq-s1.json").read_text())["theory_id"]
        levels[name] = labels["theory_id"]
    assert levels["own"] == levels["copy"] == levels["unseen"] != levels["other"]
    assert planned(labelled_by_force_fields_of_the_user() | {"equilibration": {"cutoff_A": 4.0}}, out="cut") == (0, [])
    assert planned(labelled_by_force_fields_of_the_user("clandp"), out="clandp") == (0, [])
    ids = {name: json.loads(Path(name, "labels.json").read_text())["theory_id"] for name in ("own", "cut", "clandp")}
    assert len(set(ids.values())) == 3
    shown = json.loads(Path("own", "labels.json").read_text())["force_fields"]["pyr14bf4"]
    assert shown == {"name": "own.xml", "sha256": digest, "cutoff_A": 4.831}  # 0.42 of the edge
    with Path("own", "boxes.csv").open() as file:
        assert [(row["key"], row["for_labels"]) for row in csv.DictReader(file)] == [
            ("pyr14bf4-r1", "true"), ("pyr14bf4-r2", "false"),
        ]  # fmt: skip


def test_force_fields_that_cannot_label(planned: Planned) -> None:
    Path("own.xml").write_text(USER_XML)
    content = labelled_by_force_fields_of_the_user("xtb")
    content["models"] = content["models"][:2]
    assert planned(content) == (2, [
        "labels.engine: classical: the force field of pyr14bf4 is xtb, which is not a classical one: give the liquid a force "
        "field, or take engine: xtb"
    ])  # fmt: skip
    content = labelled_by_force_fields_of_the_user()
    assert planned(content, "--files-unseen") == (2, [
        "liquids[0].force_field_sha256: missing: own.xml cannot be opened here, in a container or from afar, and the labels are "
        "kept under the sha256 of their force field: give it"
    ])  # fmt: skip
    content["liquids"][0]["force_field_sha256"] = ZERO
    digest = hashlib.sha256(USER_XML.encode()).hexdigest()
    assert planned(content) == (2, [f"liquids[0].force_field_sha256: own.xml has sha256 {digest}, not this one"])
    content["liquids"][0]["force_field"] = "clandp"
    assert planned(content) == (2, [
        "liquids[0].force_field_sha256: is of a file of your own, and force_field is clandp: leave it out"
    ])  # fmt: skip
