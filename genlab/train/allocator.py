"""Keep freed memory in the process, in huge pages: on glibc, a training step otherwise pays for every activation.

glibc hands each block above 128 KiB back to the kernel when it is freed and maps fresh, zeroed pages for the
next one. A step frees and takes the same few megabytes thousands of times; on a two-core machine the faults
cost the reference model a third of its time. Raising two thresholds (mallopt(3)) makes glibc reuse them. The
process's memory then stays at its peak instead of falling between steps.

The heap that the blocks then come from is asked of the kernel in pages of 2 MiB (madvise(2), MADV_HUGEPAGE), where
it offers them: the activations of a step lie on thousands of ordinary pages, more than a processor remembers the
addresses of.

``GENLAB_MALLOC=0`` leaves the allocator alone; elsewhere than on glibc nothing is done.
"""

from __future__ import annotations

import ctypes
import os
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_WANTED, _OLD_MAXIMUM = 2**30, 2**25  # glibc before 2.35 refuses more than 32 MiB
_TRIM_THRESHOLD = 2**31 - 1

_MADV_HUGEPAGE = 14  # asm-generic/mman-common.h
_HUGE_PAGE, _HEAP = 2**21, 3 * 2**28

_done = False


def keep_freed_memory() -> bool:
    """Raise glibc's thresholds and ask for huge pages; return whether that was done. Repeating it is harmless."""
    global _done
    if os.environ.get("GENLAB_MALLOC") == "0" or platform.libc_ver()[0] != "glibc":
        return False
    if not _done:
        libc = ctypes.CDLL(None)
        kept = libc.mallopt(_M_MMAP_THRESHOLD, _WANTED) or libc.mallopt(_M_MMAP_THRESHOLD, _OLD_MAXIMUM)
        _done = bool(kept and libc.mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD))
        if _done:
            _ask_for_huge_pages(libc)
    return _done


def _ask_for_huge_pages(libc: ctypes.CDLL) -> None:
    """Grow the heap by addresses, which cost nothing until they are written to, and advise the kernel on them.

    If the kernel refuses, or has no huge pages, everything is as it was.
    """
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    block = libc.malloc(_HEAP)
    if block:
        first = -(-block // _HUGE_PAGE) * _HUGE_PAGE
        libc.madvise(first, (block + _HEAP - first) // _HUGE_PAGE * _HUGE_PAGE, _MADV_HUGEPAGE)
        libc.free(block)
