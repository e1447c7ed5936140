"""DiLoCo."""

from __future__ import annotations

from seaway._communicator import Communicator
from seaway._errors import InvalidError
from seaway._operation import Operation
from seaway._options import Codec
from seaway._result import Result
from seaway._view import View
from seaway.training._fragment import Layers, arrays_of, strided
from seaway.training._outer import OuterLoop
from seaway.training._waiting import EVERYBODY, Waiting


class DiLoCo(OuterLoop):
    """The outer loop of DiLoCo (arXiv 2311.08105) on one member.

        outer = DiLoCo(comm, [w1, b1, w2, b2])
        while outer.round < rounds:
            outer.sync()                    # newcomers are admitted and get the shared state
            for _ in range(500):
                inner_step()                # changes w1, b1, w2, b2 in place
            result = outer.step()           # one all-reduce, one outer step; the parameters are theta again

    After Evicted: `comm.join()`, then go on at `sync()`; this member gets the state that the others have. Aborted and Refused
    leave the shared state and the parameters as they were. One thread at a time.

    Args:
        comm: a member of the run. Several outer loops on one need different tags.
        params: this member's parameters theta_m: writable numpy arrays or torch CPU tensors, all float32 or all float64, of any
            shapes; written in place. Where members begin with different ones, the copy that most have, or the first member's, is
            where the run starts.
        lr, momentum, nesterov: of the outer optimizer; the same on every member.
        tag: of the all-reduces.
        codec: how pseudo-gradients travel, as in `Communicator.all_reduce`; the same on every member.
        error_feedback: what the codec loses of this member's contribution is added to its next one. For float32; each member
            chooses for itself.
        waiting: when a round goes on without the members that are not there yet, for example `WAIT_FOR_ALL`; the same on every
            member. Whoever comes later gets the round's result, keeps its own parameters, and has its work counted in a later
            round: see `step`.

    Attributes:
        theta: the shared parameters, flat. Read only.
        buf: the outer momentum, flat. Read only.
    """

    def __init__(
        self,
        comm: Communicator,
        params: Layers,
        *,
        lr: float = 0.7,
        momentum: float = 0.9,
        nesterov: bool = True,
        tag: int = 0,
        codec: Codec = None,
        error_feedback: bool = False,
        waiting: Waiting = EVERYBODY,
    ) -> None:
        super().__init__(
            comm,
            strided(arrays_of(params), 1),
            lr=lr,
            momentum=momentum,
            nesterov=nesterov,
            tag=tag,
            codec=codec,
            error_feedback=error_feedback,
            waiting=waiting,
            settings=(),
        )
        self._waits_for_everybody = waiting.quorum is None
        self._counted = True

    def sync(self) -> View:
        """As all outer loops have it: admits newcomers and shares the state with them. To be called between rounds."""
        if self._flights and self._flights[0].me == self._comm.view.me:
            raise InvalidError("sync was called between start and finish")
        return super().sync()

    def start(self, weight: float | None = None) -> Operation:
        """Starts the all-reduce of this round's pseudo-gradients and returns at once; `finish()` ends the round. Until then the
        parameters may be read and not written.

        Args:
            weight: of this member, for example its tokens; all members give one, or none does.
        """
        if self._flights:
            raise InvalidError("start was called twice without finish")
        return self._post(0, self._fragments[0].pseudo_gradient(), weight)

    def finish(self, timeout: float | None = None) -> Result:
        """Waits for the all-reduce, makes the outer step and sets the parameters to the new theta; where the round went on
        without this member they stay, and its next contribution is of all that it has learned since its last.

        Raises Pending when `timeout` seconds passed: call again. On any other error the shared state and the parameters are
        as before `start()`, which may then be called again.
        """
        if not self._flights:
            raise InvalidError("finish was called without start")
        result, counted = self._settle(0, timeout)
        self._finished(0, result, counted)
        return result

    def step(self, weight: float | None = None) -> Result:
        """`start` and `finish`: ends the round.

        With `waiting` a round may go on without this member. The others are ahead then: its work is offered to the next round at
        once (`sync`, `start`, `finish`), until one has it. So nothing learned is lost, and nobody falls behind.
        """
        self.start(weight)
        result = self.finish()
        while not self._counted:
            self.sync()
            self.start(weight)
            result = self.finish()
        return result

    def _finished(self, index: int, result: Result, counted: bool) -> None:
        self._counted = counted or self._waits_for_everybody
        if result.outcome != "committed":
            return
        self._clock[0] += 1
        if self._counted:
            self._fragments[index].merge(0)
