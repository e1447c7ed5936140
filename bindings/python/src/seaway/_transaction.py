"""Ops that commit together."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from seaway._errors import InvalidError, last_error, make_error
from seaway._library import OK, lib
from seaway._operation import Operation


class Transaction(Operation):
    """Ops that commit together, in all lanes of all replicas, or not at all: `Communicator.transaction` returns it.

        with comm.transaction() as step:
            for part in parts:
                comm.all_reduce_async(part, transaction=step)

    At the end of the block it is closed and waited for: then all its ops are committed, or `Aborted`, `Evicted` and the like are
    raised and no array has changed. If the block raises, it is cancelled for everybody.

    Without `with`: `close()` it when no op is to come any more, then `wait()`, as of any Operation. One that is dropped before is cancelled.
    """

    __slots__ = ("_closed",)

    def __init__(self, comm: Any, pointer: Any) -> None:
        super().__init__(comm, pointer, None, "transaction")
        self._closed = False

    def close(self) -> None:
        """No op comes any more. It cannot commit before, nor may anybody `update()`. May be called again."""
        self._closed = True
        status = lib.seaway_transaction_close(self._handle)
        if status != OK:
            raise make_error(status, "close", last_error(op=self._handle), self)

    def __enter__(self) -> Transaction:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None and not self._closed:
            self.cancel(f"{kind.__name__} was raised in it")
        self.close()
        if kind is None:
            self.wait()

    def __del__(self) -> None:
        # There are no arrays to keep; one that is not closed is cancelled by this.
        lib.seaway_free(self._handle)


def handle_of(transaction: Transaction) -> Any:
    if not isinstance(transaction, Transaction):
        raise InvalidError(f"transaction is {transaction!r}; give what Communicator.transaction returns")
    return transaction._handle
