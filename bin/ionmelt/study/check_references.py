"""The files of measured values that a study names, read and judged."""

from collections.abc import Mapping
from typing import Any

from ionmelt.errors import UserError
from ionmelt.mistakes import brief
from ionmelt.study.boxes import Box
from ionmelt.study.places import Places, missing_file
from ionmelt.study.reading import Draft, Problems
from ionmelt.study.reference_files import read_references
from ionmelt.study.references import Reference, composition, spelled


def check_references(
    draft: Draft, library: Mapping[str, Any], boxes: dict[int, Box], places: Places, problems: Problems
) -> list[Reference]:
    """Return the values of every file of references, and note what is wrong with them; `library`: the ions of assets/ions."""
    charges = {name: entry["charge"] for name, entry in library.items()}
    of_study = {ion["name"]: ion["charge"] for box in boxes.values() for ion in box.ions}
    # The ions of a liquid that is wrong are not known, which is said already.
    whole = len(boxes) == len(draft.liquids)
    liquids = {composition({ion["name"]: ion["count"] for ion in box.ions}) for box in boxes.values()}
    references: list[Reference] = []
    for index, text in enumerate(draft.get("references") or ()):
        loc, path, bundled = ("references", index), places.path(text), text.startswith("assets/")
        if path is None:
            problems.add(loc, f"{brief(text)}: cannot be read from here: put it into assets/references")
            continue
        if wrong := missing_file(places, text):
            problems.add(loc, wrong)
            continue
        try:
            values = read_references(path, charges if bundled else charges | of_study if whole else None)
        except UserError as error:
            for line in error.errors:
                problems.add(loc, line)
            continue
        references += values
        # Files that come with Ionmelt are of many liquids; one of the user's own is of these.
        if whole and not bundled and not any(value.composition in liquids for value in values):
            wanted = " or ".join(sorted(repr(spelled(liquid)) for liquid in liquids))
            problems.add(
                loc, f"{path.name}: none of its {len(values)} rows is of a liquid of this study: give {wanted}"
            )
    return references
