# SPDX-License-Identifier: Apache-2.0
"""What every test gets: strict arithmetic in jax, and the folder of real data where it exists."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure: how long an example takes is not what these tests are about.
settings.register_profile("jaxbert", deadline=None)
settings.load_profile("jaxbert")

# Read by jax when it is imported.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # tests compile much and compute little
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"


def pytest_configure() -> None:
    """Set this process up as every command does, so that it compiles what the commands it starts compile."""
    from jaxbert.train import devices

    devices.prepare(os.environ)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and official outputs: `JAXBERT_SHARED`, or `shared` beside the checkout."""
    folder = Path(os.environ.get("JAXBERT_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real data at {folder}")
    return folder
