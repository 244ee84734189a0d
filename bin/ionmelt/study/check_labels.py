"""What a study says of its labels, judged: whether an engine has the level of theory, and where the user's own are."""

from collections.abc import Mapping
from typing import Any

from ionmelt.labels.engines import ENGINES
from ionmelt.labels.engines.settings import DftLabels, LabelTasks, PyscfLabels
from ionmelt.labels.settings import OwnLabels
from ionmelt.liquid.settings import BUILT_IN
from ionmelt.mistakes import brief
from ionmelt.study.boxes import repeated
from ionmelt.study.paths import Paths, missing_file
from ionmelt.study.reading import Draft, Problems
from ionmelt.theory import problem

OTHER_LIQUID = "other"  # the name that import_labels.py gives to frames of no liquid of the study
KEYS = ("energy_key", "forces_key", "stress_key", "virial_key", "group_key")
UNITS = ("energy_unit", "forces_unit", "stress_unit", "stress_order")


def check_labels(draft: Draft, raw: Mapping[str, Any], trained: list[int], paths: Paths, problems: Problems) -> None:
    """Judge the labels, and whether the study has what models are trained on; `trained`: the models that are."""
    labels = draft.study.labels
    if isinstance(labels, DftLabels):
        check_level(labels, problems)
    if isinstance(labels, LabelTasks) and ENGINES[labels.engine].boxes:
        check_force_fields(draft, labels.engine, paths, problems)
    brought = isinstance(labels, OwnLabels)
    if isinstance(labels, OwnLabels):
        check_own_labels(draft, labels, paths, problems)
        if raw.get("sampling") is not None:
            problems.add(("sampling",), "is not used with labels.frames: leave one of the two out")
    if not trained:
        return
    which = f"models[{trained[0]}] is trained"
    if raw.get("labels") is None:
        problems.add(("labels",), f"missing: {which}; give {{engine: xtb}}, or {{frames: ..., theory: ...}}")
    elif raw.get("sampling") is None and not brought and labels is not None:
        problems.add(("sampling",), f"missing: {which}; give {{eq: {{frames: ...}}, neq: {{...}}}}")


def check_level(labels: DftLabels, problems: Problems) -> None:
    """Refuse a level of theory that the DFT program does not have."""
    on_gpu = isinstance(labels, PyscfLabels) and labels.device == "cuda"
    if wrong := problem(labels.program, labels.functional, labels.dispersion, labels.theory, on_gpu):
        problems.add(("labels", wrong[0]), wrong[1])


def check_force_fields(draft: Draft, engine: str, paths: Paths, problems: Problems) -> None:
    """Judge whether the force fields of the liquids can be what frames are labelled by, and can be told from others."""
    for index, liquid in draft.liquids.items():
        force_field, name = liquid.force_field, liquid.id or f"liquids[{index}]"
        if force_field == "xtb":
            text = f"{engine}: the force field of {name} is xtb, which is not a classical one: give the liquid a force field, "
            problems.add(("labels", "engine"), text + "or take engine: xtb")
        unseen = force_field not in (None, *BUILT_IN) and paths.path(force_field) is None
        if unseen and liquid.force_field_sha256 is None:
            text = f"missing: {force_field} cannot be opened here, in a container or from afar, and the labels are kept under "
            problems.add(("liquids", index, "force_field_sha256"), text + "the sha256 of their force field: give it")


def check_own_labels(draft: Draft, labels: OwnLabels, paths: Paths, problems: Problems) -> None:
    """Judge what the study says about labels that the user already has."""
    files = labels.paths()
    for index, text in enumerate(files):
        if wrong := missing_file(paths, text, folder=True):
            problems.add(("labels", "frames") if isinstance(labels.frames, str) else ("labels", "frames", index), wrong)
    for text in repeated(list(files)):
        problems.add(("labels", "frames"), f"{brief(text)} is given twice")
    if labels.stress_key and labels.virial_key:
        problems.add(("labels", "virial_key"), f"{brief(labels.virial_key)}: give stress_key or virial_key, not both")
    if labels.virial_key and labels.stress_unit not in (None, "eV/A^3"):
        problems.add(("labels", "stress_unit"), f"{labels.stress_unit}: a virial is in energy_unit: leave this out")
    if labels.format not in ("auto", "extxyz"):
        check_format(labels, problems)
    for index, liquid in draft.liquids.items():
        if liquid.id == OTHER_LIQUID:
            text = f"{OTHER_LIQUID!r} is the name of imported frames of other compositions: give another"
            problems.add(("liquids", index, "id"), text)


def check_format(labels: OwnLabels, problems: Problems) -> None:
    """Refuse names and units of extxyz where the files are of a program, whose names and units are fixed."""
    given = {name for name, value in labels if value is not None}
    for name in KEYS:
        if name in given:
            text = f"is for extxyz: {labels.format} has no names of its own: leave this out"
            problems.add(("labels", name), text)
    for name in UNITS:
        if name in given:
            kind = "orders" if name == "stress_order" else "units"
            problems.add(("labels", name), f"is for extxyz: the {kind} of {labels.format} are known: leave this out")
