"""Keeps freed memory in the process instead of handing it back to the system after every temporary."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_KEPT, TRIM_ABOVE = 32 << 20, 512 << 20


def keep_freed_memory() -> None:
    """Tells glibc to reuse freed blocks of up to 32 MB, and to return memory only above 512 MB of it.

    By default each temporary of a few hundred kilobytes is mapped, faulted in page by page, and unmapped again: on the
    path of integrated gradients that took four times as long as the arithmetic (1,590 µs → 330 µs a piece).
    On a system without glibc's `mallopt` nothing is changed.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, TRIM_ABOVE)
