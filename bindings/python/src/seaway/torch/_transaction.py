"""The ops of one step as a transaction, which no failure of this rank leaves open: the others would wait for it."""

from __future__ import annotations

from seaway._communicator import Communicator
from seaway._errors import Error
from seaway._transaction import Transaction


class StepTransaction:
    """Opened, its ops started, closed: at the same points of the program on every rank of every replica. Opening and
    closing do not raise: what is wrong shows at the first op, whose caller knows what to do about it.

    Args:
        comm: this rank's.
        on_loss, timeout: as in `Communicator.transaction`.

    Attributes:
        closed: whether it is.
    """

    def __init__(self, comm: Communicator, on_loss: str = "resume", timeout: float | None = None) -> None:
        self.closed = False
        self._error: Error | None = None
        self._transaction: Transaction | None = None
        try:
            self._transaction = comm.transaction(on_loss=on_loss, timeout=timeout)
        except Error as error:
            self._error = error

    def opened(self) -> Transaction:
        """What ops are started in. Raises what its opening would have."""
        if self._transaction is None:
            assert self._error is not None
            raise self._error
        return self._transaction

    def abort(self, reason: str) -> bool:
        """Ends it for everybody, in all lanes: whether that was said. It is too late when it is closed."""
        if self._transaction is None or self.closed:
            return False
        try:
            self._transaction.cancel(reason)
        except Error:
            return False  # no member any more
        return True

    def close(self) -> None:
        """No op comes any more. May be called again."""
        self.closed = True
        try:
            if self._transaction is not None:
                self._transaction.close()
        except Error:
            pass  # it is final: its ops say how
