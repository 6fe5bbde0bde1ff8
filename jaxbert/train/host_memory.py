# SPDX-License-Identifier: Apache-2.0
"""Memory of programs that compute on a CPU, as glibc keeps it; nothing is done where there is no glibc."""

import ctypes
import sys

# Names from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def keep_freed(one_arena: bool) -> None:
    """Reuse large blocks; by default each goes back to the system, and every step pays for new pages.

    All threads take memory from `one_arena`, or each from its own, whose memory is not always kept.
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)  # never
        if one_arena:
            libc.mallopt(_M_ARENA_MAX, 1)


def give_up(size: int) -> None:
    """Give freed memory back to the system, of which a block of `size` bytes is never used again.

    A program that needs more than those before it cannot use their block, as something small lies behind it, and they
    would go on to use it: memory for both. Now all use the new one; of the old one only addresses are left.
    """
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)
        libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
        libc.malloc(size)


def _glibc() -> ctypes.CDLL | None:
    return libc if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim") else None
