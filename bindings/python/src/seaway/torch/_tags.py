"""Who uses which tags. Those below USER_TAGS are the user's; above, each kind of call has 2**40 of its own."""

from __future__ import annotations

USER_TAGS = 1 << 60

HOOK = USER_TAGS + (1 << 40)
GROUP = USER_TAGS + (2 << 40)
POINT_TO_POINT = USER_TAGS + (3 << 40)
NAMES = USER_TAGS + (4 << 40)
KEEPING = USER_TAGS + (5 << 40)
