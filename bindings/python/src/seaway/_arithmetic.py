"""Arithmetic on vectors and their hashes, in C: the same bits on every machine, on a GPU as on the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seaway._buffers import Array, buffers, common_stream
from seaway._errors import InvalidError, NoDevice, make_error
from seaway._library import OK, ffi, lib

_BUFFERS = ffi.typeof("seaway_buffer[]")
_FACTORS = ffi.typeof("double[]")
_ALIKE = "float32 or float64, alike in dtype and size, on the host or on one GPU, and apart in memory"


def _one(x: Array, name: str, writable: bool) -> tuple[Any, Any]:
    """(seaway_buffer *, what keeps the memory alive)."""
    if isinstance(x, (list, tuple)):
        raise InvalidError(f"{name} is a {type(x).__name__}; give one array")
    buffer, _, keep = buffers(x, name, writable)
    return buffer, keep


def _check(status: int, doing: str, wanted: str) -> None:
    if status == OK:
        return
    if status == lib.SEAWAY_INVALID:
        raise InvalidError(wanted)
    if status == lib.SEAWAY_NO_DEVICE:
        raise NoDevice(
            f"{doing}: an array is on a GPU, and none can be used here (seaway.device_check says why), the stream is another GPU's or is "
            "captured, or the GPU has failed. Give memory of the host's, or mend that"
        )
    raise make_error(status, doing)


def outer_step(
    theta: Array, buf: Array, gradient: Array, *, lr: float = 0.7, momentum: float = 0.9, nesterov: bool = True
) -> None:
    """One step of an outer optimizer; theta and buf change in place:

        buf   = momentum * buf + gradient
        theta = theta - lr * (gradient + momentum * buf)      Nesterov, as PyTorch has it; nesterov=False: lr * buf

    Each operation is rounded once: the same inputs give the same bits on every machine. momentum=0, nesterov=False: SGD.
    nesterov=False: heavy ball. buf starts as zeros.

    Args:
        theta, buf, gradient: numpy arrays, torch tensors or other arrays of float32, or of float64, C-contiguous, of one size. No two
            may overlap. On a GPU, all on one: then the step is put into the stream on which they were written (torch's current one),
            and not waited for, like any kernel.
        lr, momentum: finite in that dtype.

    Raises InvalidError when they are not like that, nothing was written then; NoDevice when the GPU cannot be used.
    """
    first, keep_first = _one(theta, "theta", True)
    second, keep_second = _one(buf, "buf", True)
    third, keep_third = _one(gradient, "gradient", False)
    stream = common_stream([(theta, first), (buf, second), (gradient, third)], "theta, buf and gradient")
    status = lib.seaway_outer_step(first, second, third, lr, momentum, bool(nesterov), stream)
    del keep_first, keep_second, keep_third
    _check(status, "outer_step", f"theta, buf and gradient must be {_ALIKE}; lr ({lr}) and momentum ({momentum}) finite")


def lincomb(out: Array, terms: Sequence[tuple[float, Array]]) -> None:
    """out = factor0 * x0 + factor1 * x1 + ..., by element, from the first term to the last, each operation rounded once.

        lincomb(mean, [(0.5, a), (0.5, b)])

    Args:
        out: an array as in `outer_step`. It may be exactly one of the terms' arrays, and overlaps none of them otherwise.
        terms: (factor, array), at least one, on a GPU at most 256; factors are finite. A factor of 0 counts: 0 * NaN is NaN.

    Raises InvalidError when they are not like that, nothing was written then; NoDevice when the GPU cannot be used.
    """
    target, keep = _one(out, "out", True)
    described = [_one(x, f"terms[{i}][1]", False) for i, (_, x) in enumerate(terms)]
    stream = common_stream(
        [(out, target), *((x, buffer) for (_, x), (buffer, _) in zip(terms, described))], "out and the arrays of terms"
    )
    sources = ffi.new(_BUFFERS, [buffer[0] for buffer, _ in described])
    factors = ffi.new(_FACTORS, [factor for factor, _ in terms])
    status = lib.seaway_lincomb(target, sources, factors, len(terms), stream)
    del keep, described
    _check(
        status,
        "lincomb",
        f"out and the arrays of terms must be {_ALIKE} (out may be one of them); at least one (on a GPU at most 256), with finite factors",
    )


def sqnorm(x: Array) -> float:
    """The sum of the squares of x, added up in float64 in an order that is part of the definition: the same bits on every machine.

    Args:
        x: an array of float32, as in `outer_step`. On a GPU it is waited for.

    Raises InvalidError when it is not like that; NoDevice when the GPU cannot be used.
    """
    buffer, keep = _one(x, "x", False)
    number = ffi.new("double *")
    status = lib.seaway_sqnorm(number, buffer, common_stream([(x, buffer)], "x"))
    del keep
    _check(status, "sqnorm", "x must be float32")
    return float(number[0])


def hash(x: Array) -> str:
    """32 hexadecimal digits over the bytes of x: `SyncResult.digest` of a state that has x alone.

    Args:
        x: an array of any dtype that seaway reduces. On a GPU it is waited for.

    Raises InvalidError when it is not like that; NoDevice when the GPU cannot be used.
    """
    buffer, keep = _one(x, "x", False)
    digest = ffi.new("uint64_t[2]")
    status = lib.seaway_hash(digest, buffer, common_stream([(x, buffer)], "x"))
    del keep
    _check(status, "hash", "x must be one array, of at most 2**50 bytes")
    return f"{digest[0]:016x}{digest[1]:016x}"
