"""libseaway, loaded: `ffi` and `lib`, and the numbers of the header that the package uses."""

from __future__ import annotations

import os
import pathlib
import sys
from typing import Any

import cffi

from seaway._cdef import CDEF

if sys.platform != "linux" or sys.maxsize < 2**32 or sys.byteorder != "little":
    raise ImportError("seaway runs on 64-bit little-endian Linux only")


def _load() -> tuple[Any, Any]:
    ffi = cffi.FFI()
    ffi.cdef(CDEF)
    # For whoever works on the library: another build of it than the one in the package.
    path = os.environ.get("SEAWAY_LIBRARY") or str(pathlib.Path(__file__).with_name("libseaway.so"))
    try:
        return ffi, ffi.dlopen(path)
    except OSError as error:
        raise ImportError(f"seaway cannot load {path}: {error}") from error


ffi, lib = _load()

OK: int = lib.SEAWAY_OK
PENDING: int = lib.SEAWAY_PENDING
NULL = ffi.NULL


def string(pointer: Any) -> str:
    """A C string as str. The library's strings are UTF-8, and cut at the end of their field if need be."""
    return str(ffi.string(pointer).decode("utf-8", "replace"))


def version() -> str:
    """The version of the library that is loaded, for example "0.1.0"."""
    return string(lib.seaway_version())
