"""Memory that is certain to be resident anew, for tests of what a process's memory is measured by."""

from __future__ import annotations

import mmap

__all__ = ["resident"]


def resident(size: int) -> mmap.mmap:
    """Return *size* bytes of memory, each page of which was written to.

    A ``bytes`` object would not do: in a process that has run thousands of tests the allocator takes even hundreds of
    megabytes from what was freed before, and nothing grows.
    """
    pages = mmap.mmap(-1, size)
    for start in range(0, size, mmap.PAGESIZE):
        pages[start] = 1
    return pages
