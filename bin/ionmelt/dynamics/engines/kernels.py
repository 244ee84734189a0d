"""The compiled kernels of `containers/mace/kernels.cpp`, where an environment or an image has them: how they are called.

Structures hold pointers into arrays, which they keep alive. Numbers are 32-bit, as in the kernels.
"""

import ctypes
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

VERSION = 1  # of what is called; a library of another version is not used
INT, FLOAT, BYTE = np.int32, np.float32, np.uint8


class Blocks(ctypes.Structure):
    """How to go from rows of channels to components side by side: first row and number of rows of each block."""

    _fields_ = (("count", ctypes.c_int32), ("first", ctypes.c_void_p), ("size", ctypes.c_void_p))


class Convolution(ctypes.Structure):
    """A sum over neighbours of a tensor product; see kernels.cpp."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("channels", "degree", "harmonics", "paths", "intervals", "couplings")),
        ("step", ctypes.c_float),
        ("terms", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in (
            "term_harmonic", "term_powers", "term_factor", "path", "is_coupled", "coupling_place", "coupling_harmonic", "coupling_factor", "table",
        )),
        *((name, ctypes.c_int32) for name in ("places", "x_rows", "out_rows")),
        ("x_blocks", Blocks),
        ("out_blocks", Blocks),
    )  # fmt: skip


class Products(ctypes.Structure):
    """Symmetric products of the rows of an atom; see kernels.cpp."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("channels", "x_rows", "out_rows", "monomials", "terms")),
        *((name, ctypes.c_void_p) for name in ("monomial", "first_term", "term_row", "factor")),
        ("out_blocks", Blocks),
    )


class Holder:
    """A structure with the arrays that it points into."""

    def __init__(self, structure: ctypes.Structure, **values: Any) -> None:
        """Set its fields: numbers, arrays (their addresses), and `Holder` of blocks."""
        self.structure, self.kept = structure, values
        for name, value in values.items():
            if isinstance(value, Holder):
                setattr(structure, name, value.structure)
            elif isinstance(value, np.ndarray):
                assert value.flags.c_contiguous and value.dtype in (INT, FLOAT, BYTE), name
                setattr(structure, name, value.ctypes.data)
            else:
                setattr(structure, name, value)

    @property
    def reference(self) -> Any:
        """The structure, as a function of the kernels takes it."""
        return ctypes.byref(self.structure)


def blocks(sizes: Sequence[int]) -> Holder:
    """Return the blocks of these numbers of rows, one after another."""
    size = np.array(sizes, INT)
    first = (np.cumsum(size) - size).astype(INT)
    return Holder(Blocks(), count=len(size), first=first, size=size)


def library() -> ctypes.CDLL:
    """Return the compiled kernels.

    Raises ImportError where the environment has none, the processor is too old for them, or they are of another version.
    """
    if platform.machine() in ("x86_64", "AMD64"):
        flags = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
        if not {"avx2", "fma"} <= set(flags):
            raise ImportError("the processor has no AVX2")
    import ionmelt_kernels

    loaded = ctypes.CDLL(str(Path(ionmelt_kernels.__file__).with_name("kernels.so")))
    if (version := loaded.ionmelt_kernels_version()) != VERSION:
        raise ImportError(f"kernels of version {version}, not {VERSION}")
    return loaded


def address(array: Any) -> ctypes.c_void_p:
    """Return the address of an array or tensor that lies in one piece."""
    return ctypes.c_void_p(array.ctypes.data if isinstance(array, np.ndarray) else array.data_ptr())
