"""What the outer loops have in common: the shared state, newcomers, and rounds that are under way.

The shared state is theta, buf and the clock: the same bits on every member at the same point of its program. A round of a
fragment is one all-reduce of everybody's pseudo-gradient and one outer step. Its outcome is that of the op: committed at all
members or at none, over the same contributors, whoever dies meanwhile.

Newcomers enter at `sync()`, where all members are at one point. Rounds that are under way there began without the newcomers,
who have no result of them: so they end first, at all members alike, and everybody goes on with none under way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from seaway._arithmetic import outer_step
from seaway._communicator import Communicator
from seaway._digest import digest
from seaway._errors import Aborted, InvalidError, Refused
from seaway._operation import Operation
from seaway._options import Codec
from seaway._result import Result
from seaway._view import View
from seaway.training._fragment import Floats, make_fragments
from seaway.training._waiting import Waiting


class Flight(NamedTuple):
    """A round that is under way: its op, and the array with this member's contribution, in which the mean will be."""

    operation: Operation
    mean: Floats
    me: int  # the incarnation that it belongs to


class OuterLoop:
    """The part of DiLoCo, StreamingDiLoCo, ... that is the same in all. Use those."""

    def __init__(
        self,
        comm: Communicator,
        groups: Sequence[Sequence[Floats]],
        *,
        lr: float,
        momentum: float,
        nesterov: bool,
        tag: int,
        codec: Codec,
        error_feedback: bool,
        waiting: Waiting,
        settings: tuple[Any, ...],
    ) -> None:
        self.theta, self.buf, self._fragments = make_fragments(groups)
        self._comm = comm
        self._optimizer = {"lr": lr, "momentum": momentum, "nesterov": nesterov}
        self._options: dict[str, Any] = {"tag": tag, "codec": codec, **waiting.options()}
        self._residuals: list[Floats] | None = None
        if error_feedback:
            if codec is None or self.theta.dtype != np.float32:
                raise InvalidError("error_feedback needs a codec, and float32 parameters")
            self._residuals = [np.zeros_like(fragment.theta) for fragment in self._fragments]
        shapes = [[param.shape for param in group] for group in groups]
        alike = repr((type(self).__name__, shapes, self.theta.dtype.name, lr, momentum, nesterov, settings))
        self._layout = digest(alike)
        self._flights: dict[int, Flight] = {}
        self._shared_in: tuple[int, int] | None = None  # my incarnation and the generation that the state was shared in
        # Shared: where in its schedule the loop is, and how many outer steps made theta.
        self._clock = np.zeros(2, np.int64)

    @property
    def round(self) -> int:
        """How many outer steps made theta, those of all fragments together."""
        return int(self._clock[1])

    def sync(self) -> View:
        """Admits newcomers (`Communicator.update`) and, when there are any, brings everyone to the same shared state
        (`Communicator.sync_state`). Every member calls it at the same points, before its inner steps. Without newcomers it costs
        nothing, but when chunks are dealt by new rates, which nobody can tell from a newcomer that is gone: two round trips then.

        Rounds that are under way then end first, and nobody gets their results.

        Returns the membership from here on. Raises Evicted and what else `update` and `sync_state` raise. Aborted or Refused of
        a round that was under way is raised once the state is shared.
        """
        view = self._comm.update()
        if self._shared_in != (view.me, view.generation):
            error = self._end_flights(view.me)
            prefix = f"outer loop {self._layout:016x} "  # what has to be alike on every member besides the tensors
            tensors = {prefix + name: each for name, each in self.state().items()}
            synced = self._comm.sync_state(tensors, self._revision())
            if synced.bytes_changed > 0:
                self._adopt()
            self._shared_in = (view.me, view.generation)
            if error is not None:
                raise error
        return view

    def digest(self) -> str:
        """A hash of the shared state, in hexadecimal: equal on every member at the same point of its program."""
        state = hashlib.blake2b(self._clock.data, digest_size=16)
        state.update(self.theta.data)
        state.update(self.buf.data)
        return state.hexdigest()

    def state(self) -> dict[str, Floats]:
        """The shared state: theta, buf and the clock (where in its schedule the loop is, and the round). The arrays themselves: copy
        them for a checkpoint, between rounds."""
        return {"theta": self.theta, "buf": self.buf, "clock": self._clock}

    def load(self, state: Mapping[str, Floats]) -> None:
        """Sets the shared state to what `state()` gave once, and the parameters to theta. Before the first `sync()`: in a run the
        copy with the newest round counts.

        Raises InvalidError if a name is missing or an array is of another size or dtype; nothing has changed then.
        """
        own = self.state()
        for name, values in own.items():
            given = state.get(name)
            if given is None or given.shape != values.shape or given.dtype != values.dtype:
                got = "nothing" if given is None else f"{given.dtype} of shape {given.shape}"
                raise InvalidError(f"state[{name!r}] must be {values.dtype} of shape {values.shape}, not {got}")
        for name, values in own.items():
            values[:] = state[name]
        self._adopt()

    # -- for the loops ------------------------------------------------------------------------------------------------

    def _revision(self) -> int:
        return int(self._clock[0])

    def _adopt(self) -> None:
        """The shared state has come from others: this member starts from it."""
        for fragment in self._fragments:
            fragment.merge(0)
        for residual in self._residuals or ():
            residual[:] = 0

    def _post(self, index: int, contribution: Floats, weight: float | None) -> Operation:
        """Starts a round of a fragment. The contribution's array becomes the mean."""
        options = self._options
        if self._residuals is not None:
            options = {**options, "residual": self._residuals[index]}
        operation = self._comm.all_reduce_async(
            contribution, op="avg", weight=weight, layout=self._layout + index & 2**64 - 1, **options
        )
        me = self._shared_in[0] if self._shared_in is not None else self._comm.view.me
        self._flights[index] = Flight(operation, contribution, me)
        return operation

    def _settle(self, index: int, timeout: float | None = None) -> tuple[Result, bool]:
        """Ends a round: (its result, whether this member's contribution is in it). On Pending it goes on; on any other error it is
        over and was not made."""
        operation, mean, me = self._flights[index]
        try:
            result = operation.wait(timeout)
        finally:
            if operation.done():
                del self._flights[index]
        counted = any(contributor.peer == me for contributor in result.contributors)
        if result.outcome == "committed":
            fragment = self._fragments[index]
            if not counted:
                fragment.hold()
            outer_step(fragment.theta, fragment.buf, mean, **self._optimizer)  # type: ignore[arg-type]
            self._clock[1] += 1
        return result, counted

    def _finished(self, index: int, result: Result, counted: bool) -> None:
        """A round was made: what becomes of the member's own parameters."""
        raise NotImplementedError

    def _end(self, index: int) -> Result:
        result, counted = self._settle(index)
        self._finished(index, result, counted)
        return result

    def _end_flights(self, me: int) -> Aborted | Refused | None:
        """Ends all rounds that are under way. Those of an earlier incarnation are over: what became of them its successor learns
        with the shared state."""
        error: Aborted | Refused | None = None
        for index in sorted(self._flights):
            if self._flights[index].me != me:
                del self._flights[index]
                continue
            try:
                self._end(index)
            except (Aborted, Refused) as raised:
                error = error or raised
        return error
