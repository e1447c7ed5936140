"""DiLoCo with a delay of one round."""

from __future__ import annotations

import numpy as np

from seaway._arithmetic import lincomb, outer_step
from seaway._communicator import Communicator
from seaway._errors import Aborted, Refused
from seaway._options import Codec
from seaway._result import Result
from seaway.training._fragment import Floats, Layers, arrays_of, strided
from seaway.training._outer import OuterLoop
from seaway.training._waiting import EVERYBODY


class DelayedDiLoCo(OuterLoop):
    """DiLoCo whose all-reduce has a whole round's time: it runs during the next H inner steps, and what it brings is applied
    after them.

        outer = DelayedDiLoCo(comm, params)
        while outer.round < rounds:
            outer.sync()                    # newcomers are admitted and get the shared state
            for _ in range(500):
                inner_step()                # changes the parameters in place; the last round's all-reduce runs meanwhile
            result = outer.step()           # ends that, and starts this round's; the parameters are new

    In round t, D_m^t is what member m learned, and G^t the mean of all D_m^t:

        naive     theta = OuterOpt(theta, G^(t-1)) ; theta_m = theta
        eager     the same with  G^(t-1) + (D_m^t - D_m^(t-1)) / M  : its own stale part is replaced by its fresh one

    (naive: arXiv 2505.14065 and 2506.21263; eager: 2502.12996.) The optimizer is linear in its gradients, so eager keeps theta, fed
    with G alone and the same bits on every member, apart from a private term c_m, fed with the correction: theta_m = theta + c_m.

    When newcomers come, the round under way ends at `sync()` and everybody, they too, starts with none. After Evicted:
    `comm.join()`, then go on at `sync()`. Aborted and Refused are of the last round, which was not made, and whose work is lost;
    the next one is under way: just go on. One thread at a time.

    Args:
        comm, params, lr, momentum, nesterov, tag, codec, error_feedback: as in `DiLoCo`.
        eager: as above; the same on every member. Better than naive, at the cost of three more copies of the parameters.

    Attributes:
        theta, buf: the shared parameters and the outer momentum, flat, one round behind. Read only.
    """

    def __init__(
        self,
        comm: Communicator,
        params: Layers,
        *,
        eager: bool = True,
        lr: float = 0.7,
        momentum: float = 0.9,
        nesterov: bool = True,
        tag: int = 0,
        codec: Codec = None,
        error_feedback: bool = False,
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
            waiting=EVERYBODY,
            settings=(eager,),
        )
        # c_m, its momentum, and D_m of the last round.
        self._private: tuple[Floats, Floats, Floats] | None = None
        if eager:
            self._private = (np.zeros_like(self.theta), np.zeros_like(self.theta), np.zeros_like(self.theta))
        self._members = 1

    def step(self, weight: float | None = None) -> Result | None:
        """Ends the all-reduce of the last round, makes the outer step, sets the parameters, and starts the all-reduce of this one.

        Args:
            weight: of this member's work of this round; all members give one, or none does.

        Returns the last round's result; None where none was under way: in the first round, and after newcomers came.
        """
        self._clock[0] += 1
        fresh = self._fragments[0].pseudo_gradient()
        if self._private is not None:
            lincomb(fresh, [(1.0, fresh), (1.0, self._private[0])])  # against where this member started: theta + c_m
        result: Result | None = None
        error: Aborted | Refused | None = None
        if self._flights:
            try:
                result, _ = self._settle(0)
                self._members = len(result.contributors)
            except (Aborted, Refused) as raised:
                error = raised
        else:
            self._members = self._comm.world_size
        self._correct(fresh)
        self._place()
        self._post(0, fresh, weight)
        if error is not None:
            raise error
        return result

    def _correct(self, fresh: Floats) -> None:
        """The private term makes its outer step, from the last round's own work to this one's."""
        if self._private is None:
            return
        own, own_buf, last = self._private
        share = 1.0 / self._members
        lincomb(last, [(share, fresh), (-share, last)])
        outer_step(own, own_buf, last, **self._optimizer)  # type: ignore[arg-type]
        last[:] = fresh

    def _place(self) -> None:
        """theta_m = theta + c_m"""
        if self._private is None:
            self._fragments[0].put(self.theta)
            return
        placed = np.empty_like(self.theta)
        lincomb(placed, [(1.0, self.theta), (1.0, self._private[0])])
        self._fragments[0].put(placed)

    def _finished(self, index: int, result: Result, counted: bool) -> None:
        """It ended early, before this round's inner steps: nothing fresh is there to put in the place of the stale part."""
        self._members = len(result.contributors)
        self._correct(np.zeros_like(self.theta))
        self._place()

    def _adopt(self) -> None:
        super()._adopt()
        for each in self._private or ():
            each[:] = 0
