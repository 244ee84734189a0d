"""Systems of DeePMD-kit: deepmd/npy, or mixed, where every frame has types of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from ionmelt.errors import UserError, reading
from ionmelt.labels.foreign.blocks import ForeignFrame, Source, lone_atom
from ionmelt.labels.settings import ImportSettings


def read(_form: str, files: Mapping[str, Path], _settings: ImportSettings, _words: list[str]) -> dict[str, Source]:
    """Return the frames of each folder that holds a system."""
    frames = {name: list(read_deepmd(folder, name)) for name, folder in files.items()}
    return {name: Source(name, iter(frames[name]), len(frames[name])) for name in files}


def read_deepmd(folder: Path, name: str) -> Iterator[ForeignFrame]:
    """Yield the frames of a system of DeePMD-kit: deepmd/npy, or mixed, where every frame has types of its own.

    Its units are eV and A, its virial is minus stress times volume. A set that cannot be used costs that set.
    """
    names = (folder / "type_map.raw").read_text().split() if (folder / "type_map.raw").is_file() else []
    unknown = [symbol for symbol in names if symbol not in atomic_numbers]
    if not names or unknown:
        said = (
            f"{unknown[0]} of type_map.raw is no element" if unknown else "type_map.raw is missing: which element is 0?"
        )
        yield ForeignFrame(name, reason="unreadable", detail=said)
        return
    numbers = np.array([atomic_numbers[symbol] for symbol in names])
    for subset in sorted(path.parent for path in folder.glob("set.*/coord.npy")):
        try:
            with reading("no set of DeePMD's"):
                frames = list(frames_of(read_set(subset, folder, numbers), f"{name}/{subset.name}"))
        except UserError as error:
            frames = [ForeignFrame(f"{name}/{subset.name}", reason="unreadable", detail=str(error))]
        yield from frames


@dataclass(frozen=True)
class DeepmdSet:
    """The arrays of a set of F frames with N atoms: (F, N), (F, N, 3), (F, 3, 3); None where it has no such."""

    numbers: np.ndarray  # atomic numbers; -1 where a mixed system is filled up
    positions: np.ndarray
    cells: np.ndarray | None
    energies: np.ndarray | None  # (F,) or (F, 1)
    forces: np.ndarray | None
    virials: np.ndarray | None


def read_set(subset: Path, folder: Path, numbers: np.ndarray) -> DeepmdSet:
    """Return a set; `numbers` are the atomic numbers of the types. Raises `UserError`, and what numpy raises."""
    arrays = {
        key: np.load(path, allow_pickle=False).astype(float)
        for key in ("coord", "box", "energy", "force", "virial", "real_atom_types")
        if (path := subset / f"{key}.npy").is_file()
    }
    count = len(arrays["coord"])
    for key, array in arrays.items():
        if len(array) != count:
            raise UserError(f"no set of DeePMD's: {key}.npy has {len(array)} frames, coord.npy {count}")
    shared = np.loadtxt(folder / "type.raw", dtype=int, ndmin=1)
    types = arrays["real_atom_types"].astype(int) if "real_atom_types" in arrays else np.tile(shared, (count, 1))
    if types.max(initial=0) >= len(numbers):
        raise UserError(f"no set of DeePMD's: type {types.max()} is beyond the {len(numbers)} of type_map.raw")
    vectors, tensors = (count, types.shape[1], 3), (count, 3, 3)
    periodic = "box" in arrays and not (folder / "nopbc").exists()
    return DeepmdSet(
        numbers=np.where(types >= 0, numbers[types], -1),  # the type that mixed systems are filled up with
        positions=arrays["coord"].reshape(vectors),
        cells=arrays["box"].reshape(tensors) if periodic else None,
        energies=arrays.get("energy"),
        forces=arrays["force"].reshape(vectors) if "force" in arrays else None,
        virials=arrays["virial"].reshape(tensors) if "virial" in arrays else None,
    )


def frames_of(deepmd_set: DeepmdSet, name: str) -> Iterator[ForeignFrame]:
    """Yield the frames of a set."""
    for index, numbers in enumerate(deepmd_set.numbers):
        real = numbers >= 0
        cell = None if deepmd_set.cells is None else deepmd_set.cells[index]
        atoms = Atoms(numbers[real], deepmd_set.positions[index][real], cell=cell, pbc=cell is not None)
        frame = ForeignFrame(f"{name}: frame {index}", atoms)
        if deepmd_set.energies is not None:
            frame.energy_ev = float(np.ravel(deepmd_set.energies[index])[0])
        if deepmd_set.forces is not None:
            frame.forces_ev_a = deepmd_set.forces[index][real]
        if deepmd_set.virials is not None and cell is not None:
            frame.stress_ev_a3 = -deepmd_set.virials[index] / atoms.get_volume()
        frame.free_atom = lone_atom(len(atoms), {"pbc": atoms.pbc})
        if cell is None and not frame.free_atom:
            frame.reason, frame.detail = "not_periodic", "a box is needed: box.npy, and no file nopbc"
        yield frame
