"""Compressed files, and folders of runs."""

import bz2
import gzip
import lzma
import shutil
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from foreign_labels import Run, outcar_text, qe_text, text_of


@pytest.mark.parametrize("opener", [gzip.open, bz2.open, lzma.open])
def test_compressed_files_are_unpacked(run: Run, frames: list[Atoms], opener: Any) -> None:
    with opener("a.packed", "wt") as file:
        file.write("".join(map(text_of, frames)))
    code, lines, _, got = run([Path("a.packed")])
    assert code == 0, lines
    assert len(got) == len(frames)
    Path("a.packed").write_bytes(Path("a.packed").read_bytes()[:-40])
    code, lines, _, _ = run([Path("a.packed")])
    assert code == 2
    assert "cannot be unpacked, is it cut off?" in lines[0]


def test_a_folder_of_runs(run: Run, frames: list[Atoms], tmp_path: Path) -> None:
    """Every file of a known format counts, in all folders below; what else lies there does not matter."""
    for number, frame in enumerate(frames[:4]):
        run_folder = tmp_path / "runs" / f"run{number}"
        run_folder.mkdir(parents=True)
        (run_folder / "pw.out").write_text(qe_text(frame))
        (run_folder / "pw.in").write_text("&control\n/\n")
        (run_folder / "start.xyz").write_text("1\nonly a structure\nLi 0 0 0\n")
        (run_folder / "empty.log").write_text("")
    (tmp_path / "runs/vasp").mkdir()
    (tmp_path / "runs/vasp/OUTCAR.gz").write_bytes(gzip.compress(outcar_text(frames[4:8], [True] * 4).encode()))
    code, lines, table, got = run([Path("runs")])
    assert code == 0, lines
    assert table is not None
    assert len(got) == 8
    assert "runs: 5 files or DeePMD systems taken, 12 other files left aside" in " ".join(lines)
    assert not list(tmp_path.glob("tmp*"))
    code, lines, _, _ = run([Path("runs/run0")], format="cp2k")
    assert code == 2
    assert "none of its files is cp2k" in lines[0]


def test_backups_and_hidden_files_of_a_folder_are_left_aside(run: Run, frames: list[Atoms], tmp_path: Path) -> None:
    """What an editor or a notebook keeps of a file as it was would be frames of another state, or the same twice."""
    text = "".join(map(text_of, frames[:6]))
    for name in ("a.xyz", "a.xyz~", ".a.xyz.swp", "a.xyz.bak", ".ipynb_checkpoints/a-checkpoint.xyz"):
        (tmp_path / "runs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "runs" / name).write_text(text)
    code, lines, table, _ = run([Path("runs")])
    assert code == 0, lines
    assert table is not None
    assert table["source"].str.starts_with("runs/a.xyz: frame").all()
    assert table.height == 6
    assert "runs: 1 files or DeePMD systems taken, 3 other files left aside" in " ".join(lines)


def test_an_archive_is_to_be_unpacked(run: Run, frames: list[Atoms], tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/a.xyz").write_text("".join(map(text_of, frames[:2])))
    for kind, name in (("gztar", "a.tar.gz"), ("zip", "a.zip")):
        shutil.make_archive("a", kind, "runs")
        code, lines, _, _ = run([Path(name)])
        assert code == 2
        assert lines == [f"error: labels.frames: {name}: is an archive: unpack it, and give the folder"]


def test_what_a_download_left_instead_of_frames_is_named(run: Run) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    code, lines, _, _ = run({"a.xyz": pointer, "b.xyz": "<html></html>"})
    assert code == 2
    assert "labels.frames: a.xyz: is a pointer of Git LFS, not the file itself" in lines[0]
    assert "labels.frames: b.xyz: is a web page, not the file itself: download it again" in lines[1]
