"""Streaming DiLoCo."""

from __future__ import annotations

from typing import NamedTuple

from seaway._communicator import Communicator
from seaway._errors import Aborted, InvalidError, Refused
from seaway._options import Codec
from seaway._result import Result
from seaway.training._fragment import Layers, arrays_of, check_alpha, strided
from seaway.training._outer import OuterLoop
from seaway.training._waiting import EVERYBODY


class Schedule(NamedTuple):
    """When fragments are sent and merged: a pure function of the inner step, counted from 1.

    Fragment p is merged at the steps t with t = (p + 1) * every / fragments modulo `every`, and its all-reduce starts `overlap`
    steps before.
    """

    fragments: int
    every: int
    overlap: int

    def merged(self, step: int) -> list[int]:
        """The fragments whose rounds end after this inner step."""
        return [p for p in range(self.fragments) if ((p + 1) * self.every // self.fragments - step) % self.every == 0]

    def started(self, step: int) -> list[int]:
        """The fragments whose rounds start after this inner step, before others end."""
        return self.merged(step + self.overlap)


class StreamingDiLoCo(OuterLoop):
    """Streaming DiLoCo (arXiv 2501.18512) on one member: the parameters travel a fragment at a time, while training goes on.

        outer = StreamingDiLoCo(comm, layers, fragments=4, every=100, overlap=5)
        while outer.inner_step < steps:
            outer.sync()                    # newcomers are admitted and get the shared state
            inner_step()                    # changes the parameters in place
            outer.step()                    # sends a fragment, or merges one, when it is time

    Each fragment has a round every `every` inner steps, a fragment after the other at even distances:

        post    D_m,p     = theta_p - theta_m,p                          one all-reduce; returns at once
        ... `overlap` inner steps
        wait    theta_p   = OuterOpt(theta_p, mean of D_m,p)
        merge   theta_m,p = alpha * theta_m,p + (1 - alpha) * theta_p

    So the link has a fragment at a time to carry, and `overlap` inner steps for it. What dies meanwhile takes its own work along
    and no one else's: the round goes on over the survivors.

    After Evicted: `comm.join()`, then go on at `sync()`; this member gets the state that the others have. Aborted and Refused are
    of one fragment's round, which was not made: its work stays in the parameters and counts in the next; just go on. One thread
    at a time.

    Args:
        comm: a member of the run. Several outer loops on one need different tags.
        params: as in `DiLoCo`. An entry may be a list of arrays, a layer, whose arrays stay together.
        fragments: P. Entry i of params is in fragment i % P. The paper: 3 layers in each.
        every: H, inner steps between two rounds of one fragment; at least `fragments`.
        overlap: tau, inner steps between the start of a fragment's round and its end; less than `every`.
        alpha: how much a member keeps of its own parameters in a merge, 0 to 1.
        lr, momentum, nesterov: of the outer optimizer; the same on every member, like all of the above.
        tag, codec, error_feedback: as in `DiLoCo`.

    Attributes:
        theta, buf: the shared parameters and the outer momentum, flat, a fragment after the other. Read only.
    """

    def __init__(
        self,
        comm: Communicator,
        params: Layers,
        *,
        fragments: int,
        every: int,
        overlap: int = 1,
        alpha: float = 0.5,
        lr: float = 0.4,
        momentum: float = 0.9,
        nesterov: bool = True,
        tag: int = 0,
        codec: Codec = None,
        error_feedback: bool = False,
    ) -> None:
        groups = strided(arrays_of(params), fragments)
        if not fragments <= every:
            raise InvalidError(f"every is {every}; give {fragments} inner steps or more, one for each fragment")
        if not 0 <= overlap < every:
            raise InvalidError(f"overlap is {overlap}; give 0 to {every - 1}: a fragment's round ends before its next")
        check_alpha(alpha)
        self._schedule = Schedule(fragments, every, overlap)
        self._alpha = alpha
        super().__init__(
            comm,
            groups,
            lr=lr,
            momentum=momentum,
            nesterov=nesterov,
            tag=tag,
            codec=codec,
            error_feedback=error_feedback,
            waiting=EVERYBODY,
            settings=(self._schedule, alpha),
        )

    @property
    def inner_step(self) -> int:
        """How many inner steps the run has made: how often a member that was always there has called `step`."""
        return int(self._clock[0])

    def step(self, weight: float | None = None) -> list[Result]:
        """To be called after every inner step. Starts the round of the fragment whose time it is, and ends that of another.

        Args:
            weight: of this member in the rounds that start here, for example the tokens since that fragment's last; all members
                give one, or none does.

        Returns the results of the rounds that ended, mostly none.
        """
        self._clock[0] += 1
        now = self.inner_step
        for index in self._schedule.started(now):
            self._post(index, self._fragments[index].pseudo_gradient(), weight)
        error: Aborted | Refused | None = None
        results = []
        for index in self._schedule.merged(now):
            # After newcomers came there may be none: it ended early.
            if index in self._flights:
                try:
                    results.append(self._end(index))
                except (Aborted, Refused) as raised:
                    error = error or raised
        if error is not None:
            raise error
        return results

    def _finished(self, index: int, result: Result, counted: bool) -> None:
        if result.outcome == "committed":
            self._fragments[index].merge(self._alpha)
