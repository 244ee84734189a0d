"""What a task's error is blamed on."""

import errno

import pytest

import il_task
from il_task import DiskFullError, Exit


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
    assert il_task.blamed(error)[0] is kind
    assert il_task.is_resource(error) is (kind is not Exit.BUG)


@pytest.mark.parametrize("cause", [True, False])
def test_a_library_that_hides_the_machines_error_hides_nothing(cause: bool) -> None:
    hidden = ImportError("x.so: failed to map segment from shared object")
    error = raised(ImportError("C extension unimportable"), hidden, cause=cause)
    assert il_task.blamed(error) == (Exit.MEMORY, f"ImportError: {hidden}")


def test_an_error_that_was_dealt_with_is_not_blamed() -> None:
    error = raised(ValueError("shape"), MemoryError(), silent=True)
    assert il_task.blamed(error) == (Exit.BUG, "ValueError: shape")
