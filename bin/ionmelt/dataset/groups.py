"""Groups of frames, which stay together: each whole group is for training, validation or test."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from ase import Atoms

from ionmelt.files import sha256
from ionmelt.frame import SCAN_RECIPE

TRAINED_KIND = (
    "active"  # what active learning adds is trained on: validation and test stay the same from round to round
)


@dataclass
class Group:
    """The frames that stay together: their indices, and the cell of the design that they stand for."""

    name: str
    frames: list[int] = field(default_factory=list)
    cells: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    test_only: bool = False

    @property
    def cell(self) -> tuple[str, str, str]:
        """Return the (kind, liquid, recipe) of most of its frames."""
        return min(self.cells, key=lambda cell: (-self.cells[cell], cell))


def groups_of(frames: list[Atoms]) -> list[Group]:
    """Return the groups of the frames, sorted by name."""
    groups: dict[str, Group] = {}
    for index, frame in enumerate(frames):
        info = frame.info
        group = groups.setdefault(info["group"], Group(info["group"]))
        group.frames.append(index)
        group.cells[info["kind"], info["liquid"], info["recipe"]] += 1
        group.test_only |= info["recipe"] == SCAN_RECIPE
    return [groups[name] for name in sorted(groups)]


def take_groups(groups: list[Group], target: float, total: int) -> list[Group]:
    """Take whole groups until about `target` frames are taken, spread over the cells as evenly as they allow.

    The next group comes from the cell that is furthest behind its share. A cell's last group is taken
    only when every cell is down to one, and the last group of all never is. One group at least is taken
    (where two or more are there); after it, a group is taken only if that brings the count closer to the target.
    """
    if target <= 0:
        return []
    left: dict[tuple[str, str, str], list[Group]] = defaultdict(list)
    for group in groups:
        left[group.cell].append(group)
    behind = {cell: sum(len(g.frames) for g in members) * target / total for cell, members in left.items()}
    taken: list[Group] = []
    count = 0
    while sum(map(len, left.values())) > 1:
        open_cells = [cell for cell in left if len(left[cell]) > 1] or [cell for cell in left if left[cell]]
        cell = min(open_cells, key=lambda cell: (-behind[cell], cell))
        size = len(left[cell][0].frames)
        if taken and abs(count + size - target) >= abs(count - target):
            break
        taken.append(left[cell].pop(0))
        behind[cell] -= size
        count += size
    return taken


def split_groups(groups: list[Group], valid: float, test: float, seed: int) -> dict[str, str]:
    """Return the split (train, valid or test) of every group.

    Each kind (eq, neq) but that of active learning is divided by itself, so that every dataset has frames of its own kinds to be
    validated on. The order of the groups is a hash of seed and name: groups that come
    later leave the order of the others as it is. Validation comes first where groups are few: without it there is no model.
    """

    def order(group: Group) -> str:
        return sha256(f"{seed}:{group.name}".encode())

    split = {group.name: "test" if group.test_only else "train" for group in groups}
    by_kind: dict[str, list[Group]] = defaultdict(list)
    for group in sorted((g for g in groups if not g.test_only and g.cell[0] != TRAINED_KIND), key=order):
        by_kind[group.cell[0]].append(group)
    for members in by_kind.values():
        total = sum(len(group.frames) for group in members)
        for name, fraction in (("valid", valid), ("test", test)):
            rest = [group for group in members if split[group.name] == "train"]
            for group in take_groups(rest, fraction * total, total):
                split[group.name] = name
    return split
