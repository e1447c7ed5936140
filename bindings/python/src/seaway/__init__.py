"""seaway: fault-tolerant collective communication for training over the internet.

Peers come and go; an all-reduce that some of them lost in the middle still ends, with the same bits on everyone who is left.

    import numpy, seaway

    with seaway.Master() as master:                                          # or: seaway master
        with seaway.Communicator(master.join) as comm:
            x = numpy.ones(4, numpy.float32)
            comm.update()                                                    # others join here
            result = comm.all_reduce(x, op="avg")                            # in place
            print(len(result.contributors), result.lost)

Units: times are seconds. Threads: any call may be made from any thread, see Communicator. Errors: one class per status, grouped
by who has to act: CallError, GroupError, LinkError, InternalError.
"""

from seaway._arithmetic import hash, lincomb, outer_step, sqnorm
from seaway._buffers import Array, device_check
from seaway._communicator import Communicator
from seaway._errors import (
    Aborted,
    Busy,
    CallError,
    Closed,
    Epoch,
    Error,
    Evicted,
    Forked,
    GroupError,
    InternalError,
    InvalidError,
    JoinRefused,
    LinkError,
    NoAddress,
    NoDevice,
    NoMaster,
    NotMember,
    OutOfMemory,
    Pending,
    Refused,
    TooMany,
    Undecided,
)
from seaway._library import version as _version
from seaway._master import Master
from seaway._operation import Operation, wait
from seaway._result import Contributor, Result
from seaway._state import SyncResult
from seaway._transaction import Transaction
from seaway._view import Member, View

__version__ = _version()

__all__ = [
    "Aborted",
    "Array",
    "Busy",
    "CallError",
    "Closed",
    "Communicator",
    "Contributor",
    "Epoch",
    "Error",
    "Evicted",
    "Forked",
    "GroupError",
    "InternalError",
    "InvalidError",
    "JoinRefused",
    "LinkError",
    "Master",
    "Member",
    "NoAddress",
    "NoDevice",
    "NoMaster",
    "NotMember",
    "Operation",
    "OutOfMemory",
    "Pending",
    "Refused",
    "Result",
    "SyncResult",
    "TooMany",
    "Transaction",
    "Undecided",
    "View",
    "device_check",
    "hash",
    "lincomb",
    "outer_step",
    "sqnorm",
    "wait",
]
