"""Inputs that are made to be slow to read."""

from __future__ import annotations

from typing import Final

# Processor seconds. Work that grows with the square of such an input takes minutes; other work takes a second or two,
# also on a slow machine.
GOOD_TIME: Final = 10
