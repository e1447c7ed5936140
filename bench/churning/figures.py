"""What a run under churn came to: pure functions of what its replicas and the one who kills them have said.

    useful tokens   those whose gradients are in a committed step: of every step, its contributors' batches
    peak rate       all replicas' tokens of a step over the median time from one undisturbed step to the next, of the same run
    goodput         useful tokens / (peak rate * wall time), from the first step of all replicas to the last step
    committed       steps that committed / steps that were attempted: an attempt is an op that was posted and ended at a survivor

A kill's recovery, in seconds:

    detect      from the kill to the epoch without the killed one, at the first survivor
    agree       from there until the step that was under way has committed at all survivors; 0 when none was
    recompute   what survivors computed and threw away: aborted steps, from the beginning of their computation
    state       what the killed one's next start took to get the group's state, from its admission on
    start       from that start to its admission: Python, torch, the join, and the others' next update. Not seaway's alone
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Message = dict[str, Any]


class Kill(NamedTuple):
    """A replica that was killed, and when, in seconds of the clock that all processes share."""

    at: float
    replica: int
    peer: int  # its incarnation


class Recovery(NamedTuple):
    detect: float | None
    agree: float
    recompute: float
    start: float | None  # None: it did not come back before the end
    state: float | None


@dataclass
class Step:
    """A committed step, as all who took part have said it."""

    number: int
    posted: float = float("inf")  # by the first
    ended: float = 0.0  # at the last
    contributors: int = 0
    lost: int = 0
    losses: list[float] = field(default_factory=list)

    @property
    def loss(self) -> float:
        return statistics.fmean(self.losses)


class Disagreement(Exception):
    """Two replicas say different things of one step: bits, contributors or losses of members are not those of all."""


def steps_of(messages: Iterable[Message]) -> list[Step]:
    """The committed steps, by number. Raises Disagreement."""
    steps: dict[int, Step] = {}
    told: dict[int, tuple[Any, ...]] = {}
    for message in messages:
        if message["event"] != "step":
            continue
        number = message["step"]
        step = steps.setdefault(number, Step(number))
        step.posted = min(step.posted, message["posted"])
        step.ended = max(step.ended, message["at"])
        step.contributors = len(message["contributors"])
        step.lost = max(step.lost, len(message["lost"]))
        step.losses.append(message["loss"])
        words = (message["hash"], tuple(message["contributors"]))
        if told.setdefault(number, words) != words:
            raise Disagreement(f"step {number}: one replica has {told[number]}, another {words}")
    return [steps[number] for number in sorted(steps)]


def attempted(messages: Iterable[Message]) -> int:
    """Steps that were posted and ended at somebody, whatever their outcome; one that is tried again counts again."""
    return len({(message["step"], message["attempt"]) for message in messages if message["event"] in ("step", "aborted")})


def usual_interval(steps: list[Step], replicas: int) -> float:
    """The median seconds from a step of all replicas to the next of all replicas, with nobody lost in either."""
    gaps = [
        after.ended - before.ended
        for before, after in zip(steps, steps[1:])
        if before.contributors == after.contributors == replicas and not before.lost and not after.lost
    ]
    if not gaps:
        raise ValueError("no two steps running had all replicas: the run was too short, or nobody came back")
    return statistics.median(gaps)


def goodput(steps: list[Step], replicas: int) -> float:
    """Useful tokens over what the replicas would have done in the same time at their peak rate."""
    first = next(i for i, step in enumerate(steps) if step.contributors == replicas)
    useful = sum(step.contributors for step in steps[first + 1 :])
    wall = steps[-1].ended - steps[first].ended
    return useful * usual_interval(steps, replicas) / (replicas * wall)


def recoveries(messages: list[Message], kills: list[Kill]) -> list[Recovery]:
    """What each kill cost, in the order of `kills`. Each is looked at until the next one."""
    ends = [*(kill.at for kill in kills[1:]), float("inf")]
    return [_recovery(messages, kill, end) for kill, end in zip(kills, ends)]


def returns(messages: list[Message], kills: list[Kill]) -> list[float]:
    """When those that were killed were back, with the group's state. Who is killed before that is not back."""
    times = []
    for i, kill in enumerate(kills):
        end = next((later.at for later in kills[i + 1 :] if later.replica == kill.replica), float("inf"))
        synced = [m["at"] for m in messages if m["event"] == "synced" and m["replica"] == kill.replica and kill.at < m["at"] < end]
        times += synced[:1]
    return times


def _recovery(messages: list[Message], kill: Kill, end: float) -> Recovery:
    until_next = [m for m in messages if kill.at < m["at"] < end and m.get("peer") != kill.peer]
    told = [m["at"] for m in until_next if m["event"] == "epoch" and kill.peer not in m["members"]]
    known = min(told, default=None)
    agree = 0.0
    if known is not None:
        under_way = [m for m in until_next if m["event"] == "step" and m["posted"] < known < m["at"]]
        number = min((m["step"] for m in under_way), default=None)
        agree = max((m["at"] - known for m in under_way if m["step"] == number), default=0.0)
    thrown_away: dict[tuple[int, int], float] = {}
    for message in until_next:
        if message["event"] == "aborted":
            key = (message["step"], message["attempt"])
            thrown_away[key] = max(thrown_away.get(key, 0.0), message["at"] - message["began"])
    # It may come back after the next kill, of another replica.
    back = [m for m in messages if m["at"] > kill.at and m["replica"] == kill.replica and m.get("peer") != kill.peer]
    begun = next((m["at"] for m in back if m["event"] == "begun"), None)
    admitted = next((m["at"] for m in back if m["event"] == "member"), None)
    synced = next((m["at"] for m in back if m["event"] == "synced"), None)
    return Recovery(
        None if known is None else known - kill.at,
        agree,
        sum(thrown_away.values()),
        None if admitted is None or begun is None else admitted - begun,
        None if synced is None or admitted is None else synced - admitted,
    )
