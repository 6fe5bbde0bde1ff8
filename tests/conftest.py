# SPDX-License-Identifier: Apache-2.0
"""What every test gets: strict arithmetic in jax, compiled programs of the session, and real data where they exist."""

import contextlib
import importlib.metadata
import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure: how long an example takes is not what these tests are about.
settings.register_profile("jaxbert", deadline=None)
settings.load_profile("jaxbert")

# Read by jax when it is imported.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests compile much and compute little. XLA ends a process that gives it a flag it does not know, so the second one,
# which more than halves the time to compile, is given to the versions that were tried.
QUICK_TO_COMPILE = "--xla_backend_optimization_level=0"
if importlib.metadata.version("jax").startswith("0.10."):
    QUICK_TO_COMPILE += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", QUICK_TO_COMPILE)
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
# What one test compiles no other one needs to, in this process or those that it starts. Commands are told not to keep
# their programs (`--compile_cache=`), as they would keep only those that take long.
_PROGRAMS = tempfile.mkdtemp(prefix="jaxbert-programs-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = _PROGRAMS
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


def pytest_configure(config: pytest.Config) -> None:
    """Set this process up as every command does, so that it compiles what the commands it starts compile."""
    from jaxbert.train import devices

    devices.prepare()
    if config.getoption("markexpr") == "interop":  # torch 2.14 ends a process in which TensorFlow 2.21 was there first
        with contextlib.suppress(ImportError):
            importlib.import_module("torch._dynamo")


def pytest_unconfigure() -> None:
    """Remove the programs."""
    shutil.rmtree(_PROGRAMS, ignore_errors=True)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Draws what a test leaves to chance; the report of a failure has the line for the environment that repeats it."""
    seed = os.environ.get("JAXBERT_TEST_SEED") or str(random.SystemRandom().randrange(10**6))
    request.node.add_report_section("setup", "seed", f"JAXBERT_TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and official outputs: `JAXBERT_SHARED`, or `shared` beside the checkout."""
    folder = Path(os.environ.get("JAXBERT_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real data at {folder}")
    return folder
