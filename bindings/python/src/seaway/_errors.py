"""Statuses as exceptions: one class per status, grouped by who has to act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from seaway._library import NULL, OK, ffi, lib, string

if TYPE_CHECKING:
    from seaway._operation import Operation


class Epoch(NamedTuple):
    """A version of the roster. Ordered: by term, then by number."""

    term: int
    number: int

    def __str__(self) -> str:
        return f"{self.term}.{self.number}"


class Error(RuntimeError):
    """What a call of seaway raises. str(error) says what happened and what to do next.

    Attributes:
        status: the number of the status in seaway.h; `name` is its name there.
        retryable: the same call may succeed later.
        phase: how far the op was: "waiting for peers", "contributing", "reducing", "broadcasting", "HOLD", or "".
        text: the words of the error, as str(error).
        op: the Operation concerned, or None.
        peer: the incarnation of the peer concerned, or 0.
        tag, seq: the op's tag and its number within it, or 0.
        epoch: the epoch at the time of the error.
    """

    status: int = 0
    retryable: bool = False

    def __init__(
        self,
        text: str = "",
        *,
        retryable: bool | None = None,
        phase: str = "",
        op: Operation | None = None,
        peer: int = 0,
        tag: int = 0,
        seq: int = 0,
        epoch: Epoch = Epoch(0, 0),
    ) -> None:
        super().__init__(text)
        self.text = text
        self.phase = phase
        self.op = op
        self.peer = peer
        self.tag = tag
        self.seq = seq
        self.epoch = epoch
        if retryable is not None:
            self.retryable = retryable

    @property
    def name(self) -> str:
        """The status as seaway.h calls it, for example "SEAWAY_ABORTED"."""
        return string(lib.seaway_status_string(self.status))

    def __str__(self) -> str:
        return self.text


class Pending(Error, TimeoutError):
    """The time-out passed. Nothing ended: the op, or the join or update, goes on; wait or call again. Also a TimeoutError."""

    status = lib.SEAWAY_PENDING
    retryable = True


class CallError(Error):
    """Your call: nothing was sent, nothing changed."""


class InvalidError(CallError, ValueError):
    """An argument is wrong; the text names it. Also a ValueError."""

    status = lib.SEAWAY_INVALID


class Busy(CallError):
    """Another join, update or leave of this communicator runs."""

    status = lib.SEAWAY_BUSY


class Closed(CallError):
    """The communicator was closed."""

    status = lib.SEAWAY_CLOSED


class NotMember(CallError):
    """Not joined yet, or no longer a member."""

    status = lib.SEAWAY_NOT_MEMBER


class Forked(CallError):
    """This process is a fork of the one that made the communicator."""

    status = lib.SEAWAY_FORKED


class TooMany(CallError):
    """Too many ops are open."""

    status = lib.SEAWAY_TOO_MANY


class NoDevice(CallError):
    """An array is on a device, and none can be used here; the text says why."""

    status = lib.SEAWAY_NO_DEVICE


class GroupError(Error):
    """Your group: what it decided, or what its members do not agree about."""


class Refused(GroupError):
    """Members called with different arguments, or the root of the broadcast or the other end of a send is gone. On every member."""

    status = lib.SEAWAY_REFUSED


class Aborted(GroupError):
    """Decided for every member: cancelled, a deadline, or on_loss="fail". The input is intact."""

    status = lib.SEAWAY_ABORTED


class Evicted(GroupError):
    """This incarnation was removed from the run. The input is intact; `Communicator.join` joins again."""

    status = lib.SEAWAY_EVICTED


class Undecided(GroupError):
    """This incarnation left before the op was decided. The input is intact."""

    status = lib.SEAWAY_UNDECIDED


class JoinRefused(GroupError):
    """The master will not admit this peer as it is; the text says why."""

    status = lib.SEAWAY_JOIN_REFUSED


class LinkError(Error):
    """Your link: somebody cannot be reached."""


class NoMaster(LinkError, ConnectionError):
    """The master cannot be reached. Also a ConnectionError."""

    status = lib.SEAWAY_NO_MASTER


class NoAddress(LinkError, OSError):
    """A name does not resolve, or an address cannot be listened on. Also an OSError."""

    status = lib.SEAWAY_NO_ADDRESS


class InternalError(Error):
    """A bug of seaway. The communicator is of no use any more, the process lives."""

    status = lib.SEAWAY_INTERNAL


class OutOfMemory(InternalError, MemoryError):
    """There was not enough memory. Also a MemoryError."""

    status = lib.SEAWAY_NO_MEMORY


_CLASSES: dict[int, type[Error]] = {
    kind.status: kind
    for kind in (
        Pending,
        InvalidError,
        Busy,
        Closed,
        NotMember,
        Forked,
        TooMany,
        NoDevice,
        Refused,
        Aborted,
        Evicted,
        Undecided,
        JoinRefused,
        NoMaster,
        NoAddress,
        InternalError,
        OutOfMemory,
    )
}


class _Details(NamedTuple):
    status: int
    retryable: bool
    phase: str
    text: str
    peer: int
    tag: int
    seq: int
    epoch: Epoch


def _details(error: Any) -> _Details:
    return _Details(
        status=error.status,
        retryable=bool(error.retryable),
        phase=string(error.phase),
        text=string(error.text),
        peer=error.peer,
        tag=error.tag,
        seq=error.seq,
        epoch=Epoch(error.epoch.term, error.epoch.number),
    )


def last_error(comm: Any = NULL, op: Any = NULL) -> _Details | None:
    """What the library knows of the last error of a communicator or of an op."""
    error = ffi.new("seaway_error *")
    error.struct_size = ffi.sizeof("seaway_error")
    if lib.seaway_error_get(comm, op, error) != OK:
        return None
    return _details(error)


def make_error(status: int, doing: str, details: _Details | None = None, op: Operation | None = None) -> Error:
    """The exception for a status. `doing` says what was called, for when the library has no words of its own."""
    kind = _CLASSES.get(status, InternalError)
    # The last error of a communicator may be that of another thread's call.
    if details is None or details.status != status or not details.text:
        waits = details.text if details is not None and status == lib.SEAWAY_PENDING else ""
        name = string(lib.seaway_status_string(status))
        text = f"{doing}: {name}" if status != lib.SEAWAY_PENDING else f"{doing}: the time-out passed"
        error = kind(f"{text}; {waits}" if waits else text, op=op)
    else:
        error = kind(
            details.text,
            retryable=details.retryable,
            phase=details.phase,
            op=op,
            peer=details.peer,
            tag=details.tag,
            seq=details.seq,
            epoch=details.epoch,
        )
    error.status = status
    return error


def error_from_struct(status: int, doing: str, struct: Any) -> Error:
    """The exception for a call that filled a seaway_error by itself."""
    return make_error(status, doing, _details(struct))
