"""Low-communication training: the outer loop of DiLoCo, for models whose parameters are numpy arrays.

DiLoCo (arXiv 2311.08105): every member trains alone for H inner steps from the shared parameters theta, then the mean of what
the members learned is applied by an outer optimizer. One all-reduce per round instead of one per step:

    D_m   = theta - theta_m                          the pseudo-gradient of member m
    g     = sum(w_m * D_m) / sum(w_m)                one all_reduce, op="avg", over whoever contributed
    buf   = momentum * buf + g
    theta = theta - lr * (g + momentum * buf)        Nesterov, as PyTorch has it; buf starts at 0

theta, buf and the number of the round are the shared state: the same bits on every member after every round.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from seaway._communicator import Communicator
from seaway._errors import InvalidError
from seaway._operation import Operation
from seaway._result import Result
from seaway._view import View

Floats: TypeAlias = npt.NDArray[np.float32]


def outer_step(
    theta: Floats, buf: Floats, gradient: Floats, *, lr: float = 0.7, momentum: float = 0.9, nesterov: bool = True
) -> None:
    """One step of the outer optimizer; theta and buf change in place. All three are float32 of one shape.

    Elementwise float32 operations, each rounded once: the same inputs give the same bits on every machine.
    momentum=0: SGD. nesterov=False: heavy ball.
    """
    rate, mu = np.float32(lr), np.float32(momentum)
    buf *= mu
    buf += gradient
    step = buf
    if nesterov:
        step = buf * mu
        step += gradient
    theta -= rate * step


class DiLoCo:
    """The outer loop of DiLoCo on one member.

        outer = DiLoCo(comm, [w1, b1, w2, b2])
        while outer.round < rounds:
            outer.sync()                    # newcomers are admitted and get the shared state
            for _ in range(500):
                inner_step()                # changes w1, b1, w2, b2 in place
            result = outer.step()           # one all-reduce, one outer step; the parameters are theta again

    After Evicted: `comm.join()`, then go on at `sync()`; this member gets the state that the others have. Aborted and Refused
    leave the shared state and the parameters as they were. One thread at a time.

    Args:
        comm: a member of the run. Several DiLoCos on one need different tags.
        params: this member's parameters theta_m: float32 numpy arrays, written in place. Where members begin with different
            ones, the copy that most have, or the first member's, is where the run starts.
        lr, momentum, nesterov: of the outer optimizer; the same on every member.
        tag: of the all-reduces.

    Attributes:
        theta: the shared parameters, flat, float32. Read only.
        buf: the outer momentum, flat, float32. Read only.
        round: how many outer steps made theta.
    """

    def __init__(
        self,
        comm: Communicator,
        params: Sequence[Floats],
        *,
        lr: float = 0.7,
        momentum: float = 0.9,
        nesterov: bool = True,
        tag: int = 0,
    ) -> None:
        for i, param in enumerate(params):
            if not isinstance(param, np.ndarray) or param.dtype != np.float32 or not param.flags.writeable:
                raise InvalidError(f"params[{i}] is no writable float32 numpy array")
        self._comm = comm
        self._params = list(params)
        self._lr = lr
        self._momentum = momentum
        self._nesterov = nesterov
        self._tag = tag
        shapes = repr(([param.shape for param in params], lr, momentum, nesterov))
        self._layout = int.from_bytes(hashlib.blake2b(shapes.encode(), digest_size=8).digest(), "little")
        self.round = 0
        self.theta: Floats = np.empty(sum(param.size for param in params), np.float32)
        self._copy(out_of_params=self.theta)
        self.buf: Floats = np.zeros_like(self.theta)
        self._mean: Floats = np.empty_like(self.theta)
        self._operation: Operation | None = None
        self._shared_in: tuple[int, int] | None = None  # my incarnation and the generation that the state was shared in

    def sync(self) -> View:
        """Admits newcomers (`Communicator.update`) and, when there are any, brings everyone to the same shared state
        (`Communicator.sync_state`). Call it once per round, before the inner steps. Without newcomers it costs nothing, but
        when chunks are dealt by new rates, which nobody can tell from a newcomer that is gone: two round trips then.

        Returns the membership from here on. Raises Evicted and what else `update` and `sync_state` raise.
        """
        view = self._comm.update()
        if self._shared_in != (view.me, view.generation):
            prefix = f"diloco {self._layout:016x} "  # what has to be alike on every member besides the tensors
            tensors = {prefix + "theta": self.theta, prefix + "buf": self.buf}
            synced = self._comm.sync_state(tensors, self.round)
            self.round = synced.revision
            if synced.bytes_changed > 0:
                self._copy(into_params=self.theta)
            self._shared_in = (view.me, view.generation)
        return view

    def start(self, weight: float | None = None) -> Operation:
        """Starts the all-reduce of this round's pseudo-gradients and returns at once; `finish()` ends the round. Until then the
        parameters may be read and not written.

        Args:
            weight: of this member, for example its tokens; all members give one, or none does.
        """
        if self._operation is not None:
            raise InvalidError("start was called twice without finish")
        self._copy(out_of_params=self._mean)
        np.subtract(self.theta, self._mean, out=self._mean)
        self._operation = self._comm.all_reduce_async(
            self._mean, op="avg", tag=self._tag, weight=weight, layout=self._layout
        )
        return self._operation

    def finish(self, timeout: float | None = None) -> Result:
        """Waits for the all-reduce, makes the outer step and sets the parameters to the new theta.

        Raises Pending when `timeout` seconds passed: call again. On any other error the shared state and the parameters are
        as before `start()`, which may then be called again.
        """
        operation = self._operation
        if operation is None:
            raise InvalidError("finish was called without start")
        try:
            result = operation.wait(timeout)
        finally:
            if operation.done():
                self._operation = None
        if result.outcome == "committed":
            outer_step(
                self.theta, self.buf, self._mean, lr=self._lr, momentum=self._momentum, nesterov=self._nesterov
            )
            self.round += 1
            self._copy(into_params=self.theta)
        return result

    def step(self, weight: float | None = None) -> Result:
        """`start` and `finish`: ends the round."""
        self.start(weight)
        return self.finish()

    def digest(self) -> str:
        """A hash of theta, buf and round, in hexadecimal: equal on every member after every round."""
        state = hashlib.blake2b(self.round.to_bytes(8, "little"), digest_size=16)
        state.update(self.theta.data)
        state.update(self.buf.data)
        return state.hexdigest()

    def _copy(self, *, out_of_params: Floats | None = None, into_params: Floats | None = None) -> None:
        at = 0
        for param in self._params:
            if out_of_params is not None:
                out_of_params[at : at + param.size] = param.ravel()
            if into_params is not None:
                param[...] = into_params[at : at + param.size].reshape(param.shape)
            at += param.size
