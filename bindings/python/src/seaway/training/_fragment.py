"""Parameters, and their copies that all members share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from seaway._arithmetic import lincomb
from seaway._buffers import Array
from seaway._errors import InvalidError

Floats: TypeAlias = npt.NDArray[Any]

#: Parameters in order. An entry is an array, or the arrays of one layer, which stay together in one fragment.
Layers: TypeAlias = Sequence["Array | Sequence[Array]"]

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def _numpy_of(param: Array, name: str) -> Floats:
    """The parameter itself as a numpy array: what is written there is written to it."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(param, torch.Tensor):
        if hasattr(param, "to_local"):
            raise InvalidError(f"{name} is a DTensor; give its local part, {name}.to_local()")
        if param.device.type != "cpu" or param.dtype not in (torch.float32, torch.float64):
            raise InvalidError(f"{name} is of {param.dtype} on {param.device}; give float32 or float64 on the CPU")
        param = param.detach().numpy()
    if not isinstance(param, np.ndarray) or param.dtype not in _DTYPES or not param.flags.writeable:
        raise InvalidError(f"{name} is no writable numpy array or torch CPU tensor of float32 or float64")
    return param


def arrays_of(layers: Layers) -> list[list[Floats]]:
    """Each layer's parameters as numpy arrays. All are of one dtype."""
    taken = [
        [_numpy_of(param, f"params[{i}][{j}]") for j, param in enumerate(layer)]
        if isinstance(layer, (list, tuple))
        else [_numpy_of(layer, f"params[{i}]")]
        for i, layer in enumerate(layers)
    ]
    dtypes = {param.dtype for layer in taken for param in layer}
    if len(dtypes) != 1:
        raise InvalidError(f"params are {' and '.join(sorted(map(str, dtypes))) or 'none'}; give arrays of one dtype")
    return taken


class Fragment:
    """Some of this member's parameters theta_m, and the part of theta and buf that belongs to them: what one all-reduce and one
    outer step are about."""

    def __init__(self, params: Sequence[Floats], theta: Floats, buf: Floats) -> None:
        self.params = params
        self.theta = theta
        self.buf = buf
        self.base: Floats | None = None  # where theta_m started, if that is not theta any more
        self.take(theta)

    def take(self, into: Floats) -> None:
        """into = theta_m"""
        at = 0
        for param in self.params:
            into[at : at + param.size] = param.ravel()
            at += param.size

    def put(self, values: Floats) -> None:
        """theta_m = values"""
        at = 0
        for param in self.params:
            param[...] = values[at : at + param.size].reshape(param.shape)
            at += param.size

    def pseudo_gradient(self) -> Floats:
        """What this member has learned: where it started, mostly theta, minus theta_m; in an array of its own."""
        difference = np.empty_like(self.theta)
        self.take(difference)
        lincomb(difference, [(1.0, self.theta if self.base is None else self.base), (-1.0, difference)])
        return difference

    def hold(self) -> None:
        """theta is about to go on without this member, whose work is still to be counted: from where it started."""
        if self.base is None:
            self.base = self.theta.copy()

    def merge(self, alpha: float) -> None:
        """theta_m = alpha * theta_m + (1 - alpha) * theta. With alpha 0 theta_m is not looked at. Its work was counted."""
        self.base = None
        if alpha == 1:
            return
        if alpha == 0:
            self.put(self.theta)
            return
        own = np.empty_like(self.theta)
        self.take(own)
        lincomb(own, [(alpha, own), (1.0 - alpha, self.theta)])
        self.put(own)


def check_alpha(alpha: float) -> None:
    """Of `Fragment.merge`. Raises InvalidError."""
    if not 0 <= alpha <= 1:
        raise InvalidError(f"alpha is {alpha}; give 0 to 1")


def make_fragments(groups: Sequence[Sequence[Floats]]) -> tuple[Floats, Floats, list[Fragment]]:
    """(theta, buf, the fragments): the groups of parameters lie one behind the other in theta and in buf."""
    sizes = [sum(param.size for param in group) for group in groups]
    dtype = next(param.dtype for group in groups for param in group)
    theta, buf = np.zeros(sum(sizes), dtype), np.zeros(sum(sizes), dtype)
    ends = np.cumsum(sizes).tolist()
    slices = [slice(end - size, end) for end, size in zip(ends, sizes)]
    return theta, buf, [Fragment(group, theta[where], buf[where]) for group, where in zip(groups, slices)]


def strided(layers: Sequence[Sequence[Floats]], fragments: int) -> list[list[Floats]]:
    """Layer i in fragment i % fragments: every fragment has early, middle and late layers."""
    if not 1 <= fragments <= len(layers):
        raise InvalidError(f"fragments is {fragments}; give 1 to {len(layers)}, one for each entry of params at most")
    return [[param for layer in layers[p::fragments] for param in layer] for p in range(fragments)]
