# SPDX-License-Identifier: Apache-2.0
"""Memory of the host: what programs of several sizes, one after the other, need in the end."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, sys
from jaxbert.train import host_memory

libc = ctypes.CDLL(None)
libc.malloc.argtypes, libc.malloc.restype, libc.free.argtypes = [ctypes.c_size_t], ctypes.c_void_p, [ctypes.c_void_p]

def run(size):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.malloc(1 << 16) if number == 0 else None  # stays, behind the first block
    libc.free(block)

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))

host_memory.keep_freed(one_arena=True)
before, sizes = resident(), [200 << 20, 300 << 20, 200 << 20, 300 << 20]
for number, size in enumerate(sizes):
    if number == 1 and sys.argv[1] == "given_up":
        host_memory.give_up(sizes[0])
    run(size)
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is kept by glibc alone")
@pytest.mark.parametrize(("way", "least", "most"), [("kept", 480, 540), ("given_up", 290, 340)])
def test_a_larger_block_takes_the_place_of_a_smaller_one(way, least, most):
    """Blocks of 200 and 300 MiB in turn need 500 where freed ones are kept, 300 where the smaller one is given up."""
    command = [sys.executable, "-c", SCRIPT, way]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "MALLOC_ARENA_MAX": "1"}
    )
    assert least << 20 <= int(done.stdout) <= most << 20
