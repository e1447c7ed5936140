"""How long a round waits for whom."""

from __future__ import annotations

from typing import Any, NamedTuple


class Waiting(NamedTuple):
    """When a round goes on without the members that are not there yet.

    quorum: so many contributions suffice; None: everybody's are waited for.
    grace: seconds that the others have from then on.
    """

    quorum: int | None
    grace: float = 0.0

    def options(self) -> dict[str, Any]:
        """As all_reduce takes it."""
        return {} if self.quorum is None else {"quorum": self.quorum, "grace": self.grace}


#: Every live member is waited for, however long it takes; a dead one is not.
EVERYBODY = Waiting(None)

#: OpenDiLoCo's WAIT_FOR_ALL (arXiv 2407.07852): all are waited for, for 600 s after the first.
WAIT_FOR_ALL = Waiting(1, 600.0)

#: OpenDiLoCo's NO_WAIT: whoever is there when the first is.
NO_WAIT = Waiting(1, 0.0)
