"""Low-communication training: outer loops for models whose parameters are numpy arrays or torch CPU tensors.

Every member trains alone for H inner steps from the shared parameters theta, then the mean of what the members learned is
applied by an outer optimizer. One all-reduce per H steps instead of one per step:

    D_m   = theta - theta_m                          the pseudo-gradient of member m
    g     = sum(w_m * D_m) / sum(w_m)                one all_reduce, op="avg", over whoever contributed
    buf   = momentum * buf + g
    theta = theta - lr * (g + momentum * buf)        Nesterov, as PyTorch has it; buf starts at 0

theta, buf and the number of the round are the shared state: the same bits on every member after every round. A member's death
costs what it had learned since its last round, and nothing else; a newcomer gets the shared state and counts from the next round.

    DiLoCo            everything at once, every H steps                     the simplest; the link rests, then training does
    DelayedDiLoCo     everything at once, during the next H steps           hidden behind a whole round, and a round late
    StreamingDiLoCo   a fragment at a time, while training goes on          a peak of 1/P, hidden behind tau inner steps
    DecoupledDiLoCo   the same, each member at its own pace                 nobody waits for the slowest

docs/TRAINING.md says which to take and what to set.
"""

from __future__ import annotations

from seaway._arithmetic import lincomb, outer_step
from seaway.training._decoupled import DecoupledDiLoCo, token_weight
from seaway.training._delayed import DelayedDiLoCo
from seaway.training._diloco import DiLoCo
from seaway.training._streaming import StreamingDiLoCo
from seaway.training._waiting import EVERYBODY, NO_WAIT, WAIT_FOR_ALL, Waiting

__all__ = [
    "DecoupledDiLoCo",
    "DelayedDiLoCo",
    "DiLoCo",
    "EVERYBODY",
    "NO_WAIT",
    "StreamingDiLoCo",
    "WAIT_FOR_ALL",
    "Waiting",
    "lincomb",
    "outer_step",
    "token_weight",
]
