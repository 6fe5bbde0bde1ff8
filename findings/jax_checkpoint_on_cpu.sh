#!/usr/bin/env bash
# Versions: jax 0.10.2 on a CPU.
# Behaviour: `jax.checkpoint` saves no memory in a compiled program on CPUs: what it computes again for the backward pass
#   is joined with what was computed before, which so is kept.
# Output seen: MB beside arguments and results of the gradients of six layers: 73.4 as they are, 73.4 with
#   `jax.checkpoint`, 33.6 with the way round. jax 0.12.0.1: 73.4, 29.4, 33.6.
# Way round: a `jax.custom_vjp` that keeps the inputs only and, before it computes again, adds to them a term that is
#   always 0 and depends on the gradient that comes in.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2
"$folder/venv/bin/python" - <<'PYTHON'
import jax
import jax.numpy as jnp

jax.config.update("jax_platforms", "cpu")


def layer(x, first, second):
    return x + jnp.tanh(x @ first) @ second


@jax.custom_vjp
def again(*inputs):
    return layer(*inputs)


def backward(inputs, gradient):
    number = gradient[0, 0]
    zero = ((number > 1) & (number < -1)).astype(gradient.dtype)
    return jax.vjp(layer, inputs[0] + zero, *inputs[1:])[1](gradient)


again.defvjp(lambda *inputs: (layer(*inputs), inputs), backward)


def megabytes(form):
    def loss(weights, x):
        for first, second in weights:
            x = form(x, first, second)
        return jnp.sum(x * x)

    weights = [(jnp.ones((256, 1024)), jnp.ones((1024, 256)))] * 6
    program = jax.jit(jax.grad(loss)).lower(weights, jnp.ones((2048, 256))).compile()
    return program.memory_analysis().temp_size_in_bytes / 1e6


found = [megabytes(form) for form in (layer, jax.checkpoint(layer), again)]
print(f"MB: {found[0]:.1f} as they are, {found[1]:.1f} with jax.checkpoint, {found[2]:.1f} with the way round")
assert found[1] > 0.95 * found[0] > 1.5 * found[2], found
PYTHON
