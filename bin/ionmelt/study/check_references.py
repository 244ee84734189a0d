"""The files of measured values that a study names, read and judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ionmelt.errors import UserError
from ionmelt.mistakes import brief
from ionmelt.study.boxes import Box
from ionmelt.study.paths import Paths, missing_file
from ionmelt.study.reading import Draft, Problems
from ionmelt.study.reference_files import read_references
from ionmelt.study.references import Composition, Reference, composition, spelled


@dataclass(frozen=True)
class KnownIons:
    """The ions that a file of references may name, by their charges, and the liquids of the study."""

    bundled: Mapping[str, int]  # of assets/ions
    of_study: Mapping[str, int]
    liquids: frozenset[Composition]
    whole: bool  # whether every liquid of the study is right: the ions of one that is wrong are not known, which is said already

    def charges(self, bundled: bool) -> Mapping[str, int] | None:
        """Return the charges of the ions that a file may name, one that comes with Ionmelt or not; None: of any."""
        if bundled:
            return self.bundled
        return {**self.bundled, **self.of_study} if self.whole else None


def check_references(
    draft: Draft, library: Mapping[str, Any], boxes: dict[int, Box], paths: Paths, problems: Problems
) -> list[Reference]:
    """Return the values of every file of references, and note what is wrong with them; `library`: the ions of assets/ions."""
    ions = KnownIons(
        bundled={name: entry["charge"] for name, entry in library.items()},
        of_study={ion.name: ion.charge for box in boxes.values() for ion in box.ions},
        liquids=frozenset(composition(box.counts) for box in boxes.values()),
        whole=len(boxes) == len(draft.liquids),
    )
    references: list[Reference] = []
    for index, text in enumerate(draft.study.references or ()):
        references += references_in(text, index, ions, paths, problems)
    return references


def references_in(text: str, index: int, ions: KnownIons, paths: Paths, problems: Problems) -> list[Reference]:
    """Return the values of the file of references at a place of the study's list, and note what is wrong with it."""
    loc, path, bundled = ("references", index), paths.path(text), text.startswith("assets/")
    if path is None:
        problems.add(loc, f"{brief(text)}: cannot be read from here: put it into assets/references")
        return []
    if wrong := missing_file(paths, text):
        problems.add(loc, wrong)
        return []
    try:
        values = read_references(path, ions.charges(bundled))
    except UserError as error:
        for line in error.errors:
            problems.add(loc, line)
        return []
    # Files that come with Ionmelt are of many liquids; one of the user's own is of these.
    if ions.whole and not bundled and not any(value.composition in ions.liquids for value in values):
        wanted = " or ".join(sorted(repr(spelled(liquid)) for liquid in ions.liquids))
        problems.add(loc, f"{path.name}: none of its {len(values)} rows is of a liquid of this study: give {wanted}")
    return values
