"""Arithmetic on vectors, in C: the same bits on every machine."""

from __future__ import annotations

from collections.abc import Sequence

from seaway._buffers import Array, buffers
from seaway._errors import InvalidError, make_error
from seaway._library import OK, ffi, lib

_BUFFERS = ffi.typeof("seaway_buffer[]")
_FACTORS = ffi.typeof("double[]")
_ALIKE = "float32 or float64, alike in dtype and size, and apart in memory"


def outer_step(
    theta: Array, buf: Array, gradient: Array, *, lr: float = 0.7, momentum: float = 0.9, nesterov: bool = True
) -> None:
    """One step of an outer optimizer; theta and buf change in place:

        buf   = momentum * buf + gradient
        theta = theta - lr * (gradient + momentum * buf)      Nesterov, as PyTorch has it; nesterov=False: lr * buf

    Each operation is rounded once: the same inputs give the same bits on every machine. momentum=0, nesterov=False: SGD.
    nesterov=False: heavy ball. buf starts as zeros.

    Args:
        theta, buf, gradient: numpy arrays, torch CPU tensors or buffers of float32, or of float64, C-contiguous, of one size.
            No two may overlap.
        lr, momentum: finite in that dtype.

    Raises InvalidError when they are not like that; nothing was written then.
    """
    first, _, keep_first = buffers(theta, "theta", True)
    second, _, keep_second = buffers(buf, "buf", True)
    third, _, keep_third = buffers(gradient, "gradient", False)
    status = lib.seaway_outer_step(first, second, third, lr, momentum, bool(nesterov))
    del keep_first, keep_second, keep_third
    if status == lib.SEAWAY_INVALID:
        raise InvalidError(f"theta, buf and gradient must be {_ALIKE}; lr ({lr}) and momentum ({momentum}) finite")
    if status != OK:
        raise make_error(status, "outer_step")


def lincomb(out: Array, terms: Sequence[tuple[float, Array]]) -> None:
    """out = factor0 * x0 + factor1 * x1 + ..., by element, from the first term to the last, each operation rounded once.

        lincomb(mean, [(0.5, a), (0.5, b)])

    Args:
        out: an array as in `outer_step`. It may be exactly one of the terms' arrays, and overlaps none of them otherwise.
        terms: (factor, array), at least one; factors are finite. A factor of 0 counts: 0 * NaN is NaN.

    Raises InvalidError when they are not like that; nothing was written then.
    """
    target, _, keep = buffers(out, "out", True)
    described = [buffers(x, f"terms[{i}][1]", False) for i, (_, x) in enumerate(terms)]
    sources = ffi.new(_BUFFERS, [buffer[0] for buffer, _, _ in described])
    factors = ffi.new(_FACTORS, [factor for factor, _ in terms])
    status = lib.seaway_lincomb(target, sources, factors, len(terms))
    del keep, described
    if status == lib.SEAWAY_INVALID:
        raise InvalidError(
            f"out and the arrays of terms must be {_ALIKE} (out may be one of them); at least one, with finite factors"
        )
    if status != OK:
        raise make_error(status, "lincomb")
