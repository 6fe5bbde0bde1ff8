#!/usr/bin/env bash
# Versions: jax 0.10.2 on a CPU.
# Behaviour: an array that is broadcast into a large loop is computed again in each turn of it, and
#   `jax.lax.optimization_barrier` around the small array changes nothing: on CPUs it is gone before operations are
#   joined to loops. What a reduction gives is an array of its own. So a hash of 64 tokens whose pairs are hashed once
#   more costs four rounds a pair in place of one.
# Output seen: whole-number products in the loop over pairs: 8 as it is, 8 behind a barrier, 2 behind a reduction.
#   jax 0.11.2 and 0.12.0.1: 8, 2, 2.
# Way round: `jax.lax.reduce` of the array beside zeros, with bitwise or for whole numbers: the same bits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2
"$folder/venv/bin/python" - <<'PYTHON'
import jax
import jax.numpy as jnp

jax.config.update("jax_platforms", "cpu")


def mixed(x):
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> shift)) * jnp.uint32(factor)
    return x ^ (x >> 16)


def by_reduction(bits):
    return jax.lax.reduce(jnp.stack([bits, jnp.zeros_like(bits)]), jnp.uint32(0), jax.lax.bitwise_or, (0,))


def products(apart):
    def masked(scores, tokens):
        of_tokens = apart(mixed(mixed(mixed(tokens))))
        of_pairs = mixed(of_tokens[:, None] ^ (of_tokens[None] << 1))
        return jnp.where(of_pairs >= jnp.uint32(2**28), scores, 0.0)

    arrays = jnp.ones((64, 64)), jnp.arange(64, dtype=jnp.uint32)
    text = jax.jit(masked).lower(*arrays).compile().as_text()
    (loop,) = (part for part in text.split("\n}") if "f32[64,64]" in part and " select(" in part)
    return loop.count(" multiply(")


found = [products(way) for way in (lambda bits: bits, jax.lax.optimization_barrier, by_reduction)]
print(f"products in the loop over pairs: {found[0]} as it is, {found[1]} behind a barrier, {found[2]} behind a reduction")
assert found == [8, 8, 2], found
PYTHON
