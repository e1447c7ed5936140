"""seaway's errors as errors of torch.distributed."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist

from seaway import _errors
from seaway._errors import Epoch, Error
from seaway._operation import Operation


class SeawayError(Error, dist.DistBackendError):
    """What seaway.torch raises, and what `Lane.error()` keeps: an error of seaway that is an error of torch.distributed too.

    Each is also of the class that seaway itself would raise: `except seaway.Aborted` finds those. A failed
    torch.futures.Future has but the words: C++ turns what is raised in it into a RuntimeError. `Lane.error()` has it whole.

    Attributes:
        code: the number of the status in seaway.h; `name` is its name there.
        op: the seaway.Operation concerned, or None.
        epoch: the seaway.Epoch at the time of the error.
        peers: the incarnations of the peers concerned, as far as they are known.
        retryable: the same call may succeed later, with nothing changed but time.
    """

    op: Operation | None
    epoch: Epoch

    @property
    def code(self) -> int:
        """The number of the status in seaway.h."""
        return self.status

    @property
    def peers(self) -> tuple[int, ...]:
        """The incarnations of the peers concerned, as far as they are known."""
        return (self.peer,) if self.peer else ()


def _both(kind: type[Error]) -> type[SeawayError]:
    doc = f"A seaway.{kind.__name__} that is a SeawayError too."
    return type(kind.__name__, (SeawayError, kind), {"__doc__": doc, "__module__": __name__})


_CLASSES: dict[type[Error], type[SeawayError]] = {kind: _both(kind) for kind in _errors._CLASSES.values()}


def translate(error: Error, text: str | None = None) -> SeawayError:
    """The same error as a SeawayError, in other words if they are given; the one it was made of is its __cause__."""
    if isinstance(error, SeawayError) and text is None:
        return error
    kind = type(error) if isinstance(error, SeawayError) else _CLASSES.get(type(error), SeawayError)
    details: dict[str, Any] = {
        name: getattr(error, name) for name in ("retryable", "phase", "op", "peer", "tag", "seq", "epoch")
    }
    made = kind(error.text if text is None else text, **details)
    made.status = error.status
    made.__cause__ = error
    return made


def other(error: Exception) -> SeawayError:
    """An error that is none of seaway's, for who looks for a SeawayError alone; the error itself is its __cause__."""
    made = SeawayError(f"{type(error).__name__}: {error}")
    made.__cause__ = error
    return made


def invalid(text: str) -> SeawayError:
    """A wrong argument, which `text` names."""
    return translate(_errors.InvalidError(text))
