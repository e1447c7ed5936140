"""Whatever holds numbers, as what seaway.h calls a buffer: address, element count, element type.

numpy and torch are looked at only if the program has imported them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

from seaway._errors import InvalidError
from seaway._library import ffi, lib

#: A numpy array, a torch tensor on the CPU, or any object with the buffer protocol (array.array, bytearray, memoryview).
Array: TypeAlias = Any

_NAMES: dict[str, int] = {
    "float32": lib.SEAWAY_F32,
    "float64": lib.SEAWAY_F64,
    "float16": lib.SEAWAY_F16,
    "bfloat16": lib.SEAWAY_BF16,
    "int8": lib.SEAWAY_I8,
    "uint8": lib.SEAWAY_U8,
    "int16": lib.SEAWAY_I16,
    "uint16": lib.SEAWAY_U16,
    "int32": lib.SEAWAY_I32,
    "uint32": lib.SEAWAY_U32,
    "int64": lib.SEAWAY_I64,
    "uint64": lib.SEAWAY_U64,
}
_LIST = ", ".join(_NAMES)

# Buffer protocol: the letter says the kind, the item size the width.
_FLOATS = {2: lib.SEAWAY_F16, 4: lib.SEAWAY_F32, 8: lib.SEAWAY_F64}
_SIGNED = {1: lib.SEAWAY_I8, 2: lib.SEAWAY_I16, 4: lib.SEAWAY_I32, 8: lib.SEAWAY_I64}
_UNSIGNED = {1: lib.SEAWAY_U8, 2: lib.SEAWAY_U16, 4: lib.SEAWAY_U32, 8: lib.SEAWAY_U64}

# numpy's and torch's dtype objects, as they are met. They are never freed and there are few.
_known: dict[Any, int] = {}

# ffi.new is quicker with a type than with its name.
_BUFFER = ffi.typeof("seaway_buffer *")
_BUFFERS = ffi.typeof("seaway_buffer[]")
_from_buffer = ffi.from_buffer
_new = ffi.new
_cast = ffi.cast


def _numpy_code(dtype: Any, name: str) -> int:
    code = _NAMES.get(dtype.name) if dtype.isnative else None
    if code is None:
        raise InvalidError(f"{name} has dtype {dtype!r}; seaway reduces {_LIST}, in native byte order")
    _known[dtype] = code
    return code


def _torch_code(dtype: Any, name: str) -> int:
    code = _NAMES.get(str(dtype).removeprefix("torch."))
    if code is None:
        raise InvalidError(f"{name} has dtype {dtype}; seaway reduces {_LIST}")
    _known[dtype] = code
    return code


def _format_code(view: memoryview, name: str) -> int:
    letter = view.format.lstrip("@=<")
    table: dict[int, int] = {}
    if letter in ("e", "f", "d"):
        table = _FLOATS
    elif len(letter) == 1 and letter in "bhilqn":
        table = _SIGNED
    elif len(letter) == 1 and letter in "BHILQN":
        table = _UNSIGNED
    code = table.get(view.itemsize)
    if code is None:
        raise InvalidError(f"{name} has the buffer format {view.format!r}; seaway reduces {_LIST}, in native byte order")
    return code


def _not_contiguous(name: str) -> InvalidError:
    return InvalidError(f"{name} is not contiguous (C order); give a contiguous array, such as a copy of it")


def _read_only(name: str) -> InvalidError:
    return InvalidError(f"{name} is read-only, and the result goes there; give an array that can be written")


def _describe(x: Any, name: str, writable: bool) -> tuple[Any, int, int, Any]:
    """(pointer, count, dtype, what keeps the memory alive)."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(x, numpy.ndarray):
        code = _known.get(x.dtype) or _numpy_code(x.dtype, name)
        flags = x.flags
        if not flags.c_contiguous:
            raise _not_contiguous(name)
        if writable and not flags.writeable:
            raise _read_only(name)
        # bfloat16 is not numpy's own, and has no buffer protocol.
        pointer = _from_buffer(x.view(numpy.uint16) if code == lib.SEAWAY_BF16 else x)
        return pointer, x.size, code, pointer

    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        code = _known.get(x.dtype) or _torch_code(x.dtype, name)
        if hasattr(x, "to_local"):
            raise InvalidError(f"{name} is a DTensor; give its local part, {name}.to_local()")
        if x.device.type != "cpu" or x.layout is not torch.strided:
            raise InvalidError(f"{name} is a {x.layout} tensor on {x.device}; this version reduces dense CPU tensors")
        if not x.is_contiguous() or x.is_conj() or x.is_neg():
            raise _not_contiguous(name)
        return _cast("void *", x.data_ptr()), x.numel(), code, x

    try:
        view = memoryview(x)
    except TypeError:
        raise InvalidError(
            f"{name} is of type {type(x).__name__}; give a numpy array, a torch CPU tensor or an object with the buffer protocol"
        ) from None
    code = _format_code(view, name)
    if not view.c_contiguous:
        raise _not_contiguous(name)
    if writable and view.readonly:
        raise _read_only(name)
    pointer = _from_buffer(view)
    return pointer, view.nbytes // view.itemsize, code, pointer


def dtype_code(name: str) -> int:
    code = _NAMES.get(name)
    if code is None:
        raise InvalidError(f"dtype is {name!r}; give one of {_LIST}")
    return code


def buffers(x: Array | Sequence[Array], name: str, writable: bool) -> tuple[Any, int, Any]:
    """(seaway_buffer[], its length, what keeps the memory alive) for one array or a list of them."""
    if isinstance(x, (list, tuple)):
        count = len(x)
        array = _new(_BUFFERS, count)
        keep: list[Any] = [array]
        for i, piece in enumerate(x):
            buffer = array[i]
            buffer.data, buffer.count, buffer.dtype, owner = _describe(piece, f"{name}[{i}]", writable)
            keep.append(owner)
        return array, count, keep
    pointer, size, code, owner = _describe(x, name, writable)
    return _new(_BUFFER, (pointer, size, code, 0)), 1, owner
