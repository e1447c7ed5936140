"""Numbers, texts and what holds them, as bytes: the same bytes for equal values, whatever order a dict was filled in.

    None, bool, int, float     a letter and 8 bytes, so that another value needs no other size
    str, bytes                 a letter, the length, the bytes
    list, tuple                a letter, the length, the items
    dict, Counter              a letter, the length, keys and values, by the bytes of the keys
    a tensor of one number     a letter, its dtype's name, the number

All of it is little-endian. What comes from another member is read as values and never run, unlike a pickle.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch

from seaway._errors import InvalidError

_SEQUENCES: dict[bytes, type[Any]] = {b"l": list, b"t": tuple}


def pack(value: Any, name: str = "the value") -> bytes:
    """Raises InvalidError, which says where in `name` something is that has no place here."""
    if value is None:
        return b"n" + bytes(8)
    if isinstance(value, bool):
        return b"b" + struct.pack("<q", value)
    if isinstance(value, float):
        return b"d" + struct.pack("<d", value)
    if isinstance(value, (str, bytes)):
        data = value.encode() if isinstance(value, str) else value
        return (b"s" if isinstance(value, str) else b"y") + struct.pack("<q", len(data)) + data
    if isinstance(value, (list, tuple)):
        items = [pack(item, f"{name}[{i}]") for i, item in enumerate(value)]
        return (b"l" if isinstance(value, list) else b"t") + struct.pack("<q", len(items)) + b"".join(items)
    if isinstance(value, Mapping):
        pairs = sorted((pack(key, f"a key of {name}"), pack(item, f"{name}[{key!r}]")) for key, item in value.items())
        letter = b"c" if isinstance(value, Counter) else b"m"
        return letter + struct.pack("<q", len(pairs)) + b"".join(key + item for key, item in pairs)
    if isinstance(value, torch.Tensor) and value.numel() == 1 and not value.is_complex():
        return b"x" + pack(str(value.dtype).removeprefix("torch.")) + pack(value.item())
    try:
        return b"i" + struct.pack("<q", value.__index__())
    except (AttributeError, TypeError, struct.error):
        raise InvalidError(
            f"{name} is {value!r:.80} of type {type(value).__name__}; it has to be of numbers of 64 bits, bool, None, str, bytes, "
            "list, tuple, dict and tensors of one number"
        ) from None


def unpack(data: bytes) -> Any:
    """The value again. Raises InvalidError if data is not what `pack` makes."""
    try:
        value, at = _unpack(data, 0)
    except (struct.error, IndexError, UnicodeDecodeError, TypeError, AttributeError) as error:
        raise InvalidError(f"what another member packed cannot be read: {error}") from error
    if at != len(data):
        raise InvalidError(f"what another member packed ends at byte {at} of {len(data)}")
    return value


def _unpack(data: bytes, at: int) -> tuple[Any, int]:
    letter, at = data[at : at + 1], at + 1
    if letter == b"x":
        name, at = _unpack(data, at)
        number, at = _unpack(data, at)
        return torch.tensor(number, dtype=getattr(torch, name)), at
    if letter == b"d":
        return struct.unpack_from("<d", data, at)[0], at + 8
    number = struct.unpack_from("<q", data, at)[0]
    at += 8
    if letter == b"n":
        return None, at
    if letter == b"b":
        return bool(number), at
    if letter == b"i":
        return number, at
    if not 0 <= number <= len(data) - at:
        raise IndexError(f"{number} items, {len(data) - at} bytes")
    if letter in (b"s", b"y"):
        text = data[at : at + number]
        return (text.decode() if letter == b"s" else text), at + number
    if letter in _SEQUENCES:
        items = []
        for _ in range(number):
            item, at = _unpack(data, at)
            items.append(item)
        return _SEQUENCES[letter](items), at
    if letter in (b"m", b"c"):
        pairs: dict[Any, Any] = Counter() if letter == b"c" else {}
        for _ in range(number):
            key, at = _unpack(data, at)
            pairs[key], at = _unpack(data, at)
        return pairs, at
    raise IndexError(f"a value that begins with {letter!r}")
