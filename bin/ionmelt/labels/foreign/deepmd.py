"""Systems of DeePMD-kit: deepmd/npy, or mixed, where every frame has types of its own."""

from collections.abc import Iterator, Mapping
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
                frames = list(deepmd_set(subset, f"{name}/{subset.name}", folder, numbers))
        except UserError as error:
            frames = [ForeignFrame(f"{name}/{subset.name}", reason="unreadable", detail=str(error))]
        yield from frames


def deepmd_set(subset: Path, name: str, folder: Path, numbers: np.ndarray) -> Iterator[ForeignFrame]:
    """Yield the frames of one set; `numbers` are the atomic numbers of the types. Raises `UserError`, and what numpy raises."""
    values = {
        key: np.load(path, allow_pickle=False).astype(float)
        for key in ("coord", "box", "energy", "force", "virial", "real_atom_types")
        if (path := subset / f"{key}.npy").is_file()
    }
    count = len(values["coord"])
    for key, array in values.items():
        if len(array) != count:
            raise UserError(f"no set of DeePMD's: {key}.npy has {len(array)} frames, coord.npy {count}")
    shared = np.loadtxt(folder / "type.raw", dtype=int, ndmin=1)
    types = values["real_atom_types"].astype(int) if "real_atom_types" in values else np.tile(shared, (count, 1))
    if types.max(initial=0) >= len(numbers):
        raise UserError(f"no set of DeePMD's: type {types.max()} is beyond the {len(numbers)} of type_map.raw")
    positions = values["coord"].reshape(count, types.shape[1], 3)
    periodic = "box" in values and not (folder / "nopbc").exists()
    cells = values["box"].reshape(count, 3, 3) if periodic else np.zeros((count, 3, 3))
    forces = values["force"].reshape(positions.shape) if "force" in values else None
    virials = values["virial"].reshape(count, 3, 3) if "virial" in values else None
    for index in range(count):
        real = types[index] >= 0  # mixed systems are filled up with type -1
        atoms = Atoms(numbers[types[index][real]], positions[index][real], cell=cells[index], pbc=periodic)
        frame = ForeignFrame(f"{name}: frame {index}", atoms)
        if "energy" in values:
            frame.energy_ev = float(np.ravel(values["energy"][index])[0])
        if forces is not None:
            frame.forces_ev_a = forces[index][real]
        if virials is not None and periodic:
            frame.stress_ev_a3 = -virials[index] / atoms.get_volume()
        frame.free_atom = lone_atom(len(atoms), {"pbc": atoms.pbc})
        if not periodic and not frame.free_atom:
            frame.reason, frame.detail = "not_periodic", "a box is needed: box.npy, and no file nopbc"
        yield frame
