"""Frames as DeePMD reads them.

dpdata 1.1 writes these files too; ours stays, since there a set has a stress in all frames or in none (`RuntimeError: this has
virials, but system does not`), and labels of others have it in some.
"""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from ase import Atoms

from ionmelt.frame import ENERGY_KEY, FORCES_KEY, STRESS_KEY


def write_deepmd(folder: Path, frames: list[Atoms], type_map: list[str]) -> None:
    """Write frames as DeePMD systems, one folder for each sequence of elements, in float64.

    DeePMD's virial is minus stress times volume (eV); its other units are those of the frames. Frames without a stress are a
    system of their own, without a virial.
    """
    systems: dict[tuple[bool, tuple[int, ...]], list[Atoms]] = defaultdict(list)
    for frame in frames:
        systems[STRESS_KEY in frame.info, tuple(frame.numbers)].append(frame)
    same_formula: Counter[str] = Counter()
    for (has_stress, _), members in systems.items():
        formula = members[0].get_chemical_formula()
        same_formula[formula] += 1
        system = folder / (formula if same_formula[formula] == 1 else f"{formula}.{same_formula[formula]}")
        (system / "set.000").mkdir(parents=True)
        (system / "type_map.raw").write_text("".join(f"{symbol}\n" for symbol in type_map))
        types = [type_map.index(symbol) for symbol in members[0].get_chemical_symbols()]
        (system / "type.raw").write_text("".join(f"{index}\n" for index in types))
        arrays = {
            "coord": [frame.positions for frame in members],
            "box": [frame.cell.array for frame in members],
            "force": [frame.arrays[FORCES_KEY] for frame in members],
        }
        if has_stress:
            arrays["virial"] = [-frame.info[STRESS_KEY] * frame.get_volume() for frame in members]
        for name, values in arrays.items():
            np.save(system / "set.000" / f"{name}.npy", np.array([np.ravel(value) for value in values], np.float64))
        energies = np.array([frame.info[ENERGY_KEY] for frame in members], np.float64)
        np.save(system / "set.000" / "energy.npy", energies)
