"""Frames of an extended XYZ file are found where they begin."""

import re

from ase import Atoms
from foreign_labels import Run, text_of


def test_a_wrong_count_of_atoms_loses_no_other_frame(run: Run, frames: list[Atoms]) -> None:
    texts = [text_of(frame) for frame in frames]
    texts[3] = re.sub(r"^12\n", "11\n", texts[3])
    code, lines, table, got = run({"a.xyz": "".join(texts)}, max_failed_fraction=0.2)
    assert code == 0, lines
    assert len(got) == 19
    assert table is not None
    assert "a number of atoms should stand here" in " ".join(table["detail"].drop_nulls())
