"""Kind, recipe and group of a foreign frame: what it says of itself, else what the study says."""

from collections.abc import Iterator
from dataclasses import dataclass

from ionmelt.frame import KINDS, SCAN_KEY, SCAN_RECIPE
from ionmelt.labels.foreign.blocks import ForeignFrame, is_number
from ionmelt.labels.settings import ImportSettings
from ionmelt.labels.summary import BLOCKS, RECIPE


class BlockGroups:
    """Names the group of a frame that names none: a block of neighbours, of its own file or of a row of small ones."""

    def __init__(self, total: int) -> None:
        self.small_size = max(1, -(-total // BLOCKS))
        self.small = 0

    def of_file(self, number: int, frames: int) -> Iterator[str]:
        """Yield the group of each frame of a file, which is the given one of the study's."""
        size = max(1, -(-frames // BLOCKS))
        for index in range(frames):
            if frames >= BLOCKS:
                yield f"{RECIPE}-file{number}-block{index // size}"
            else:
                yield f"{RECIPE}-files-block{self.small // self.small_size}"
                self.small += 1


@dataclass(frozen=True)
class Identity:
    """What a frame is beside its atoms: kind, recipe, and the trajectory that it was taken from."""

    kind: str
    recipe: str
    group: str


def identity(foreign: ForeignFrame, settings: ImportSettings, block: str) -> tuple[Identity, str | None]:
    """Return what a frame is, of the group `block` if it names none, and what is wrong with the kind that it says it has."""
    info = foreign.info
    kind = str(info.get(settings.kind_key, settings.kind))
    recipe = str(info.get("recipe", RECIPE))
    if recipe == SCAN_RECIPE and not is_number(info.get(SCAN_KEY)):
        recipe = RECIPE  # a scan of another kind: ours says how much its box is scaled
    group = info.get(settings.group_key or "group")
    wrong = None
    if kind not in KINDS:
        wrong = (
            f"{settings.kind_key} is {kind!r}: it must be {' or '.join(KINDS)}; where it says something else, give another "
            "kind_key"
        )
        kind = settings.kind
    elif settings.group_key and group is None:
        wrong = f"group_key {settings.group_key!r} is missing here"
    return Identity(kind, recipe, block if group is None else str(group)), wrong
