"""What a task's error is blamed on: the machine, or what a user gave."""

import contextlib
import errno
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ionmelt import errors as errors_module
from ionmelt import files as files_module
from ionmelt import frame_file
from ionmelt import task as task_run
from ionmelt.compare.reading import Failure
from ionmelt.errors import DiskFullError, Exit, UserError
from ionmelt.labels.foreign import ase_formats, blocks, extxyz
from ionmelt.labels.foreign import keys as foreign_keys
from ionmelt.labels.foreign import survey as foreign_survey
from ionmelt.liquid import ions, system
from ionmelt.models.frameworks import ase_calculator, deepmd_net, mace_replay
from ionmelt.study import reference_files
from ionmelt.topology import Topology


def raised(error: Exception, hidden: Exception, *, cause: bool = True, silent: bool = False) -> Exception:
    """Return an error as a library raises it while it handles another."""
    try:
        try:
            raise hidden
        except Exception as inner:
            if silent:
                raise error from None
            if cause:
                raise error from inner
            raise error  # noqa: B904
    except Exception as outer:
        return outer


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), Exit.MEMORY),
        (RuntimeError("CUDA out of memory"), Exit.MEMORY),
        (OSError(errno.ENOSPC, "No space left on device"), Exit.DISK),
        (DiskFullError("x cannot be written"), Exit.DISK),
        (OSError(errno.EACCES, "Permission denied"), Exit.BUG),
        (ValueError("shape"), Exit.BUG),
    ],
)
def test_what_an_error_is_of(error: Exception, kind: Exit) -> None:
    assert errors_module.blamed(error)[0] is kind
    assert errors_module.is_resource(error) is (kind is not Exit.BUG)


@pytest.mark.parametrize("cause", [True, False])
def test_a_library_that_hides_the_machines_error_hides_nothing(cause: bool) -> None:
    hidden = ImportError("x.so: failed to map segment from shared object")
    error = raised(ImportError("C extension unimportable"), hidden, cause=cause)
    assert errors_module.blamed(error) == (Exit.MEMORY, f"ImportError: {hidden}")


def test_an_error_that_was_dealt_with_is_not_blamed() -> None:
    error = raised(ValueError("shape"), MemoryError(), silent=True)
    assert errors_module.blamed(error) == (Exit.BUG, "ValueError: shape")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOMEM, "x"), Exit.MEMORY),
        (OSError(errno.EDQUOT, "x"), Exit.DISK),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."), Exit.MEMORY),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), Exit.MEMORY),
        (RuntimeError("Error creating array: CUDA_ERROR_OUT_OF_MEMORY (2)"), Exit.MEMORY),
        # what quotes a file of the user's is of that file, whatever stands there
        (ValueError("could not convert string to float: 'out of memory'"), Exit.BUG),
        (pickle.UnpicklingError("Unsupported global: GLOBAL builtins.MemoryError"), Exit.BUG),
        (KeyError("No space left on device"), Exit.BUG),
        (UserError("labels.engine: 'out of memory': give xtb"), Exit.BUG),
    ],
)
def test_the_machine_is_told_from_words_about_it(error: Exception, kind: Exit) -> None:
    assert errors_module.blamed(error)[0] is kind


@pytest.mark.parametrize(
    ("code", "words", "error"),
    [
        (-9, "", MemoryError),
        (1, "Fortran runtime error: Out of memory", MemoryError),
        (2, "write error: No space left on device", DiskFullError),
        (1, "STOP: no packing", None),
        (0, "Success!", None),
    ],
)
def test_a_program_that_the_machine_stopped(code: int, words: str, error: type[Exception] | None) -> None:
    if error is None:
        errors_module.check_program("it ended", code, words)
        return
    with pytest.raises(error, match="it ended"):
        errors_module.check_program("it ended", code, words)


# --- What a user gave is read in one way ---


def own_extxyz(path: Path) -> list[Any]:
    path.write_text('1\nLattice="5 0 0 0 5 0 0 0 5" energy=1\nLi 0 0 0\n')
    units = ("eV", "eV/angstrom", "eV/angstrom^3")
    keys = foreign_keys.Keys("energy", "forces", None, False, *units, "tension", "xx yy zz yz xz xy")
    return list(extxyz.read_own_extxyz(path, path.name, blocks.blocks_of(path), keys))


def names_of_a_frame(_path: Path) -> dict[str, int]:
    survey = foreign_survey.Survey()
    survey.add("energy=1", 2)
    return dict(survey.numbers)


def own_xml(path: Path) -> object:
    chloride = ions.resolve({"name": "chloride", "smiles": "[Cl-]", "count": 1}, {})
    return system.xml_system(Topology("t", [chloride]), np.eye(3) * 20, 9.0, path)


def checkpoint(_path: Path) -> object:
    return deepmd_net.read_foundation(Path("model.pt"), "m", None, ["Li"])


# How each reads, and what of the library is called there.
READERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "frames": (frame_file.read_frames, "ase.io.iread"),
    "replayed frames": (lambda path: mace_replay.read_replay(path, "m"), "ase.io.iread"),
    "a program's output": (lambda path: list(ase_formats.read_by_ase(path, "x", "vasp-out")), "ase.io.iread"),
    "own frames": (own_extxyz, "ionmelt.labels.foreign.blocks.read_extxyz"),
    "names of a frame": (names_of_a_frame, "ionmelt.labels.foreign.blocks.key_val_str_to_dict"),
    "references": (reference_files.read_references, "csv.reader"),
    "a force field": (own_xml, "xml.etree.ElementTree.parse"),
    "a checkpoint": (checkpoint, "torch.load"),
    "a calculator's module": (lambda _path: ase_calculator.named_class("own.Model"), "importlib.import_module"),
    "a table": (lambda path: files_module.read_tables([path]), "polars.read_parquet"),
}


def read_with(name: str, error: Exception, path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Read a file while the library raises an error."""
    read, where = READERS[name]

    def boom(*_arguments: Any, **_named: Any) -> None:
        raise error

    path.write_text("1\n\nLi 0 0 0\n")
    if where == "torch.load":  # not in this environment
        monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(load=boom))
    else:
        monkeypatch.setattr(where, boom)
    try:
        return read(path)
    finally:
        monkeypatch.undo()


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), 75),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 75),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), 75),
        (OSError(errno.ENOSPC, "No space left on device"), 74),
    ],
)
def test_what_the_machine_lacks_is_not_the_users_file(
    name: str, error: Exception, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.chdir(tmp_path):
        assert task_run.run("X", lambda: read_with(name, error, tmp_path / "given", monkeypatch), "x") == code


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_the_users(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read: list[Any] = []
    error = KeyError("positions")
    with contextlib.chdir(tmp_path):
        code = task_run.run("X", lambda: read.append(read_with(name, error, tmp_path / "given", monkeypatch)), "x")
    if name == "names of a frame":  # which is refused where it is read
        assert read == [{}]
    elif read:  # of labels, one row
        assert [failure.reason for failure in read[0]] == ["unreadable"]
        assert "KeyError: 'positions'" in read[0][0].detail
    else:
        (line,) = capsys.readouterr().err.splitlines()
        assert code == 2
        assert line.startswith("error: ")
        assert "'positions'" in line


@pytest.mark.parametrize("count", ["99999999999", "9" * 5000, "\u00b2", "-1"])
def test_a_file_that_promises_atoms_without_end_is_not_read_for_ever(count: str, tmp_path: Path) -> None:
    path = tmp_path / "given.xyz"
    path.write_text(f"{count}\nenergy=1\nLi 0 0 0\n")
    (block,) = blocks.blocks_of(path)
    assert block.wrong
    assert block.wrong.startswith("line 1: ")


def task(work, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str] | None]:
    """Run a task that has made a part of its folder; return its exit code and the lines that say why its model failed."""
    monkeypatch.chdir(folder)
    (folder / "out").mkdir()
    (folder / "out" / "half").write_text("of a model")
    code = task_run.run("TRAIN_MODEL", work, task_id="m", writes=[Path("out")], errors=[Path("why")])
    return code, list(Failure.read(Path("why")).reason) if Path("why").exists() else None


class LibraryError(Exception):
    """As a library has its own, of no kind that Python knows."""


@pytest.mark.parametrize("error", [LibraryError("no such head"), errors_module.UserError("LibraryError: no such head")])
def test_whatever_a_model_raises_is_of_that_model(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        with errors_module.of_model():
            raise error

    assert task(work, tmp_path, monkeypatch) == (Exit.USER, ["LibraryError: no such head"])
    assert not (tmp_path / "out").exists(), "half a model is none"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("CUDA out of memory"), Exit.MEMORY),
        (OSError(errno.ENOSPC, "No space left on device"), Exit.DISK),
        (MemoryError(), Exit.MEMORY),
    ],
)
def test_memory_and_disk_are_never_the_models(
    error: Exception, code: Exit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        with errors_module.of_model():
            raise error

    assert task(work, tmp_path, monkeypatch) == (code, None)


@pytest.mark.parametrize(
    ("error", "code"), [(KeyError("a bug"), Exit.BUG), (errors_module.UserError("a mistake"), Exit.USER)]
)
def test_what_is_raised_elsewhere_is_not_the_models(
    error: Exception, code: Exit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        raise error

    assert task(work, tmp_path, monkeypatch) == (code, None)
