"""Decoupled DiLoCo."""

from __future__ import annotations

from dataclasses import dataclass

from seaway._communicator import Communicator
from seaway._errors import Error, InvalidError
from seaway._operation import Operation
from seaway._options import Codec
from seaway._result import Result
from seaway._view import View
from seaway.training._fragment import Layers, arrays_of, check_alpha, strided
from seaway.training._outer import OuterLoop
from seaway.training._waiting import Waiting


def token_weight(tokens: float, steps: float) -> float:
    """The weight of a contribution that `tokens` tokens in `steps` inner steps made: tokens * (tokens / steps). 0 for none."""
    return tokens * (tokens / steps) if steps > 0 else 0.0


@dataclass
class _Progress:
    """What a fragment of this member has learned since its work was last counted."""

    tokens: float = 0.0
    steps: int = 0


class DecoupledDiLoCo(OuterLoop):
    """Decoupled DiLoCo (arXiv 2604.21428) on one member: every member trains at its own pace, and nobody waits for the slowest.

        outer = DecoupledDiLoCo(comm, layers, fragments=24, every=96, quorum=2, grace=1.0)
        outer.sync()                        # the shared state, before the first inner step
        while outer.round < rounds:
            tokens = inner_step()           # changes the parameters in place
            outer.step(tokens)              # sends a fragment, or merges one, when it is time

    Round r of the run is of fragment r % P. A member comes to the next round when it has made `every` / P inner steps since the last;
    a round goes on when `quorum` members have come and the others had `grace` seconds more. It is an all-reduce with weights,
    w_m = tokens * (tokens / steps) since that fragment's work was last counted, and one outer step:

        theta_p   = OuterOpt(theta_p, sum(w_m * D_m,p) / sum(w_m))
        theta_m,p = alpha * theta_m,p + (1 - alpha) * theta_p            where this member's was counted

    Whoever comes later gets the round's result at once, keeps its own fragment, which counts more the next time, and goes through
    the rounds that it has missed without inner steps between, until it is where the others are. A dead member is in no round.

    Newcomers are admitted between two rounds, by `step`. After Evicted: `comm.join()`, `sync()`, go on. Aborted and Refused are of
    one round, which was not made; just go on. One thread at a time.

    Args:
        comm: a member of the run. Several outer loops on one need different tags.
        params: as in `StreamingDiLoCo`.
        fragments: P. Entry i of params is in fragment i % P.
        every: H, this member's inner steps between two rounds of one fragment; each member may have another.
        overlap: tau, this member's inner steps between the start of a round and its end; transfer and grace should fit into them.
        alpha: how much a member keeps of its own parameters in a merge, 0 to 1.
        quorum: K, so many members make a round; None: all of them. grace: seconds that the others have from then on.
        lr, momentum, nesterov: of the outer optimizer; the same on every member, like fragments, alpha, quorum and grace.
        tag, codec, error_feedback: as in `DiLoCo`.

    Attributes:
        theta, buf: the shared parameters and the outer momentum, flat, a fragment after the other. Read only.
    """

    def __init__(
        self,
        comm: Communicator,
        params: Layers,
        *,
        every: int,
        fragments: int = 24,
        overlap: int = 2,
        alpha: float = 0.5,
        quorum: int | None = 1,
        grace: float = 0.0,
        lr: float = 0.4,
        momentum: float = 0.9,
        nesterov: bool = True,
        tag: int = 0,
        codec: Codec = None,
        error_feedback: bool = False,
    ) -> None:
        groups = strided(arrays_of(params), fragments)
        if every < fragments or overlap < 0:
            raise InvalidError(f"every is {every} and overlap {overlap}; give {fragments} or more, and 0 or more")
        check_alpha(alpha)
        self._pace = every // fragments
        self._overlap = overlap
        self._alpha = alpha
        self._progress = [_Progress() for _ in groups]
        self._offered = _Progress()  # what of it the contribution under way is of
        self._since = 0  # inner steps since the last round began here
        self._behind = False  # the last round went on without this member
        self._admitted = False  # this round's one update was made
        super().__init__(
            comm,
            groups,
            lr=lr,
            momentum=momentum,
            nesterov=nesterov,
            tag=tag,
            codec=codec,
            error_feedback=error_feedback,
            waiting=Waiting(quorum, grace),
            settings=(alpha,),
        )

    def sync(self) -> View:
        """As in `DiLoCo`; to be called before the first inner step, and after an eviction. Between rounds `step` calls it."""
        view = super().sync()
        self._admitted = True
        return view

    def step(self, tokens: float) -> list[Result]:
        """To be called after every inner step. Ends the round under way when its time has come, and starts the next when it is
        that one's turn.

        Args:
            tokens: how many this inner step was of.

        Returns the results of the rounds that ended, mostly none.
        """
        for progress in self._progress:
            progress.tokens += tokens
            progress.steps += 1
        self._since += 1
        results = []
        if self._flights and self._since >= self._overlap:
            results.append(self._end(next(iter(self._flights))))
        while not self._flights and (self._behind or self._since >= self._pace):
            operation = self._start()
            if self._overlap > 0 and not self._is_late(operation):
                break
            results.append(self._end(next(iter(self._flights))))
        return results

    def _start(self) -> Operation:
        if not self._admitted:
            self.sync()
        self._admitted = False
        index = int(self._clock[0]) % len(self._fragments)
        progress = self._progress[index]
        self._offered = _Progress(progress.tokens, progress.steps)
        self._since = 0
        weight = token_weight(progress.tokens, progress.steps)
        return self._post(index, self._fragments[index].pseudo_gradient(), weight)

    def _is_late(self, operation: Operation) -> bool:
        """Whether the round had been made before this member came."""
        if not operation.done():
            return False
        try:
            contributors = operation.wait(0).contributors
        except Error:
            return True  # ending it says why
        return all(contributor.peer != self._comm.view.me for contributor in contributors)

    def _finished(self, index: int, result: Result, counted: bool) -> None:
        self._clock[0] += 1
        committed = result.outcome == "committed"
        self._behind = committed and not counted
        if committed and counted:
            self._progress[index].tokens -= self._offered.tokens
            self._progress[index].steps -= self._offered.steps
            self._fragments[index].merge(self._alpha)

    def _adopt(self) -> None:
        super()._adopt()
        self._progress = [_Progress() for _ in self._progress]
        self._since = 0
        self._behind = False
