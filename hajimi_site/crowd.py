"""Who takes how much of this process at once: connections, requests, and memory for large bodies. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from keys.places import place_of

# Bodies up to this size are not worth counting.
LARGE: Final = 2**20
# How many largest bodies may be held at once, by all addresses together and by one of them.
HELD_IN_ALL: Final = 16
HELD_BY_ONE: Final = 4


@dataclass
class Crowd:
    """Counts by address, so that one address alone cannot use up what all need. An IPv6 address stands for its /64.

    ``most`` connections, and as many requests, may one address have at a time (0: any number).
    """

    most: int
    body_bytes: int
    connections: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    held_in_all: int = 0

    def enter(self, counts: Counter[str], address: str) -> bool:
        """Count one more connection or request of ``address``; False, uncounted, when it has its most already."""
        place = place_of(address)
        if self.most and counts[place] >= self.most:
            return False
        counts[place] += 1
        return True

    def leave(self, counts: Counter[str], address: str) -> None:
        """Count one less."""
        place = place_of(address)
        counts[place] -= 1
        if counts[place] <= 0:
            del counts[place]

    def hold(self, address: str, size: int) -> bool:
        """Count ``size`` more bytes of a large body; False, uncounted, when they are too many."""
        place, largest = place_of(address), max(self.body_bytes, LARGE)
        if self.held_in_all + size > HELD_IN_ALL * largest or self.held[place] + size > HELD_BY_ONE * largest:
            return False
        self.held[place] += size
        self.held_in_all += size
        return True

    def let_go(self, address: str, size: int) -> None:
        """Count them no longer."""
        place = place_of(address)
        self.held_in_all -= size
        self.held[place] -= size
        if self.held[place] <= 0:
            del self.held[place]
