# SPDX-License-Identifier: Apache-2.0
"""The arithmetic parts of BERT: products, dense, layer normalization, activations.

Weights are float32; products run in the dtype of the activations they meet; LayerNorm statistics are float32 always.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

LAYER_NORM_EPSILON = 1e-12

A = TypeVar("A")

# By the names of `BertConfig.hidden_act`.
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": partial(jax.nn.gelu, approximate=True),
    # As PyTorch and TensorFlow have it; by erfc, as jax.nn.gelu has it, it takes twice as long on a CPU.
    "gelu_erf": lambda x: 0.5 * x * (1.0 + jax.lax.erf(x * 0.5**0.5)),
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
    kernel = p["kernel"]
    if x.dtype == jnp.float32:  # one matrix: XLA's CPU makes a transposed copy for a kernel's gradient by two axes
        y = (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], kernel.shape[1])
    else:  # by two axes: it has fast products of half precision for that copy only
        y = product("bsi,io->bso", x, kernel, x.dtype)
    return (y.astype(jnp.float32) + p["bias"][None, None]).astype(x.dtype)


def dense_together(ps: Sequence[Mapping[str, jax.Array]], x: jax.Array) -> jax.Array:
    """Several `dense` of the same x [B, S, I] as one product, with one gradient of x: -> [n, B, S, O]."""
    kernels, biases = (jnp.stack([p[name] for p in ps]) for name in ("kernel", "bias"))
    y = product("bsi,nio->nbso", x, kernels, x.dtype)
    return (y.astype(jnp.float32) + biases[:, None, None]).astype(x.dtype)


def product(spec: str, x: jax.Array, y: jax.Array, dtype: jax.typing.DTypeLike) -> jax.Array:
    """`einsum` in the dtype of x, its sums in float32, the result in `dtype`.

    y may be float32 where x is not: it is rounded for the product, its gradient is not, so devices add up exact parts.
    """
    return jnp.einsum(spec, x, y) if x.dtype == jnp.float32 else _half_product(spec, dtype, x, y)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _half_product(spec: str, dtype: jax.typing.DTypeLike, x: jax.Array, y: jax.Array) -> jax.Array:
    return _rounded_product(spec, x, y.astype(x.dtype), dtype)


def _half_product_forward(
    spec: str, dtype: jax.typing.DTypeLike, x: jax.Array, y: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _half_product(spec, dtype, x, y), (x, y)


def _half_product_backward(
    spec: str, dtype: jax.typing.DTypeLike, residuals: tuple[jax.Array, jax.Array], dz: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, y = residuals
    dz = dz.astype(x.dtype)
    axes_x, axes_y, axes_z = spec.replace("->", ",").split(",")
    dx = _rounded_product(f"{axes_z},{axes_y}->{axes_x}", dz, y.astype(x.dtype), x.dtype)
    return dx, _rounded_product(f"{axes_x},{axes_z}->{axes_y}", x, dz, y.dtype)


_half_product.defvjp(_half_product_forward, _half_product_backward)


def _rounded_product(spec: str, x: jax.Array, y: jax.Array, dtype: jax.typing.DTypeLike) -> jax.Array:
    """The sums are float32 everywhere; only where they also come out as float32 has XLA's CPU fast products (AMX)."""

    def wide(x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.einsum(spec, x, y, preferred_element_type=jnp.float32).astype(dtype)

    def direct(x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.einsum(spec, x, y, preferred_element_type=dtype)

    z: jax.Array = jax.lax.platform_dependent(x, y, cpu=wide, default=direct)
    return z


def recomputed(f: Callable[..., A], p: Any, *xs: jax.Array, elsewhere: Callable[..., A] | None = None) -> A:
    """f(p, *xs); on a CPU only p and xs are kept for the backward pass, and f is computed again there.

    `jax.checkpoint` saves nothing there: what it computes again XLA's CPU joins with what was there before, and keeps
    it (jax 0.10.2, findings/jax_checkpoint_on_cpu.sh). f must not hold arrays. Devices other than CPUs compute
    `elsewhere`, by default f.
    """
    result: A = jax.lax.platform_dependent(p, *xs, cpu=partial(_recomputed, f), default=elsewhere or f)
    return result


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _recomputed(f: Callable[..., A], p: Any, *xs: jax.Array) -> A:
    return f(p, *xs)


def _recomputed_forward(f: Callable[..., A], p: Any, *xs: jax.Array) -> tuple[A, tuple[Any, ...]]:
    return f(p, *xs), (p, *xs)


def _recomputed_backward(f: Callable[..., A], inputs: tuple[Any, ...], dy: A) -> tuple[Any, ...]:
    """f begins when the gradient is there, and is not joined with the first f."""
    p, *xs = inputs
    zero = _zero_after(dy)
    gradients: tuple[Any, ...] = jax.vjp(f, p, *(x + zero.astype(x.dtype) for x in xs))[1](dy)
    return gradients


_recomputed.defvjp(_recomputed_forward, _recomputed_backward)


def look_up(table: jax.Array, ids: jax.Array) -> jax.Array:
    """The rows [B, S, H] of table [V, H] at ids [B, S].

    On a CPU the gradient of the table takes no memory before dy is there: the zeros to which dy is added depend on it,
    else XLA makes them at the start of the step.
    """
    rows: jax.Array = jax.lax.platform_dependent(table, ids, cpu=_looked_up, default=operator.getitem)
    return rows


@jax.custom_vjp
def _looked_up(table: jax.Array, ids: jax.Array) -> jax.Array:
    rows: jax.Array = table[ids]
    return rows


def _looked_up_backward(inputs: tuple[jax.Array, jax.Array], dy: jax.Array) -> tuple[jax.Array, None]:
    table, ids = inputs
    return jnp.full_like(table, _zero_after(dy)).at[ids].add(dy), None


_looked_up.defvjp(lambda table, ids: (table[ids], (table, ids)), _looked_up_backward)


def _zero_after(dy: Any) -> jax.Array:
    """False, always, and not known before the gradients dy are."""
    first: jax.Array = jax.tree.leaves(dy)[0].ravel()[0]
    return (first > 1) & (first < -1)


def layer_norm(p: Mapping[str, jax.Array], x: jax.Array, epsilon: float | None = None) -> jax.Array:
    """Normalize the last axis of x [B, S, H] (arXiv 1607.06450), statistics in float32, result in the dtype of x."""
    wide = x.astype(jnp.float32)
    centered = wide - jnp.mean(wide, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centered), axis=-1, keepdims=True)
    normal = centered * jax.lax.rsqrt(variance + (epsilon or LAYER_NORM_EPSILON))
    return (normal * p["gamma"][None, None] + p["beta"][None, None]).astype(x.dtype)
