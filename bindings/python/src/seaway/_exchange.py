"""Exchange, send and receive: the calls in which a member says who gets what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seaway._buffers import Array, buffers, dtype_code
from seaway._library import ffi, lib
from seaway._options import add_stream, add_transaction, make_options
from seaway._result import Result
from seaway._view import Member

if TYPE_CHECKING:
    from seaway._operation import Operation
    from seaway._transaction import Transaction

_OP = ffi.typeof("seaway_op **")
_SHARES = ffi.typeof("seaway_share[]")

#: By Member, or by rank, what goes there or comes from there: an array, or several that are one piece of data.
Shares = Mapping[Member | int, Array | Sequence[Array]]


class Exchanges:
    """What Communicator has of them."""

    _handle: Any

    def _peer(self, which: Member | int, name: str) -> tuple[int, bool]:
        raise NotImplementedError

    def _started(self, status: int, pointer: Any, keep: Any, doing: str) -> Operation:
        raise NotImplementedError

    def exchange(
        self,
        sends: Shares | None = None,
        recvs: Shares | None = None,
        *,
        dtype: str | None = None,
        tag: int = 0,
        on_loss: str = "resume",
        layout: int = 0,
        priority: int = 0,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> Result:
        """A batch of sends and receives among all members, one commit: an all-to-all in which each pair has its own count.
        Every member calls it, one that sends and receives nothing too.

            view = comm.update()
            outs = {member: np.empty(rows_from(member), np.float32) for member in view.members}
            result = comm.exchange({member: rows_for(member) for member in view.members}, outs)

        Who is named must have been a member when this generation began (`View.blocks`). Of one that is not among
        `result.contributors` (lost before everybody had what it sends, also before this call, or not counted because it has not
        synced) what comes is zeros; what goes to one that is gone goes to nobody. `result.lost` has those that are gone.

        Args:
            sends: by Member, or by rank as in `broadcast`, an array as in `all_reduce` or a list of them. Only read. A member may
                send to itself, which copies.
            recvs: the same, of what comes from whom; these are written, and overlap nothing else. Both ends of a pair must say the
                same number of elements.
            dtype: of an empty batch, by numpy's name ("float32" if it is not given): that of the others' arrays.
            tag, on_loss, layout, priority, timeout, deadline: as in `all_reduce`.

        Raises:
            As all_reduce. Aborted, on every member: the two ends of a pair differ in their counts; the text has both.
        """
        return self.exchange_async(
            sends,
            recvs,
            dtype=dtype,
            tag=tag,
            on_loss=on_loss,
            layout=layout,
            priority=priority,
            timeout=timeout,
            deadline=deadline,
        ).wait()

    def exchange_async(
        self,
        sends: Shares | None = None,
        recvs: Shares | None = None,
        *,
        dtype: str | None = None,
        tag: int = 0,
        on_loss: str = "resume",
        layout: int = 0,
        priority: int = 0,
        timeout: float | None = None,
        deadline: float | None = None,
        transaction: Transaction | None = None,
    ) -> Operation:
        """Starts `exchange` with the same arguments and returns at once."""
        options = add_transaction(make_options(tag, None, on_loss, layout, priority, timeout, deadline), transaction)
        given, give_count, keep = self._shares(sends or {}, "sends", False)
        taken, take_count, kept = self._shares(recvs or {}, "recvs", True)
        code = dtype_code(dtype) if dtype is not None else 0
        for array, count in ((given, give_count), (taken, take_count)):
            code = code or (array[0].buffer.dtype if count else 0)
        pointer = ffi.new(_OP)
        status = lib.seaway_exchange_start(
            self._handle, pointer, taken, take_count, given, give_count, code or lib.SEAWAY_F32, options
        )
        return self._started(status, pointer, (keep, kept), "exchange")

    def send(
        self,
        x: Array | Sequence[Array],
        to: Member | int,
        *,
        tag: int = 0,
        layout: int = 0,
        priority: int = 0,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> Result:
        """Sends x to one member, which calls `recv` with arrays of the same sizes. Nobody else takes part.

        Sends and receives match by their order among those from this member to that one, of one tag, since the last `update()` at
        which the generation changed: both ends must make both calls on the same side of it.

        Args:
            x: as in `all_reduce`. Only read.
            to: a Member, or a rank as in `broadcast`.
            tag, layout, priority, timeout, deadline: as in `all_reduce`.

        Returns:
            That the receiver has the data, or had it and is gone.

        Raises:
            As all_reduce. Refused: the other end is no member any more, or its arrays differ from these. Aborted: it was lost
            before it had the data.
        """
        return self.send_async(
            x, to, tag=tag, layout=layout, priority=priority, timeout=timeout, deadline=deadline
        ).wait()

    def send_async(
        self,
        x: Array | Sequence[Array],
        to: Member | int,
        *,
        tag: int = 0,
        layout: int = 0,
        priority: int = 0,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> Operation:
        """Starts `send` with the same arguments and returns at once."""
        peer, _ = self._peer(to, "to")
        options = make_options(tag, None, "resume", layout, priority, timeout, deadline)
        array, count, keep = buffers(x, "x", False)
        options = add_stream(options, array, count, x)
        pointer = ffi.new(_OP)
        status = lib.seaway_send_start(self._handle, pointer, array, count, peer, options)
        return self._started(status, pointer, keep, "send")

    def recv(
        self,
        out: Array | Sequence[Array],
        source: Member | int,
        *,
        tag: int = 0,
        layout: int = 0,
        priority: int = 0,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> Result:
        """Receives into out what the member `source` sends with `send`. Arguments and errors are those of `send`; out is undefined
        until the op commits."""
        return self.recv_async(
            out, source, tag=tag, layout=layout, priority=priority, timeout=timeout, deadline=deadline
        ).wait()

    def recv_async(
        self,
        out: Array | Sequence[Array],
        source: Member | int,
        *,
        tag: int = 0,
        layout: int = 0,
        priority: int = 0,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> Operation:
        """Starts `recv` with the same arguments and returns at once."""
        peer, _ = self._peer(source, "source")
        options = make_options(tag, None, "resume", layout, priority, timeout, deadline)
        array, count, keep = buffers(out, "out", True)
        options = add_stream(options, array, count, out)
        pointer = ffi.new(_OP)
        status = lib.seaway_recv_start(self._handle, pointer, array, count, peer, options)
        return self._started(status, pointer, keep, "recv")

    def _shares(self, shares: Shares, name: str, writable: bool) -> tuple[Any, int, Any]:
        pieces = []
        keep = []
        for which, x in shares.items():
            peer, _ = self._peer(which, f"a key of {name}")
            array, count, kept = buffers(x, f"{name}[{which!r}]", writable)
            keep.append(kept)
            pieces += [(peer, array[i]) for i in range(count)]
        listed = ffi.new(_SHARES, len(pieces))
        for share, (peer, buffer) in zip(listed, pieces, strict=True):
            share.peer = peer
            share.buffer = buffer
        return listed, len(pieces), keep
