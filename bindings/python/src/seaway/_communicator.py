"""Communicator: one membership of one run. Long because: most of it is what its methods promise, in words."""

from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from seaway._asyncio import Watch, Watcher
from seaway._buffers import Array, buffers
from seaway._errors import Closed, Epoch, Error, InvalidError, last_error, make_error
from seaway._exchange import Exchanges
from seaway._library import NULL, OK, PENDING, ffi, lib
from seaway._operation import Operation
from seaway._options import Codec, add_codec, add_quorum, add_stream, add_transaction, make_options
from seaway._result import Result
from seaway._state import State, SyncResult
from seaway._transaction import Transaction
from seaway._view import Member, View, take_view
from seaway._waiting import in_slices

_new = ffi.new
_OP = ffi.typeof("seaway_op **")
_VIEW = ffi.typeof("seaway_view **")
_REDUCTIONS: dict[str, int] = {
    "sum": lib.SEAWAY_SUM,
    "avg": lib.SEAWAY_AVG,
    "min": lib.SEAWAY_MIN,
    "max": lib.SEAWAY_MAX,
    "prod": lib.SEAWAY_PROD,
}

# How long leaving may take when a `with` block ends.
_LEAVE_SECONDS = 2.0

_open: weakref.WeakSet[Communicator] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    # The library's threads must not write to arrays that the interpreter is about to free.
    for comm in list(_open):
        comm.close()


def _integer_from_environment(name: str) -> int | None:
    text = os.environ.get(name)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise InvalidError(f"the environment variable {name} is {text!r}, not a number") from None


class Communicator(Exchanges):
    """One membership of one run: makes a communicator and joins.

        with seaway.Communicator("seaway1/master.example.org:7117/...") as comm:     # or SEAWAY_JOIN
            while training:
                comm.update()                       # the one point where others join
                comm.all_reduce(gradient, op="avg")

    The constructor returns when this peer is a member. For a newcomer that is when every member has come to its next
    `update()`. At the end of the `with` block this peer leaves the run (at most 2 s), then closes.

    Any thread may call any method. Ops of one tag are matched by their order: every member starts the ops of one tag in the
    same order, from one thread at a time; different tags are independent. join, update and leave raise Busy while another of
    them runs. After os.fork() the child's communicators raise Forked; start a process with multiprocessing's "spawn" instead.

    Args:
        join: the join string that `seaway master` or `seaway token new` prints, or "@FILE" with one in it. It lets this peer in,
            and tells it that it is this run's master that answers. None: the environment variable SEAWAY_JOIN. With
            plaintext=True it is HOST:PORT of the master instead; None: the environment variable SEAWAY_MASTER.
        name: for logs and status, at most 256 bytes. None: "HOSTNAME:PID".
        replica: the unit of membership and of failure that this process belongs to. None: the environment variable
            SEAWAY_REPLICA, or a drawn number; must be given when lanes > 1. One (replica, lane) can be taken once.
        lane: which of the replica's peers this is, 0 .. lanes-1. None: LOCAL_RANK when lanes > 1, else 0.
        lanes: peers in a replica, the same in the whole run. Lane j of every replica forms a group, and ops run in groups.
        min_world: the run starts when this many replicas are there.
        listen: HOST:PORT where other peers reach this one; port 0 draws one. None: every address, a drawn port.
        advertise: up to 8 addresses told to others, HOST:PORT, in the order to try; port 0 means the port listened on.
        timeout: seconds to wait for admission; None or a negative number waits as long as it takes.
        connections: data connections of each link that this peer dials, at most 64; 0: one, and more while the kernel's buffers are
            what a long path waits for.
        rate_mbps: what this peer can send and receive, in Mbit/s; 0: what it measures, and as much as the others until then.
        kept_bytes: memory for contributions kept until commit, so that a death costs little. None: 1 GiB.
        site: a label for where this peer is, at most 64 bytes: the same for peers on one LAN, or behind one line to the others. A
            large all-reduce then crosses each site's line once each way (`Result.plan` is "hierarchical"). None: the environment
            variable SEAWAY_SITE, or a site of its own, as "" is.
        plaintext: True: connections are neither encrypted nor authenticated, whoever reaches a port can join and read. For a
            private network; the master has to run with --plaintext. False: TLS 1.3 everywhere.
        ca, cert, key: files in PEM, an own PKI in place of the join string: the authorities that vouch for the master, this
            peer's certificate, its key without a password. All or none; `join` is HOST:PORT of the master then (None: the
            environment variable SEAWAY_MASTER), which has to run with --ca, --cert and --key.

    Raises:
        InvalidError: an argument is wrong; the text names it.
        Pending: not admitted within `timeout`; the text says what it waited for. The attempt is given up.
        JoinRefused: the master will not admit this peer as it is.
        NoMaster: the master does not answer. NoAddress: `listen` or a name is no good.
    """

    def __init__(
        self,
        join: str | None = None,
        *,
        name: str | None = None,
        replica: int | None = None,
        lane: int | None = None,
        lanes: int = 1,
        min_world: int = 1,
        listen: str | None = None,
        advertise: Sequence[str] | None = None,
        timeout: float | None = None,
        connections: int = 0,
        rate_mbps: int = 0,
        kept_bytes: int | None = None,
        plaintext: bool = False,
        ca: str | None = None,
        cert: str | None = None,
        key: str | None = None,
        site: str | None = None,
    ) -> None:
        self._handle: Any = NULL
        self._closed = True
        self._view: View | None = None
        self._snapshot: View | None = None
        self._capacity = 16
        self._state: State | None = None
        self._orphans: list[tuple[Any, Any]] = []
        self._watching: dict[asyncio.AbstractEventLoop, Watch] = {}
        self._watchers: list[Watcher] = []

        by_address = plaintext or any(file is not None for file in (ca, cert, key))
        if join is None:
            join = os.environ.get("SEAWAY_MASTER" if by_address else "SEAWAY_JOIN")
        if not join:
            raise InvalidError(
                "join: give HOST:PORT of the master, or set SEAWAY_MASTER"
                if by_address
                else "join: give the join string that `seaway master` prints, or set SEAWAY_JOIN"
            )
        if replica is None:
            replica = _integer_from_environment("SEAWAY_REPLICA")
        if lane is None:
            lane = _integer_from_environment("LOCAL_RANK") if lanes != 1 else None

        config = _new("seaway_config *")
        lib.seaway_config_init(config, ffi.sizeof("seaway_config"))
        keep: list[Any] = []

        def text(value: str, field: str) -> Any:
            if not isinstance(value, str) or "\0" in value:
                # A join string has a secret in it.
                given = type(value).__name__ if field == "join" else repr(value)
                raise InvalidError(f"{field} must be a str without NUL, not {given}")
            keep.append(_new("char[]", value.encode()))
            return keep[-1]

        def put(field: str, value: int | None) -> None:
            if value is None:
                return
            try:
                setattr(config, field, value)
            except (OverflowError, TypeError):
                raise InvalidError(f"{field} is {value!r}; give a number in its range") from None

        if by_address:
            config.master = text(join, "join")
        else:
            config.join = text(join, "join")
        texts = (("name", name), ("listen", listen), ("ca", ca), ("cert", cert), ("key", key), ("site", site))
        for field, given in texts:
            if given is not None:
                setattr(config, field, text(given, field))
        if advertise is not None:
            if isinstance(advertise, str):
                raise InvalidError("advertise must be a list of addresses, not one str")
            keep.append(_new("char *[]", [text(each, "advertise") for each in advertise]))
            config.advertise = ffi.cast("const char *const *", keep[-1])
            config.advertise_count = len(advertise)
        for field, value in (
            ("replica", replica),
            ("lane", lane),
            ("lanes", lanes),
            ("min_world", min_world),
            ("connections", connections),
            ("rate_mbps", rate_mbps),
            ("kept_bytes", kept_bytes),
            ("plaintext", 1 if plaintext else 0),
        ):
            put(field, value)

        pointer = _new("seaway_comm **")
        status = lib.seaway_create(pointer, config)
        self._handle = pointer[0]
        self._closed = self._handle == NULL
        if status != OK:
            error = make_error(status, "create", None if self._closed else last_error(comm=self._handle))
            self.close()
            raise error
        _open.add(self)
        try:
            self.join(timeout)
        except BaseException:
            self.close()
            raise

    # -- membership ---------------------------------------------------------------------------------------------------

    def join(self, timeout: float | None = None) -> View:
        """Joins the run again, as a new incarnation: after Evicted, or after `leave()`. Returns at once if this peer is a
        member. A time-out raises Pending and joining goes on: call again.

        Args:
            timeout: seconds; 0 polls; None or a negative number waits as long as it takes.
        """
        handle = self._handle
        self._check(in_slices(lambda seconds: int(lib.seaway_join(handle, seconds)), timeout), "join")
        view = self._view = self._take_view()
        return view

    def leave(self, timeout: float | None = None) -> None:
        """Leaves the run: open ops of this peer end first, the others go on without it, nothing of theirs is aborted for it.
        Call it on SIGTERM. `join()` joins again.

        Args:
            timeout: seconds; Pending is raised when it passes, and leaving goes on.
        """
        handle = self._handle
        self._check(in_slices(lambda seconds: int(lib.seaway_leave(handle, seconds)), timeout), "leave")

    def close(self) -> None:
        """Ends this incarnation without asking anybody; for a friendlier end `leave()` first. Open ops end Undecided and
        their waits return. Blocks for about a second at most. After it no array is touched. May be called again."""
        if self._closed:
            return
        self._closed = True
        _open.discard(self)
        lib.seaway_destroy(self._handle)
        if self._state is not None:
            self._state.free()
            self._state = None
        while self._orphans:
            pointer, _ = self._orphans.pop()
            lib.seaway_free(pointer[0])
        self._wake_others(None)

    def __enter__(self) -> Communicator:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if not self._closed:
                self.leave(_LEAVE_SECONDS)
        except Error:
            pass  # it did not go well; the others will find out
        finally:
            self.close()

    def __del__(self) -> None:
        self.close()

    def update(self, timeout: float | None = None) -> View:
        """The one point of the program where others join: call it once per step. Free, without communication, when nobody
        waits to join; when somebody does, every member admits them at the same call. Every member has to call it equally
        often, or newcomers wait. A newcomer's first update, if it has started no op since its join, is the one that admitted
        it and returns at once: the same loop serves everybody.

        Args:
            timeout: seconds; 0 polls; None or a negative number waits as long as it takes.

        Returns:
            The membership from here on.

        Raises:
            Pending: the time-out passed; the update goes on, call again.
            Evicted: this incarnation was removed from the run: `join()`, and fetch the state that the others have.
        """
        handle = self._handle
        pointer = _new(_VIEW)
        update = lib.seaway_update
        self._check(in_slices(lambda seconds: int(update(handle, pointer, seconds)), timeout), "update")
        view = self._view = take_view(pointer[0], self._view)
        self._capacity = max(view.world_size, 1)
        return view

    @property
    def view(self) -> View:
        """The membership as it is now. It changes when somebody is lost; others join at `update()` only.

        Raises NotMember when this peer is none."""
        return self._take_view()

    @property
    def epoch(self) -> Epoch:
        """The version of the roster, now."""
        return self._take_view().epoch

    @property
    def rank(self) -> int:
        """The position of this peer's replica in the roster, now. May change with every epoch."""
        return self._take_view().rank

    @property
    def world_size(self) -> int:
        """How many replicas are members, now."""
        return self._take_view().world_size

    @property
    def members(self) -> tuple[Member, ...]:
        """Who is a member, now, in roster order."""
        return self._take_view().members

    # -- collectives --------------------------------------------------------------------------------------------------

    def all_reduce(
        self,
        x: Array | Sequence[Array],
        out: Array | Sequence[Array] | None = None,
        op: str = "sum",
        *,
        tag: int = 0,
        weight: float | None = None,
        on_loss: str = "resume",
        layout: int = 0,
        priority: int = 0,
        codec: Codec = None,
        rounding: str = "nearest",
        residual: Array | None = None,
        quorum: int | None = None,
        grace: float = 0,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> Result:
        """Reduces x over all members (of this peer's lane). Every member calls it with the same shapes and arguments.

        Equal bits everywhere: members are added in roster order; float16 and bfloat16 are summed in float32 and rounded once.

        Args:
            x: an array of any shape, or a list of arrays of one dtype, which are one op with one commit. C-contiguous. dtype
                float32, float64, float16, bfloat16 (torch, ml_dtypes) or an integer of 8 to 64 bits.
            out: where the result goes: as many elements in each piece as x, no overlap with x. None: in place. In place, x
                keeps its old values until the op commits, and for good if it does not (the library takes a scratch).
            op: "sum", "avg", "min", "max" or "prod". avg is refused on integers, integer sum and prod wrap.
            tag: below 2**62. Ops of one tag match by their order, those of different tags are independent.
            weight: of this member's x, finite and >= 0, for op="avg": the result is sum(w*x) / sum(w). All members give one,
                or none does.
            on_loss: "resume": when a member is lost the others commit over the survivors. "fail": Aborted instead, unless all
                held the result already. The same on all members.
            layout: a number, below 2**64, that must be equal on all members: a hash of names and shapes, for example.
            priority: of what this member sends: before all ops of a lower one; those of one priority share the links. Each member
                chooses for itself, and does better to choose like the others.
            codec: how float32 travels, for "sum" and "avg": "q8" (a byte and a little each), "q4" (half a byte), "bf16", or None.
                A pair says it of the contributions, and of the results on their way back. Equal bits everywhere, as without;
                a contribution counts as it was encoded, for its own member too. The same on all members.
            rounding: of contributions that are encoded: "nearest", or "stochastic": up or down at random, so that the mean over
                many ops is the number itself. The same on all members.
            residual: error feedback: an array of float32 with as many elements as x, zeros at first. It is added to x before that
                is encoded, and becomes what encoding has lost once the op has committed with x in it; else it stays as it is.
            quorum: so many contributions suffice, 1 or more; None: everybody's. A member that calls it later gets the result too,
                at once if it is there; its x does not count (it is not among `contributors`), and its residual stays as it is.
                More than there are members: everybody's. The same on all members.
            grace: seconds, in whole milliseconds, for which more is waited for once there is a quorum. The same on all members.
            timeout: seconds without any byte of this op, after which the master decides it: committed if everyone holds the
                result, else Aborted. A slow peer is then the end of the op, so be generous. None: no limit.
            deadline: seconds from the start, after which the same happens. None: no limit.

        Returns:
            Result: who contributed, who was lost, how long it took, how many bytes moved.

        Raises:
            InvalidError: an argument is wrong; the text names it. Nothing was sent.
            Refused: the members' calls differ; the text names who and what. Aborted, Evicted, Undecided: see there. In all
            these x is intact. KeyboardInterrupt leaves the op running: close the communicator, or let it finish.
        """
        return self.all_reduce_async(
            x,
            out,
            op,
            tag=tag,
            weight=weight,
            on_loss=on_loss,
            layout=layout,
            priority=priority,
            codec=codec,
            rounding=rounding,
            residual=residual,
            quorum=quorum,
            grace=grace,
            timeout=timeout,
            deadline=deadline,
        ).wait()

    def all_reduce_async(
        self,
        x: Array | Sequence[Array],
        out: Array | Sequence[Array] | None = None,
        op: str = "sum",
        *,
        tag: int = 0,
        weight: float | None = None,
        on_loss: str = "resume",
        layout: int = 0,
        priority: int = 0,
        codec: Codec = None,
        rounding: str = "nearest",
        residual: Array | None = None,
        quorum: int | None = None,
        grace: float = 0,
        timeout: float | None = None,
        deadline: float | None = None,
        transaction: Transaction | None = None,
    ) -> Operation:
        """Starts `all_reduce` with the same arguments and returns at once. The arrays belong to the library until it is final:
        x may be read meanwhile, nothing else."""
        reduction = self._reduction(op)
        options = add_transaction(make_options(tag, weight, on_loss, layout, priority, timeout, deadline), transaction)
        if out is None:
            source, count, keep = buffers(x, "x", True)
            target = NULL
        else:
            source, target, count, keep = self._both(x, out)
        options, kept = add_codec(options, codec, True, rounding, residual, (source, count))
        options = add_stream(add_quorum(options, quorum, grace), source, count, x)
        pointer = _new(_OP)
        status = lib.seaway_all_reduce_start(self._handle, pointer, target, source, count, reduction, options)
        return self._started(status, pointer, (keep, kept), "all_reduce")

    def reduce_scatter(
        self,
        x: Array | Sequence[Array],
        out: Array | Sequence[Array],
        op: str = "sum",
        *,
        tag: int = 0,
        weight: float | None = None,
        on_loss: str = "resume",
        layout: int = 0,
        priority: int = 0,
        codec: Codec = None,
        rounding: str = "nearest",
        residual: Array | None = None,
        quorum: int | None = None,
        grace: float = 0,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> Result:
        """Reduces x over all members and gives each one block of the result: as `all_reduce`, of which `out` gets a part.

            blocks = comm.update().blocks
            x = np.empty((len(blocks), n), np.float32)        # row b is for the member blocks[b]
            comm.reduce_scatter(x, out)                       # out: n elements, the sum of the rows `comm.view.block`

        A member that is lost does not contribute, as there, and the block that was to be its own goes to nobody.

        Args:
            x: as in `all_reduce`: len(blocks) blocks, one after the other, in each array.
            out: a block for each array of x; no overlap with x, never in place.
            op, tag, weight, on_loss, layout, priority, timeout, deadline: as in `all_reduce`.
            codec, rounding, residual: as there, of the contributions; the result does not travel.
            quorum, grace: as in `all_reduce`.

        Raises:
            As all_reduce.
        """
        return self.reduce_scatter_async(
            x,
            out,
            op,
            tag=tag,
            weight=weight,
            on_loss=on_loss,
            layout=layout,
            priority=priority,
            codec=codec,
            rounding=rounding,
            residual=residual,
            quorum=quorum,
            grace=grace,
            timeout=timeout,
            deadline=deadline,
        ).wait()

    def reduce_scatter_async(
        self,
        x: Array | Sequence[Array],
        out: Array | Sequence[Array],
        op: str = "sum",
        *,
        tag: int = 0,
        weight: float | None = None,
        on_loss: str = "resume",
        layout: int = 0,
        priority: int = 0,
        codec: Codec = None,
        rounding: str = "nearest",
        residual: Array | None = None,
        quorum: int | None = None,
        grace: float = 0,
        timeout: float | None = None,
        deadline: float | None = None,
        transaction: Transaction | None = None,
    ) -> Operation:
        """Starts `reduce_scatter` with the same arguments and returns at once."""
        reduction = self._reduction(op)
        options = add_transaction(make_options(tag, weight, on_loss, layout, priority, timeout, deadline), transaction)
        source, target, count, keep = self._both(x, out)
        options, kept = add_codec(options, codec, False, rounding, residual, (source, count))
        options = add_stream(add_quorum(options, quorum, grace), source, count, x)
        pointer = _new(_OP)
        status = lib.seaway_reduce_scatter_start(self._handle, pointer, target, source, count, reduction, options)
        return self._started(status, pointer, (keep, kept), "reduce_scatter")

    def all_gather(
        self,
        x: Array | Sequence[Array],
        out: Array | Sequence[Array],
        *,
        tag: int = 0,
        on_loss: str = "resume",
        layout: int = 0,
        priority: int = 0,
        codec: Codec = None,
        rounding: str = "nearest",
        residual: Array | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> Result:
        """Gives everybody everybody's x.

            blocks = comm.update().blocks
            out = np.empty((len(blocks), *x.shape), x.dtype)
            result = comm.all_gather(x, out)                  # out[b] is the x of the member blocks[b]

        Blocks of members that are not among `result.contributors` (lost before all had their x, or not counted because they have
        not synced) are zeros, on everybody.

        Args:
            x: as in `all_reduce`. Only read.
            out: len(blocks) times as many elements for each array of x; no overlap with x.
            tag, on_loss, layout, priority, timeout, deadline: as in `all_reduce`.
            codec, rounding, residual: as there, of x. Its own member gets what the others get.

        Raises:
            As all_reduce.
        """
        return self.all_gather_async(
            x,
            out,
            tag=tag,
            on_loss=on_loss,
            layout=layout,
            priority=priority,
            codec=codec,
            rounding=rounding,
            residual=residual,
            timeout=timeout,
            deadline=deadline,
        ).wait()

    def all_gather_async(
        self,
        x: Array | Sequence[Array],
        out: Array | Sequence[Array],
        *,
        tag: int = 0,
        on_loss: str = "resume",
        layout: int = 0,
        priority: int = 0,
        codec: Codec = None,
        rounding: str = "nearest",
        residual: Array | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        transaction: Transaction | None = None,
    ) -> Operation:
        """Starts `all_gather` with the same arguments and returns at once."""
        options = add_transaction(make_options(tag, None, on_loss, layout, priority, timeout, deadline), transaction)
        source, target, count, keep = self._both(x, out)
        options, kept = add_codec(options, codec, False, rounding, residual, (source, count))
        options = add_stream(options, source, count, x)
        pointer = _new(_OP)
        status = lib.seaway_all_gather_start(self._handle, pointer, target, source, count, options)
        return self._started(status, pointer, (keep, kept), "all_gather")

    def broadcast(
        self,
        x: Array | Sequence[Array],
        root: Member | int,
        *,
        tag: int = 0,
        on_loss: str = "resume",
        layout: int = 0,
        priority: int = 0,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> Result:
        """Copies the root's x into everybody's. Every member calls it, with the same shapes and arguments.

        Args:
            x: as in `all_reduce`. The root's is only read; on the others it is undefined until the op commits.
            root: a Member, or a rank: that of the View which this peer's last `update()` or `join()` gave, with its own lane.
                A rank is the same member everywhere only if nobody was lost since; when in doubt name the Member.
            tag, on_loss, layout, priority, timeout, deadline: as in `all_reduce`.

        Raises:
            As all_reduce. Refused: the root is no member any more. Aborted: it was lost before all had the data.
        """
        return self.broadcast_async(
            x, root, tag=tag, on_loss=on_loss, layout=layout, priority=priority, timeout=timeout, deadline=deadline
        ).wait()

    def broadcast_async(
        self,
        x: Array | Sequence[Array],
        root: Member | int,
        *,
        tag: int = 0,
        on_loss: str = "resume",
        layout: int = 0,
        priority: int = 0,
        timeout: float | None = None,
        deadline: float | None = None,
        transaction: Transaction | None = None,
    ) -> Operation:
        """Starts `broadcast` with the same arguments and returns at once."""
        peer, mine = self._peer(root, "root")
        options = add_transaction(make_options(tag, None, on_loss, layout, priority, timeout, deadline), transaction)
        array, count, keep = buffers(x, "x", not mine)
        options = add_stream(options, array, count, x)
        pointer = _new(_OP)
        status = lib.seaway_broadcast_start(self._handle, pointer, array, count, peer, options)
        return self._started(status, pointer, keep, "broadcast")

    def barrier(
        self,
        *,
        tag: int = 0,
        on_loss: str = "resume",
        layout: int = 0,
        priority: int = 0,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> Result:
        """Returns when every member has called it. Arguments as in `all_reduce`."""
        return self.barrier_async(tag=tag, on_loss=on_loss, layout=layout, priority=priority, timeout=timeout, deadline=deadline).wait()

    def barrier_async(
        self,
        *,
        tag: int = 0,
        on_loss: str = "resume",
        layout: int = 0,
        priority: int = 0,
        timeout: float | None = None,
        deadline: float | None = None,
        transaction: Transaction | None = None,
    ) -> Operation:
        """Starts `barrier` and returns at once."""
        options = add_transaction(make_options(tag, None, on_loss, layout, priority, timeout, deadline), transaction)
        pointer = _new(_OP)
        status = lib.seaway_barrier_start(self._handle, pointer, options)
        return self._started(status, pointer, None, "barrier")

    # -- transactions -------------------------------------------------------------------------------------------------

    def transaction(
        self, *, on_loss: str = "resume", timeout: float | None = None, deadline: float | None = None
    ) -> Transaction:
        """Ops that commit together, in all lanes of all replicas, or not at all: one step of a model whose parts are on several lanes.

            with comm.transaction() as step:
                comm.all_reduce_async(mine, op="avg", transaction=step)
            # committed here, in every lane; or an error was raised and no array has changed

        The n-th transaction since the last update at which members joined is the n-th of everybody, in every lane: all open them in
        the same order. What is in it each lane decides for itself, the same on all members of the lane; nothing is possible.
        In it are the ops that name it, in the order of their starts, whatever their tags. Not possible are send and recv, and
        ops with a quorum. Results are staged: the library takes as much memory as they have, and copies them at the commit.

        Args:
            on_loss: "resume": it goes on over the members that are left when a replica is lost; "fail": it is aborted. Of all its ops.
            timeout: seconds without any byte of its ops, counted from its close, after which the master decides it.
            deadline: seconds from now, after which the same happens.

        Raises:
            NotMember, Evicted: this peer is no member.
        """
        pointer = _new(_OP)
        options = make_options(0, None, on_loss, 0, 0, timeout, deadline)
        status = lib.seaway_transaction_create(self._handle, pointer, options)
        if status != OK:
            raise make_error(status, "transaction", None if self._closed else last_error(comm=self._handle))
        return Transaction(self, pointer)

    # -- the shared state ---------------------------------------------------------------------------------------------

    def sync_state(
        self, tensors: Mapping[str, Array], revision: int = 0, *, role: str = "both", timeout: float | None = None
    ) -> SyncResult:
        """Makes tensors the same on every member (of this peer's lane): compares them by hashes, elects a copy, sends what
        differs and nothing else. A collective call: every member makes it at the same point of its program, with the same
        names, dtypes and sizes.

            comm.update()
            synced = comm.sync_state({"weights": weights, "momentum": momentum}, step)
            step = synced.revision                       # a newcomer has caught up

        Elected is the newest revision, of those the copy that most members have, of those the first in roster order. Once a run
        has synced, newcomers are neither elected nor counted in all_reduce (they receive) until their first sync.

        Args:
            tensors: arrays as in `all_reduce`, of any dtypes, by name. Written in place, at the end and only if it succeeds. Those
                on CUDA devices lie on one; they are hashed there, after the stream on which they were written, and only what
                differs is copied.
            revision: the version of this member's copy; a step count serves.
            role: "send": this copy is the one that counts, and never changes. "receive": it is never elected.
            timeout: seconds; Pending is raised when it passes, and the sync waits: call it again with the same arguments. Until
                it is over the arrays belong to the library and `update()` raises Busy.

        Raises:
            Refused: the members' tensors differ in name, dtype or size, or their roles allow no election; the text says which.
            Evicted, Undecided, NotMember, Aborted: nothing has changed here; what has arrived is kept for the next try.
            NoDevice: an array is on a device, and none can be used here, or it has failed; the text says which.
        """
        if self._state is None:
            self._state = State(self._handle)
        return self._state.sync(tensors, revision, role, timeout, self._capacity)

    def __repr__(self) -> str:
        if self._closed:
            return "<seaway.Communicator, closed>"
        try:
            view = self._take_view()
        except Error as error:
            return f"<seaway.Communicator, {error.name}>"
        return f"<seaway.Communicator, rank {view.rank} of {view.world_size}, epoch {view.epoch}>"

    # -- for this package ---------------------------------------------------------------------------------------------

    def _check(self, status: int, doing: str) -> None:
        if status != OK:
            raise make_error(status, doing, None if self._closed else last_error(comm=self._handle))

    def _take_view(self) -> View:
        pointer = _new(_VIEW)
        self._check(lib.seaway_view_get(self._handle, pointer), "view")
        view = self._snapshot = take_view(pointer[0], self._snapshot)
        self._capacity = max(view.world_size, 1)
        return view

    def _peer(self, which: Member | int, name: str) -> tuple[int, bool]:
        """Its incarnation, and whether it is this peer itself."""
        if self._closed:
            raise Closed("the communicator is closed")
        view = self._view
        if isinstance(which, Member):
            return which.peer, view is not None and which.peer == view.me
        if view is None:
            raise InvalidError(f"{name} is {which!r}, but there is no view yet to look it up in")
        if not isinstance(which, int) or not 0 <= which < view.world_size:
            raise InvalidError(f"{name} is {which!r}; give a Member, or a rank from 0 to {view.world_size - 1}")
        own = next(member for member in view.members if member.peer == view.me)
        peer = view.member(which, own.lane).peer
        return peer, peer == view.me

    @staticmethod
    def _reduction(op: str) -> int:
        reduction = _REDUCTIONS.get(op)
        if reduction is None:
            raise InvalidError(f"op is {op!r}; give one of {', '.join(_REDUCTIONS)}")
        return reduction

    @staticmethod
    def _both(x: Array | Sequence[Array], out: Array | Sequence[Array]) -> tuple[Any, Any, int, Any]:
        source, count, keep = buffers(x, "x", False)
        target, out_count, keep_out = buffers(out, "out", True)
        if out_count != count:
            raise InvalidError(f"out has {out_count} arrays and x has {count}")
        return source, target, count, (keep, keep_out)

    def _started(self, status: int, pointer: Any, keep: Any, doing: str) -> Operation:
        if self._orphans:
            self._sweep()
        if status != OK:
            raise make_error(status, doing, None if self._closed else last_error(comm=self._handle))
        return Operation(self, pointer, keep, doing)

    def _adopt(self, pointer: Any, keep: Any) -> None:
        # From Operation.__del__, in whatever thread: no lock, one atomic append.
        self._orphans.append((pointer, keep))

    def _sweep(self) -> None:
        for _ in range(len(self._orphans)):
            try:
                pointer, keep = self._orphans.pop(0)
            except IndexError:
                return
            if lib.seaway_test(pointer[0], NULL) == PENDING:
                self._orphans.append((pointer, keep))
            else:
                lib.seaway_free(pointer[0])

    def _event_descriptor(self) -> int:
        """A duplicate of the descriptor that polls readable while events wait: it stays valid when the communicator is closed."""
        pointer = _new("int *")
        self._check(lib.seaway_event_fd(self._handle, pointer), "event_fd")
        return os.dup(pointer[0])

    def _watch(self, loop: asyncio.AbstractEventLoop) -> Watch:
        watch = self._watching.get(loop)
        if watch is None:
            watch = self._watching[loop] = Watch(self, loop, self._event_descriptor())
            self._attach(watch)
        return watch

    def _unwatch(self, loop: asyncio.AbstractEventLoop) -> None:
        watch = self._watching.pop(loop, None)
        if watch is not None:
            self._detach(watch)

    def _attach(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)

    def _detach(self, watcher: Watcher) -> None:
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def _wake_others(self, me: Watcher | None) -> None:
        for watcher in list(self._watchers):
            if watcher is not me:
                watcher.wake()

    def _drain_events(self) -> None:
        event = _new("seaway_event *")
        event.struct_size = ffi.sizeof("seaway_event")
        take: Callable[[Any, Any], int] = lib.seaway_next_event
        while take(self._handle, event) == OK and event.kind != lib.SEAWAY_EVENT_NONE:
            pass
