"""A master inside this process."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from seaway._errors import InvalidError, error_from_struct
from seaway._library import NULL, OK, ffi, lib, string


class Master:
    """A master on a thread of this process: for tests, notebooks and small runs. `python -m seaway.master` is the same as a
    program.

        with seaway.Master() as master:
            comm = seaway.Communicator(master.join)

    It keeps the membership in memory, and the run's certificate authority: peers go on without it, nobody joins any more.
    `seaway master --state DIR` keeps both.

    Args:
        listen: HOST:PORT; port 0 draws one.
        plaintext: True: as for Communicator. Peers then carry the run over to another master on the same address.

    Raises:
        InvalidError: an argument is wrong. NoAddress: it cannot listen there.
    """

    def __init__(self, listen: str = "127.0.0.1:0", *, plaintext: bool = False) -> None:
        self._handle: Any = NULL
        if not isinstance(listen, str) or "\0" in listen:
            raise InvalidError(f"listen must be a str without NUL, not {listen!r}")
        config = ffi.new("seaway_master_config *")
        lib.seaway_master_config_init(config, ffi.sizeof("seaway_master_config"))
        text = ffi.new("char[]", listen.encode())
        config.listen = text
        config.plaintext = 1 if plaintext else 0
        error = ffi.new("seaway_error *")
        error.struct_size = ffi.sizeof("seaway_error")
        pointer = ffi.new("seaway_master **")
        status = lib.seaway_master_start(pointer, config, error)
        if status != OK:
            raise error_from_struct(status, "Master", error)
        self._handle = pointer[0]
        self._address = string(lib.seaway_master_address(self._handle))
        self._join = string(lib.seaway_master_join_string(self._handle)) or self._address

    @property
    def address(self) -> str:
        """HOST:PORT that it listens on."""
        return self._address

    @property
    def join(self) -> str:
        """What Communicator takes: a join string, which has a secret in it; with plaintext=True the address."""
        return self._join

    def close(self) -> None:
        """Stops it. Peers go on without a master. May be called again."""
        handle, self._handle = self._handle, NULL
        if handle != NULL:
            lib.seaway_master_stop(handle)

    def __enter__(self) -> Master:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<seaway.Master, {'closed' if self._handle == NULL else self._address}>"
