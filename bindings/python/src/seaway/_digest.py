"""What has to be alike on all members, as one number to compare."""

from __future__ import annotations

import hashlib


def digest(text: str) -> int:
    """64 bits of a text, the same in every process: unlike those of hash()."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
