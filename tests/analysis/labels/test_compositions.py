"""Foreign frames are of the liquid whose composition they have."""

import numpy as np
from ase import Atoms
from foreign_labels import LIBF4, Run, ion, text_of

from ionmelt.frame import FORCES_KEY


def test_other_sizes_and_compositions(run: Run, frames: list[Atoms]) -> None:
    """Twice the box is the same liquid; an ion of assets that the study has not makes ``other``."""
    double = frames[0].repeat((2, 1, 1))
    double.info = frames[0].info | {"REF_energy": 2 * frames[0].info["REF_energy"]}
    double.arrays[FORCES_KEY] = np.tile(frames[0].arrays[FORCES_KEY], (2, 1))
    study = {"id": "lipf6", "ions": [ion("li", 1), ion("pf6", 1)]}
    code, lines, _, got = run({"a.xyz": text_of(double)})
    assert code == 0, lines
    assert [frame.info["liquid"] for frame in got] == ["libf4"]
    assert got[0].arrays["ion"].tolist() == ["li"] * 4 + ["bf4"] * 20
    code, lines, _, got = run({"a.xyz": text_of(double)}, liquids=[study])
    assert code == 0, lines
    assert [frame.info["liquid"] for frame in got] == ["other"]


def test_a_frame_is_of_the_liquid_that_it_names_also_by_a_number(run: Run, frames: list[Atoms]) -> None:
    liquids = [LIBF4 | {"id": name} for name in ("1", "2")]
    code, lines, _, got = run({"a.xyz": text_of(frames[0], info="liquid=2")}, liquids=liquids)
    assert code == 0, lines
    assert got[0].info["liquid"] == "2"
