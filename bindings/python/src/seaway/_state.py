"""The shared state of one communicator: a seaway_state and what keeps its memory alive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seaway._buffers import Array, buffers, common_stream
from seaway._errors import InvalidError, last_error, make_error
from seaway._library import NULL, OK, PENDING, ffi, lib
from seaway._waiting import in_slices

_new = ffi.new
_ROLES: dict[str, int] = {
    "both": lib.SEAWAY_SEND_AND_RECEIVE,
    "send": lib.SEAWAY_SEND_ONLY,
    "receive": lib.SEAWAY_RECEIVE_ONLY,
}


class SyncResult:
    """What a state sync did. Immutable.

    Attributes:
        revision: everybody's from now on.
        digest: 32 hexadecimal digits over all tensors (XXH3-128 over the hashes of their leaves), equal on every member.
        donors: the incarnations of the members that had the elected copy, in roster order.
        bytes: of all tensors. bytes_changed: of this member's tensors that changed; 0 if its own copy was elected.
        bytes_sent, bytes_received: payload.
        rounds: 1: undisturbed; a donor that is lost costs one more, which fetches only what has not arrived.
        seconds: from start to end.
    """

    __slots__ = (
        "bytes", "bytes_changed", "bytes_received", "bytes_sent", "digest", "donors", "revision", "rounds", "seconds",
    )  # fmt: skip

    def __init__(self, struct: Any) -> None:
        self.revision: int = struct.revision
        self.digest = f"{struct.digest[0]:016x}{struct.digest[1]:016x}"
        known = min(struct.donor_count, struct.donor_capacity)
        self.donors: tuple[int, ...] = tuple(struct.donors[i] for i in range(known))
        self.bytes: int = struct.bytes
        self.bytes_changed: int = struct.bytes_changed
        self.bytes_sent: int = struct.bytes_sent
        self.bytes_received: int = struct.bytes_received
        self.rounds: int = struct.rounds
        self.seconds: float = struct.seconds

    def __repr__(self) -> str:
        return (
            f"SyncResult(revision={self.revision}, digest={self.digest}, donors={len(self.donors)}, bytes={self.bytes}, "
            f"bytes_changed={self.bytes_changed}, rounds={self.rounds}, seconds={self.seconds:.6f})"
        )


def _described(tensors: Mapping[str, Array]) -> list[tuple[str, Any, Any]]:
    """(name, seaway_buffer, what keeps the memory alive) of each, by name."""
    if not isinstance(tensors, Mapping):
        raise InvalidError(f"tensors is of type {type(tensors).__name__}; give a dict from names to arrays")
    described = []
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not name or "\0" in name:
            raise InvalidError(f"a tensor's name must be a str that is not empty, without NUL, not {name!r}")
        buffer, _, keep = buffers(tensor, f"tensors[{name!r}]", True)
        described.append((name, buffer, keep))
    return sorted(described, key=lambda each: each[0])


class State:
    """The shared state of one communicator. A seaway_state has tensors whose names, dtypes and counts never change; when they do
    there is another."""

    def __init__(self, comm: Any) -> None:
        self._comm = comm
        self._handle: Any = NULL
        self._layout: list[tuple[str, int, int]] = []
        self._keep: Any = None  # the arrays, while a sync of them is unfinished
        self._unfinished = False

    def _register(self, tensors: Mapping[str, Array]) -> None:
        described = _described(tensors)
        layout = [(name, int(buffer[0].dtype), int(buffer[0].count)) for name, buffer, _ in described]
        if layout != self._layout or self._handle == NULL:
            self.free()
            pointer = _new("seaway_state **")
            self._check(lib.seaway_state_create(self._comm, pointer))
            self._handle, self._layout = pointer[0], layout
        for name, buffer, _ in described:
            self._check(lib.seaway_state_add(self._handle, name.encode(), buffer))
        self._keep = described

    def sync(
        self, tensors: Mapping[str, Array], revision: int, role: str, timeout: float | None, capacity: int
    ) -> SyncResult:
        if not self._unfinished:
            self._register(tensors)
        options = _new("seaway_sync_options *")
        lib.seaway_sync_options_init(options, ffi.sizeof("seaway_sync_options"))
        if role not in _ROLES:
            raise InvalidError(f"role is {role!r}; give one of {', '.join(_ROLES)}")
        options.role = _ROLES[role]
        options.stream = common_stream(((tensors[name], buffer) for name, buffer, _ in self._keep), "the tensors")
        if not isinstance(revision, int) or not 0 <= revision < 2**64:
            raise InvalidError(f"revision is {revision!r}; give a number from 0 to 2**64 - 1")
        struct = _new("seaway_sync_result *")
        lib.seaway_sync_result_init(struct, ffi.sizeof("seaway_sync_result"))
        donors = _new("uint64_t[]", capacity)
        struct.donors, struct.donor_capacity = donors, capacity
        handle = self._handle
        was_unfinished, self._unfinished = self._unfinished, True
        status = in_slices(
            lambda seconds: int(lib.seaway_state_sync(handle, struct, revision, options, seconds)), timeout
        )
        # A refused call changes nothing: the arrays are still the library's.
        refused = status in (lib.SEAWAY_INVALID, lib.SEAWAY_BUSY)
        self._unfinished = status == PENDING or (refused and was_unfinished)
        if not self._unfinished:
            self._keep = None
        self._check(status)
        return SyncResult(struct)

    def free(self) -> None:
        """When no sync is unfinished, or the communicator was destroyed."""
        lib.seaway_state_free(self._handle)
        self._handle = NULL
        self._keep = None

    def _check(self, status: int) -> None:
        if status != OK:
            raise make_error(status, "sync_state", last_error(comm=self._comm))
