"""Whatever holds numbers, as what seaway.h calls a buffer: address, element count, element type.

numpy and torch are looked at only if the program has imported them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from seaway._errors import InvalidError, error_from_struct
from seaway._library import OK, ffi, lib

#: A numpy array, a torch tensor on the CPU or a CUDA device, an object with __cuda_array_interface__ (as CuPy's arrays), or any with the
#: buffer protocol (array.array, bytearray, memoryview).
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


def _cuda_interface(x: Any, name: str, writable: bool) -> tuple[Any, int, int, Any, int]:
    """As _describe, of an object with __cuda_array_interface__, version 2 or 3 (numba.readthedocs.io, "CUDA Array Interface")."""
    interface = x.__cuda_array_interface__
    kind, size = interface["typestr"][1], int(interface["typestr"][2:])
    code = {"f": _FLOATS, "i": _SIGNED, "u": _UNSIGNED}.get(kind, {}).get(size)
    if code is None or interface["typestr"][0] == ">":
        raise InvalidError(f"{name} has the type {interface['typestr']!r}; seaway reduces {_LIST}, in native byte order")
    count, expected = 1, []
    for length in reversed(interface["shape"]):
        expected.append((length, count * size))
        count *= length
    strides = interface.get("strides")
    # Where a length is 1 nobody steps.
    if strides is not None and count > 0 and any(
        length > 1 and stride != wanted for stride, (length, wanted) in zip(reversed(strides), expected, strict=True)
    ):
        raise _not_contiguous(name)
    address, read_only = interface["data"]
    if writable and read_only:
        raise _read_only(name)
    return _cast("void *", address), count, code, x, lib.SEAWAY_CUDA


def _stream_of(x: Any) -> int | None:
    """The CUDA stream on which x, on a device, was written, as an address: torch's current one, or that which its interface names.
    0: the legacy default stream. None: there is nothing to wait for."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        return int(torch.cuda.current_stream(x.device).cuda_stream) if x.is_cuda else None
    interface = getattr(x, "__cuda_array_interface__", None)
    stream = interface.get("stream") if isinstance(interface, dict) else None
    # The interface's 1 is the legacy default stream, which CUDA itself and torch call 0.
    return None if stream is None else 0 if stream == 1 else int(stream)


def common_stream(described: Iterable[tuple[Array, Any]], names: str) -> Any:
    """The one stream on which those of these arrays that are on a device were written, as a pointer; NULL: the default stream, or none
    is. Each array comes with its seaway_buffer; `names` is what the caller knows them by."""
    streams = {_stream_of(x) for x, buffer in described if buffer[0].device != lib.SEAWAY_HOST and buffer[0].count}
    streams.discard(None)
    if len(streams) > 1:
        raise InvalidError(f"{names} were written on several CUDA streams; synchronize them, and use one")
    return _cast("void *", streams.pop() if streams else 0)


def _describe(x: Any, name: str, writable: bool) -> tuple[Any, int, int, Any, int]:
    """(pointer, count, dtype, what keeps the memory alive, where it is)."""
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
        return pointer, x.size, code, pointer, lib.SEAWAY_HOST

    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        code = _known.get(x.dtype) or _torch_code(x.dtype, name)
        if hasattr(x, "to_local"):
            raise InvalidError(f"{name} is a DTensor; give its local part, {name}.to_local()")
        if x.device.type not in ("cpu", "cuda") or x.layout is not torch.strided:
            raise InvalidError(f"{name} is a {x.layout} tensor on {x.device}; seaway reduces dense tensors on a CPU or a CUDA device")
        if not x.is_contiguous() or x.is_conj() or x.is_neg():
            raise _not_contiguous(name)
        return _cast("void *", x.data_ptr()), x.numel(), code, x, lib.SEAWAY_CUDA if x.is_cuda else lib.SEAWAY_HOST

    if hasattr(x, "__cuda_array_interface__"):
        return _cuda_interface(x, name, writable)
    try:
        view = memoryview(x)
    except TypeError:
        raise InvalidError(
            f"{name} is of type {type(x).__name__}; give a numpy array, a torch tensor or an object with the buffer protocol"
        ) from None
    code = _format_code(view, name)
    if not view.c_contiguous:
        raise _not_contiguous(name)
    if writable and view.readonly:
        raise _read_only(name)
    pointer = _from_buffer(view)
    return pointer, view.nbytes // view.itemsize, code, pointer, lib.SEAWAY_HOST


_DEVICES: dict[str, int] = {"cpu": lib.SEAWAY_HOST, "cuda": lib.SEAWAY_CUDA}


def device_check(device: str) -> None:
    """Returns if arrays on such a device can be used in this process.

    Args:
        device: "cuda", or "cpu", which always can.

    Raises NoDevice, which says what was looked for, and what was in the way. Once looked for, it is not looked for again.
    """
    if device not in _DEVICES:
        raise InvalidError(f"device is {device!r}; give one of {', '.join(_DEVICES)}")
    error = ffi.new("seaway_error *")
    error.struct_size = ffi.sizeof("seaway_error")
    status = lib.seaway_device_check(_DEVICES[device], error)
    if status != OK:
        raise error_from_struct(status, "device_check", error)


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
            buffer.data, buffer.count, buffer.dtype, owner, buffer.device = _describe(piece, f"{name}[{i}]", writable)
            keep.append(owner)
        return array, count, keep
    pointer, size, code, owner, device = _describe(x, name, writable)
    return _new(_BUFFER, (pointer, size, code, device)), 1, owner
