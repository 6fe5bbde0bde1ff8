# SPDX-License-Identifier: Apache-2.0
"""What makes JAX fast here: settings of the process, made once before the first array is, and what the CPU can do."""

import ctypes
import os
import sys
from collections.abc import MutableMapping

import jax

from jaxbert.errors import InputError
from jaxbert.io.storage import is_remote

# Names from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


# With these float32 is faster on CPUs: wide vectors, and products by Eigen in place of YNNPACK, which is the faster one
# for bfloat16. XLA ends a process that gives it a flag it does not know: only versions that were tried are given them.
FLOAT32_FLAGS = "--xla_cpu_prefer_vector_width=512 --xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_REDUCE"
_TRIED = ((0, 10), (0, 11), (0, 12))


def prepare(environment: MutableMapping[str, str], compile_cache: str = "", dtype: str = "fp32") -> None:
    """Keep freed memory, compile for `dtype`, keep compiled programs in the folder `compile_cache` ("" for nowhere)."""
    _keep_freed_memory()
    given = environment.get("XLA_FLAGS", "")
    names_file = given and not given.startswith("-")  # the other form of XLA_FLAGS
    if dtype == "fp32" and jax.__version_info__[:2] in _TRIED and not names_file and FLOAT32_FLAGS not in given:
        environment["XLA_FLAGS"] = f"{FLOAT32_FLAGS} {given}"  # the later ones win: those that were given
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
