# SPDX-License-Identifier: Apache-2.0
"""What makes JAX fast here: settings of the process, made once before the first array is, and what the CPU can do."""

import ctypes
import os
import sys

import jax

from jaxbert.errors import InputError
from jaxbert.storage import is_remote

# Names from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def prepare(compile_cache: str) -> None:
    """Keep freed memory, and keep compiled programs in the folder `compile_cache` ("" for nowhere)."""
    _keep_freed_memory()
    if is_remote(compile_cache):
        raise InputError(f"`--compile_cache={compile_cache}` is not on this machine", "give a folder that is")
    if compile_cache:
        jax.config.update("jax_compilation_cache_dir", os.path.expanduser(compile_cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def multiplies_bfloat16(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Whether this CPU has units for products of bfloat16 that XLA uses (AMX), as far as Linux says."""
    try:
        with open(cpuinfo, encoding="utf-8") as file:
            return any("amx_bf16" in line.split() for line in file if line.startswith("flags"))
    except OSError:
        return False


def _keep_freed_memory() -> None:
    """Let glibc reuse large blocks; by default each goes back to the system, and every step pays for new pages."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)  # never
        libc.mallopt(_M_ARENA_MAX, 1)  # the only one whose memory is kept
