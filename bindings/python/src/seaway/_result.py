"""What became of a committed op."""

from __future__ import annotations

from typing import Any, NamedTuple

from seaway._errors import Epoch
from seaway._library import ffi, lib

_new = ffi.new
_RESULT = ffi.typeof("seaway_result *")
_CONTRIBUTORS = ffi.typeof("seaway_contributor[]")
_PEERS = ffi.typeof("uint64_t[]")
_RESULT_SIZE = ffi.sizeof("seaway_result")
_PLANS = {
    lib.SEAWAY_PLAN_DIRECT: "direct",
    lib.SEAWAY_PLAN_ONE_SHOT: "one-shot",
    lib.SEAWAY_PLAN_HIERARCHICAL: "hierarchical",
}
_OUTCOMES = {lib.SEAWAY_COMMITTED: "committed", lib.SEAWAY_NO_WEIGHT: "no_weight"}


class Contributor(NamedTuple):
    """A member whose input is in the result, by its incarnation, and the weight it had."""

    peer: int
    weight: float


def new_result(capacity: int) -> tuple[Any, Any]:
    """A seaway_result with room for `capacity` contributors, and what keeps that room alive."""
    contributors, lost = _new(_CONTRIBUTORS, capacity), _new(_PEERS, capacity)
    struct = _new(_RESULT, (_RESULT_SIZE, contributors, capacity, 0, lost, capacity))
    return struct, (contributors, lost)


class Result:
    """What became of a committed op. Immutable. Every member that was told of success was told the same outcome,
    contributors, weight sum and hash.

    Losing members is no error: the op commits over the others, and `lost` says who was lost.
    """

    # The struct is read when asked: most programs look at a field or two.
    __slots__ = ("_keep", "_struct")

    def __init__(self, struct: Any, keep: Any) -> None:
        self._struct = struct
        self._keep = keep

    @property
    def outcome(self) -> str:
        """ "committed", or "no_weight": the contributors' weights sum to 0, there is no result, the input is untouched."""
        return _OUTCOMES[self._struct.outcome]

    @property
    def contributors(self) -> tuple[Contributor, ...]:
        """Whose inputs are in the result, in roster order."""
        struct = self._struct
        return tuple(
            Contributor(struct.contributors[i].peer, struct.contributors[i].weight) for i in range(struct.contributor_count)
        )

    @property
    def lost(self) -> tuple[int, ...]:
        """The incarnations of those who were to take part when the op started, and not when it ended. Whoever dies when all
        the others have its input already is still a contributor, and is not here."""
        struct = self._struct
        return tuple(struct.lost[i] for i in range(struct.lost_count))

    @property
    def weight_sum(self) -> float:
        """The sum of the contributors' weights: their number, unless weights were given."""
        return float(self._struct.weight_sum)

    @property
    def epoch(self) -> Epoch:
        """The epoch in which the op ended."""
        return Epoch(self._struct.epoch.term, self._struct.epoch.number)

    @property
    def attempt(self) -> Epoch:
        """The try that committed."""
        return Epoch(self._struct.attempt.term, self._struct.attempt.number)

    @property
    def attempts(self) -> int:
        """How many tries it took; 1: undisturbed."""
        return int(self._struct.attempts)

    @property
    def seq(self) -> int:
        """The number of the op within its tag and generation."""
        return int(self._struct.seq)

    @property
    def hash(self) -> int:
        """64 bits over the bytes of the result: equal on every member."""
        return int(self._struct.hash)

    @property
    def contributors_hash(self) -> int:
        """64 bits over contributors and weights."""
        return int(self._struct.contributors_hash)

    @property
    def plan(self) -> str:
        """How the op ran: "direct" (each chunk has one member that reduces it and sends the result to all), "one-shot"
        (everybody sent everything to everybody, as small ops and two members do) or "hierarchical" (as direct, but what a site
        contributes was summed there first, and the result came to each site once: see `site` of `Communicator`)."""
        return _PLANS[self._struct.plan]

    @property
    def bytes_sent(self) -> int:
        """Payload bytes that this peer sent, repeats included."""
        return int(self._struct.bytes_sent)

    @property
    def bytes_received(self) -> int:
        """Payload bytes that this peer received."""
        return int(self._struct.bytes_received)

    @property
    def bytes_resent(self) -> int:
        """Those of bytes_sent that were sent again because of losses."""
        return int(self._struct.bytes_resent)

    @property
    def scratch_bytes(self) -> int:
        """Memory that the library took because the op was in place, or had a codec or a hierarchical plan."""
        return int(self._struct.scratch_bytes)

    @property
    def seconds(self) -> float:
        """From start to end."""
        return float(self._struct.seconds)

    def __repr__(self) -> str:
        return (
            f"Result(outcome={self.outcome!r}, contributors={len(self.contributors)}, lost={len(self.lost)}, "
            f"epoch={self.epoch}, attempts={self.attempts}, seconds={self.seconds:.6f}, hash={self.hash:#018x})"
        )
