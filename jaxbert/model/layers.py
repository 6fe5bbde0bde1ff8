# SPDX-License-Identifier: Apache-2.0
"""The three arithmetic parts of BERT: dense, layer normalization, activations.

Weights are float32; products run in the dtype of the activations they meet; LayerNorm statistics are float32 always.
"""

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp

LAYER_NORM_EPSILON = 1e-12

# By the names of `BertConfig.hidden_act`.
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": partial(jax.nn.gelu, approximate=True),
    "gelu_erf": partial(jax.nn.gelu, approximate=False),
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "tanh": jnp.tanh,
    "linear": lambda x: x,
    "swish": jax.nn.swish,
    "hard_swish": jax.nn.hard_swish,
    "hard_sigmoid": jax.nn.hard_sigmoid,
}


def dense(p: Mapping[str, jax.Array], x: jax.Array) -> jax.Array:
    """x [B, S, I] @ kernel [I, O] + bias [O] -> [B, S, O], in the dtype of x; gradients of weights sum in float32."""
    if x.dtype == jnp.float32:
        return x @ p["kernel"] + p["bias"][None, None]
    return _half_dense(p["kernel"], p["bias"], x)


@jax.custom_vjp
def _half_dense(kernel: jax.Array, bias: jax.Array, x: jax.Array) -> jax.Array:
    """`dense` in half precision; derived, its gradients would be rounded before devices add theirs up."""
    return x @ kernel.astype(x.dtype) + bias.astype(x.dtype)[None, None]


def _half_dense_forward(
    kernel: jax.Array, bias: jax.Array, x: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _half_dense(kernel, bias, x), (kernel, x)


def _half_dense_backward(
    residuals: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    kernel, x = residuals
    d_kernel = jnp.einsum("bsi,bso->io", x, dy, preferred_element_type=jnp.float32)
    return d_kernel, jnp.sum(dy, axis=(0, 1), dtype=jnp.float32), dy @ kernel.astype(dy.dtype).T


_half_dense.defvjp(_half_dense_forward, _half_dense_backward)


def layer_norm(p: Mapping[str, jax.Array], x: jax.Array) -> jax.Array:
    """Normalize the last axis of x [B, S, H] (arXiv 1607.06450), statistics in float32, result in the dtype of x."""
    wide = x.astype(jnp.float32)
    centered = wide - jnp.mean(wide, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centered), axis=-1, keepdims=True)
    normal = centered * jax.lax.rsqrt(variance + LAYER_NORM_EPSILON)
    return (normal * p["gamma"][None, None] + p["beta"][None, None]).astype(x.dtype)
