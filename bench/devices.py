# SPDX-License-Identifier: Apache-2.0
"""Two simulated devices of one core each beside one device with two threads: the same batches, the same steps.

python -m bench.devices [--rounds=5] [--steps=4] [--layers=4] [--batch=64]
"""

import argparse
import json
import os
import statistics
import sys
import time
from typing import Any

from bench.side_by_side import Worker, serve


def main() -> None:
    """Measure both in turn; print examples a second, their ratio, and what two devices wait for."""
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("rounds", 5), ("steps", 4), ("layers", 4), ("batch", 64)):
        flags.add_argument(f"--{name}", type=int, default=default)
    options = vars(flags.parse_args())
    workers = {count: Worker("bench.devices", options | {"devices": count}) for count in (1, 2)}
    rounds = [{count: worker.ask() for count, worker in workers.items()} for _ in range(options["rounds"])]
    for worker in workers.values():
        worker.close()
    for count in workers:
        rates = sorted(found[count]["rate"] for found in rounds)
        print(f"{count} device(s): {statistics.median(rates):.2f} examples/s ({rates[0]:.2f} to {rates[-1]:.2f})")
    ratios = sorted(found[2]["rate"] / found[1]["rate"] for found in rounds)
    print(f"two over one: {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")
    for name in ("collectives", "input"):
        shares = [found[2][name] for found in rounds]
        print(f"share of {name} in the time of two devices: {statistics.median(shares):.2%}")


def work(settings: dict[str, int]) -> None:
    """The side with `devices` devices."""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={settings['devices']}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax  # it reads the environment when it is imported
    import numpy as np

    from bench.programs import classifier
    from jaxbert.batches.devices import device_mesh, replicated, row_sharding, shard_rows, to_devices
    from jaxbert.batches.loader import Prefetched
    from jaxbert.config.bert_config import BertConfig
    from jaxbert.model.weights import initialize
    from jaxbert.train import devices, run
    from jaxbert.train.sharding import state_shardings
    from jaxbert.train.step import CompiledSteps, initial_state

    devices.prepare()
    mesh = device_mesh(jax.devices())
    config = BertConfig(30522, num_hidden_layers=settings["layers"], type_vocab_size=2)
    programs = classifier(config, mesh, settings["batch"], "fp32")
    training = programs.training
    options = devices.compiler_options(config, mesh, programs.compute.dtype)
    compiled = CompiledSteps(run.steps(programs.flags, mesh, training), lambda text: None, options)
    state = initial_state(initialize(training.table, 0, 0.02))
    state = to_devices(state, state_shardings(state, training.table, mesh))
    gradients = [
        jax.device_put(np.ones((mesh.size, *weight.shape), np.float32), row_sharding(mesh, 0))
        for weight in training.table.values()
    ]
    add = jax.jit(lambda parts: [part.sum(0) for part in parts], out_shardings=replicated(mesh))

    def answer() -> Any:
        nonlocal state
        loaded = Prefetched(shard_rows(training.batches.at(step), mesh, 2) for step in range(settings["steps"] + 1))
        started = 0.0
        for batch in loaded:
            state, metrics = compiled(state, batch)
            jax.block_until_ready(metrics)
            started = started or time.perf_counter()  # the first step may compile
        seconds = time.perf_counter() - started
        jax.block_until_ready(add(gradients))
        started = time.perf_counter()
        jax.block_until_ready(add(gradients))
        added = (time.perf_counter() - started) * settings["steps"]
        rate = settings["steps"] * settings["batch"] / seconds
        return {"rate": rate, "collectives": added / seconds, "input": loaded.waited / seconds}

    serve(lambda **_: answer())


if __name__ == "__main__":
    work(json.loads(sys.argv[1])) if sys.argv[1:] and sys.argv[1].startswith("{") else main()
