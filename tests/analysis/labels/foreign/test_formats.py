"""The table of formats: each is read by its module, and told from the others by how it begins."""

import importlib
from pathlib import Path
from typing import get_args

import pytest

from ionmelt.labels.foreign import FORMATS, format_of
from ionmelt.labels.settings import OwnLabels

BEGINNINGS = {
    "extxyz": [b"2\nenergy=1\nLi 0 0 0\n"],
    "cp2k": [
        b" DBCSR| CPU Multiplication driver\n",
        b"  **** PROGRAM STARTED AT 2026-11-28\n",
        b"2\n i =        0, time =        0.000, E =       -31.75\nLi 0 0 0\n",
        b"#   Step   Time [fs]       Ax [Angstrom]       Ay [Angstrom]\n",
    ],
    "vasp-out": [b" vasp.6.4.2 20Jul23\n"],
    "vasp-xml": [b'<?xml version="1.0"?>\n<modeling>\n'],
    "espresso-out": [b"\n     Program PWSCF v.7.2 starts\n", b"4\n     Program PWSCF v.7.2 starts\n"],
    "ase-traj": [b"- of UlmASE-Trajectory\x00"],
    "ase-db": [b"SQLite format 3\x00"],
}


def test_every_format_of_the_table_may_be_named_and_has_a_reader() -> None:
    assert {*get_args(OwnLabels.model_fields["format"].annotation)} == {"auto", *BEGINNINGS, "deepmd-npy"}
    assert {*FORMATS} == {*BEGINNINGS, "deepmd-npy"}
    for row in FORMATS.values():
        assert callable(importlib.import_module(row.module).read)


@pytest.mark.parametrize("form", BEGINNINGS)
def test_a_file_is_told_by_how_it_begins(form: str, tmp_path: Path) -> None:
    for beginning in BEGINNINGS[form]:
        (tmp_path / "file").write_bytes(beginning)
        assert format_of(tmp_path / "file") == form


def test_a_folder_is_a_system_of_deepmd_or_nothing(tmp_path: Path) -> None:
    assert format_of(tmp_path) is None
    (tmp_path / "set.000").mkdir()
    (tmp_path / "set.000" / "coord.npy").touch()
    (tmp_path / "type.raw").touch()
    assert format_of(tmp_path) == "deepmd-npy"


@pytest.mark.parametrize("content", [b"", b"hello\nworld\n", b"2\n", b"\x93NUMPY"])
def test_what_begins_like_none_is_of_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    assert format_of(tmp_path / "file") is None
