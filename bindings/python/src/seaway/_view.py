"""Snapshots of the membership."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from seaway._errors import Epoch, InternalError
from seaway._library import OK, ffi, lib, string


@dataclass(frozen=True, slots=True)
class Member:
    """One peer of the run.

    `peer` is its incarnation: 64 random bits, one life of one process. Name members by it; ranks change. `address` is the
    first, HOST:PORT, that it advertises. `site` is the label that it stated; "": a site of its own.
    """

    peer: int
    uuid: uuid.UUID
    replica: int
    lane: int
    name: str
    address: str
    site: str


@dataclass(frozen=True, slots=True)
class View:
    """The membership at one moment. Immutable.

    `rank` is the position of this peer's replica in the roster and holds for this epoch only; `world_size` counts replicas.
    `members` are in roster order, oldest replica first, the lanes of a replica together. `generation` rises when somebody
    joins, and when chunks are dealt by new rates; `update_count` is the same number at the same point of every member's program. `me` is this peer's incarnation.

    `blocks` are the incarnations whose the blocks of `reduce_scatter` and `all_gather` are, in their order: the members of this
    peer's lane with which its generation began. Those that were lost since still have theirs, so that only `update()` and
    `join()` change them.
    """

    epoch: Epoch
    generation: int
    update_count: int
    rank: int
    world_size: int
    lanes: int
    members: tuple[Member, ...]
    me: int
    blocks: tuple[int, ...]

    @property
    def block(self) -> int:
        """Which of the blocks is this peer's."""
        return self.blocks.index(self.me)

    def member(self, rank: int, lane: int = 0) -> Member:
        """The member at a rank (0 .. world_size-1) and lane. IndexError if there is none."""
        if not 0 <= rank < self.world_size or not 0 <= lane < self.lanes:
            raise IndexError(f"no member at rank {rank}, lane {lane}: {self.world_size} replicas of {self.lanes} lanes")
        return self.members[rank * self.lanes + lane]


def _members(handle: Any, count: int) -> tuple[Member, ...]:
    member = ffi.new("seaway_member *")
    members = []
    for index in range(count):
        member.struct_size = ffi.sizeof("seaway_member")
        status = lib.seaway_view_member(handle, member, index)
        if status != OK:
            raise InternalError(f"seaway_view_member: {string(lib.seaway_status_string(status))}")
        members.append(
            Member(
                peer=member.peer,
                uuid=uuid.UUID(int=member.uuid[0] << 64 | member.uuid[1]),
                replica=member.replica,
                lane=member.lane,
                name=string(member.name),
                address=string(member.address),
                site=string(member.site),
            )
        )
    return tuple(members)


def _blocks(handle: Any) -> tuple[int, ...]:
    count = ffi.new("size_t *")
    lib.seaway_view_blocks(handle, ffi.NULL, 0, count)
    peers = ffi.new("uint64_t[]", count[0])
    status = lib.seaway_view_blocks(handle, peers, count[0], count)
    if status != OK:
        raise InternalError(f"seaway_view_blocks: {string(lib.seaway_status_string(status))}")
    return tuple(peers)


def take_view(handle: Any, before: View | None) -> View:
    """Reads a seaway_view and frees it. The members are those of `before` if its epoch is the same, and its generation: an epoch
    may name newcomers before the update that admits them."""
    try:
        info = ffi.new("seaway_view_info *")
        info.struct_size = ffi.sizeof("seaway_view_info")
        status = lib.seaway_view_info_get(handle, info)
        if status != OK:
            raise InternalError(f"seaway_view_info_get: {string(lib.seaway_status_string(status))}")
        epoch = Epoch(info.epoch.term, info.epoch.number)
        version = (epoch, info.generation, info.self)
        if before is not None and version == (before.epoch, before.generation, before.me):
            if before.update_count == info.update_count:
                return before
            members = before.members
        else:
            members = _members(handle, info.member_count)
        return View(
            epoch=epoch,
            generation=info.generation,
            update_count=info.update_count,
            rank=info.rank,
            world_size=info.world_size,
            lanes=info.lanes,
            members=members,
            me=info.self,
            blocks=_blocks(handle),
        )
    finally:
        lib.seaway_view_free(handle)
