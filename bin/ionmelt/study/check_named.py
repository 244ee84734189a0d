"""What a study says of a model by its name, judged against the row of the table."""

from ionmelt.mistakes import brief, closest
from ionmelt.models.frameworks.named import NamedModel
from ionmelt.models.named import NAMED
from ionmelt.models.named import NamedModel as Row
from ionmelt.study.boxes import Box
from ionmelt.study.check_weights import check_file
from ionmelt.study.paths import Paths
from ionmelt.study.reading import Draft, Problems


def check_named(
    index: int, model: NamedModel, draft: Draft, boxes: dict[int, Box], paths: Paths, problems: Problems
) -> None:
    """Judge a model that is given by its name: the name, its file, its head, its library, its elements."""
    loc = ("models", index)
    if model.model is None:
        return
    row = NAMED.get(model.model)
    if row is None:
        like = closest(model.model, NAMED, 3, cutoff=0.4) or list(NAMED)[:3]
        text = (
            f"{brief(model.model)} is not known: give a name of the table in docs/named.md, such as {', '.join(like)}"
        )
        problems.add((*loc, "model"), text)
        return
    check_its_file(index, model, row, paths, problems)
    check_its_head(index, model, row, problems)
    check_its_environment(index, model, row, problems)
    for position, box in boxes.items() if row.elements else ():
        if unknown := sorted(box.elements - set(row.elements or ())):
            liquid = draft.liquids[position].id or f"liquids[{position}]"
            problems.add((*loc, "model"), f"{row.name} does not know {', '.join(unknown)}, which {liquid} holds")


def check_its_environment(index: int, model: NamedModel, row: Row, problems: Problems) -> None:
    """Judge where a named model runs: a file of MACE or DeePMD in no environment or image of the user's."""
    loc, brought = ("models", index), model.image or model.environment
    if row.framework != "named" and brought:
        text = f"{row.name} runs in that of {row.framework}: leave this out"
        problems.add((*loc, "environment" if model.environment else "image"), text)


def check_its_file(index: int, model: NamedModel, row: Row, paths: Paths, problems: Problems) -> None:
    """Judge the file of weights of a named model: none where a package holds them, else one with the sha256 that is published."""
    loc = ("models", index)
    if not row.needs_file:
        for name, value in (("weights", model.weights), ("sha256", model.sha256)):
            if value is not None:
                where = row.requires[0] if row.shipped else "where its library keeps them"
                problems.add((*loc, name), f"the weights of {row.name} are in {where}: leave this out")
        return
    if model.weights is None and "weights" in model.model_fields_set:
        fetched = f"bin/fetch_weights.py {row.name} fetches it" if row.address else f"see {row.reference}"
        problems.add((*loc, "weights"), f"missing: the file of {row.name}; {fetched}")
    if model.sha256 is not None and row.sha256 not in (None, model.sha256):
        problems.add((*loc, "sha256"), f"that of {row.name} is {row.sha256}: leave this out")
    elif model.sha256 is None and row.sha256 is None and "sha256" in model.model_fields_set:
        problems.add((*loc, "sha256"), "missing: the sha256 of the weights: they are checked before they are opened")
    if model.weights is not None:
        check_file(index, model.weights, row.sha256 or model.sha256, paths, problems)


def check_its_head(index: int, model: NamedModel, row: Row, problems: Problems) -> None:
    """Judge the head and the level of theory: given for a model of several heads alone, else those of the row."""
    loc = ("models", index)
    for name, value in (("head", model.head), ("theory", model.theory)):
        if row.theory and value is not None:
            problems.add((*loc, name), f"{row.name} imitates {row.theory}: leave this out")
        elif not row.theory and value is None and name in model.model_fields_set:
            problems.add((*loc, name), f"missing: {row.name} has several heads, each of its own level of theory")
