"""The files of measured values that a study names, read and judged."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ionmelt.errors import UserError
from ionmelt.liquid.ions import LibraryIon
from ionmelt.liquid.names import identified
from ionmelt.mistakes import brief
from ionmelt.study.boxes import Box
from ionmelt.study.paths import Paths, missing_file
from ionmelt.study.reading import Draft, Problems
from ionmelt.study.reference_files import read_references
from ionmelt.study.references import SAME_COMPOSITION, Composition, Reference, apart, composition, proportions, spelled


@dataclass(frozen=True)
class KnownIons:
    """The ions that a file of references may name, and the liquids of the study, by the library's names where it has the ion."""

    library: Mapping[str, LibraryIon]
    library_names: Mapping[str, str]  # of the ions of the study
    of_study: Mapping[str, int]  # their charges
    liquids: frozenset[Composition]
    whole: bool  # whether every liquid of the study is right: the ions of one that is wrong are not known, which is said already

    def charges(self, bundled: bool) -> Mapping[str, int] | None:
        """Return the charges of the ions that a file may name, one that comes with Ionmelt or not; None: of any."""
        charges = {name: entry["charge"] for name, entry in self.library.items()}
        if bundled:
            return charges
        return {**charges, **self.of_study} if self.whole else None

    def named(self, name: str) -> str:
        """Return the name of an ion that a file calls so: as the study does, or as chemists do."""
        return self.library_names.get(name) or identified(name, self.library) or name


def check_references(
    draft: Draft, library: Mapping[str, LibraryIon], boxes: dict[int, Box], paths: Paths, problems: Problems
) -> list[Reference]:
    """Return the values of every file of references, and note what is wrong with them; `library`: the ions of assets/ions."""
    ions = KnownIons(
        library=library,
        library_names=dict(item for box in boxes.values() for item in box.library_names.items()),
        of_study={ion.name: ion.charge for box in boxes.values() for ion in box.ions},
        liquids=frozenset(composition(box.library_counts) for box in boxes.values()),
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
        values = read_references(path, ions.charges(bundled), ions.named)
    except UserError as error:
        for line in error.errors:
            problems.add(loc, line)
        return []
    # Files that come with Ionmelt are of many liquids; one of the user's own is of these.
    if ions.whole and not bundled and (wrong := of_no_liquid(values, ions.liquids)):
        problems.add(loc, f"{path.name}: none of its {len(values)} rows is of a liquid of this study: {wrong}")
    return [replace(value, ambient=bundled) for value in values]


def of_no_liquid(references: Sequence[Reference], liquids: Iterable[Composition]) -> str | None:
    """Return what would be right where no reference is of one of these liquids; None where one is."""
    pairs = [
        (apart(box, reference.composition), box, reference.composition) for box in liquids for reference in references
    ]
    off, box, liquid = min(pairs, default=(math.inf, (), ()))
    if off <= SAME_COMPOSITION:
        return None
    if math.isinf(off):
        return "give " + " or ".join(sorted(repr(spelled(box)) for box in liquids))
    return (
        f"the nearest, {proportions(liquid)}, is {100 * off:.0f} % off the box, {proportions(box)}: give a box of that"
    )
