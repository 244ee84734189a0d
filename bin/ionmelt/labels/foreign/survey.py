"""What the frames of extended XYZ hold: the names of their numbers, and which of these hold the same."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ionmelt.errors import UserError, reading
from ionmelt.labels.foreign.blocks import OWN, Block, comment_values, is_number, lone_atom, read_block
from ionmelt.labels.foreign.units import quantity_of

PER_ATOM = re.compile(r"(?:per|/)[-_ ]*atom|(?:^|[-_])pa(?:$|[-_])", re.I)
# What stands beside a label and is none: MACE's config_energy_weight, how sure it is, a part of it.
BESIDE = re.compile(
    r"weight|kinetic|cut[-_ ]?off|error|rmse|uncertainty|variance|(?:^|[-_])(?:std|unc|ekin)(?:$|[-_])", re.I
)


def like_label(name: str, pattern: str) -> bool:
    """Tell whether a name has a pattern in it, and is not of what stands beside a label."""
    return re.search(pattern, name, re.I) is not None and not BESIDE.search(name)


def like_energy(name: str) -> bool:
    """Tell whether a name of a number is like that of the energy of all atoms together."""
    return like_label(name, "energy|^e$|^etot$|^toten$") and not PER_ATOM.search(name)


def like_forces(name: str) -> bool:
    """Tell whether a name of three columns is like that of forces."""
    return like_label(name, "force")


def like_stress(name: str) -> bool:
    """Tell whether a name of six or nine numbers is like that of a stress or virial."""
    return like_label(name, "stress|virial")


@dataclass
class Survey:
    """What the frames of all files hold, by name: in how many frames, in which shape; and which units they name."""

    frames: int = 0
    numbers: Counter[str] = field(default_factory=Counter)
    tensors: Counter[str] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)
    six: Counter[str] = field(default_factory=Counter)  # those of `tensors` that have six numbers
    energies: set[frozenset[str]] = field(default_factory=set)  # names like an energy that stand in one frame
    differ: bool = False  # two such names of one frame hold different numbers
    units: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    odd: dict[str, str] = field(default_factory=dict)  # of names like an energy or stress: what is not as many numbers

    def add(self, comment: str, n_atoms: int) -> None:
        """Count the names of one frame; free atoms say nothing of how frames are labelled."""
        try:
            with reading("the comment line"):
                info = comment_values(comment)
        except UserError:  # the frame is refused where it is read
            info = {}
        if lone_atom(n_atoms, info):
            return
        self.frames += 1
        words = str(info.pop("Properties", "")).split(":")
        shapes = zip(words[::3], words[1::3], words[2::3], strict=False)
        self.columns.update(name for name, kind, size in shapes if (kind, size) == ("R", "3") and name != "pos")
        for name, value in info.items():
            self._add_value(name, value)
        self._add_energies({name: value for name, value in info.items() if like_energy(name)})

    def _add_value(self, name: str, value: Any) -> None:
        quantity = quantity_of(name)
        if quantity is not None and isinstance(value, str):
            self.units[quantity][name, value] += 1
        size = np.size(value) if is_number(value) and name != "Lattice" else 0
        if size == 1:
            self.numbers[name] += 1
        elif size in (6, 9):
            self.tensors[name] += 1
            self.six[name] += size == 6
        energy = like_energy(name)
        odd = quantity is None and (size != 1 if energy else like_stress(name) and size not in (1, 6, 9))
        if odd and re.search(r"\d", str(value)):
            text, wanted = " ".join(str(value).split())[:40], "one number" if energy else "6 or 9 numbers"
            self.odd.setdefault(name, f"{name} is there, but {text!r} is not {wanted}")

    def _add_energies(self, info: Mapping[str, Any]) -> None:
        """Count values whose names are like an energy's, of one frame."""
        energies = {name: float(np.ravel(x)[0]) for name, x in info.items() if is_number(x) and np.size(x) == 1}
        if energies:
            first, *others = energies.values()
            self.differ |= not all(math.isclose(first, other, rel_tol=1e-9, abs_tol=1e-9) for other in others)
            self.energies.add(frozenset(energies))

    def same_energies(self) -> frozenset[str]:
        """Return the names like an energy that every frame with one has, where all hold the same numbers."""
        return frozenset.intersection(*self.energies) if self.energies and not self.differ else frozenset()


# --- Numbers that stand there twice ---------------------------------------------------------------------


def doubles(survey: Survey, files: Mapping[str, Path], blocks: Mapping[str, Sequence[Block]]) -> frozenset[str]:
    """Return the names like forces, and like a stress, that hold the same in all frames: then either will do."""
    same: set[str] = set()
    for names in (
        sorted(name for name in survey.columns if like_forces(name)),
        sorted(name for name in survey.tensors if like_stress(name)),
    ):
        if len(names) > 1 and all(hold_the_same(atoms, names) for atoms in structures(files, blocks)):
            same.update(names)
    return frozenset(same)


def structures(files: Mapping[str, Path], blocks: Mapping[str, Sequence[Block]]) -> Iterator[Atoms]:
    """Yield the structures of files that can be read, but free atoms."""
    for file, file_blocks in blocks.items():
        for block in file_blocks:
            try:
                with reading("a frame"):
                    atoms = read_block(files[file], block)
            except UserError:  # the frame is refused where it is read
                continue
            if not lone_atom(block.atoms, comment_values(block.comment)):
                yield atoms


def hold_the_same(atoms: Atoms, names: Sequence[str]) -> bool:
    """Tell whether some names hold the same in a frame; a virial is the same as a stress where it is minus that times the volume."""
    values = atoms.info | atoms.arrays
    numbers = [np.ravel(values.get(OWN + name, np.nan)).astype(float) for name in names]
    first, *others = (
        -number / atoms.get_volume() if "virial" in name.lower() else number
        for name, number in zip(names, numbers, strict=True)
    )
    return all(other.shape == first.shape and np.allclose(other, first, rtol=1e-5, atol=1e-7) for other in others)
