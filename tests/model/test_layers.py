# SPDX-License-Identifier: Apache-2.0
"""The arithmetic parts of the network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.model.layers import dense, product

GENERATOR = np.random.default_rng(0)
B, S, I, O = 4, 32, 16, 8  # noqa: E741 (the letters of the axes)
P = {"kernel": jnp.asarray(GENERATOR.normal(size=(I, O)), jnp.float32), "bias": jnp.ones(O)}
X = jnp.asarray(GENERATOR.normal(size=(B, S, I)), jnp.float32)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_sums_gradients_in_float32(dtype: jnp.dtype) -> None:
    """Gradients of weights are those of the rounded factors, not rounded themselves; that of the input is rounded."""

    def loss(p: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(dense(p, x).astype(jnp.float32)))

    half = X.astype(dtype)
    of_weights, of_input = jax.grad(loss, argnums=(0, 1))(P, half)
    y = half @ P["kernel"].astype(dtype) + P["bias"].astype(dtype)[None, None]
    dy = np.asarray((2 * y.astype(jnp.float32)).astype(dtype), np.float64)
    exact = np.einsum("bsi,bso->io", np.asarray(half, np.float64), dy)
    # 128 terms of order 10 summed in float32, where half precision keeps 8 or 11 bits of sums of order 1000.
    np.testing.assert_allclose(of_weights["kernel"], exact, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(of_weights["bias"], dy.sum((0, 1)), rtol=1e-5, atol=1e-3)
    assert np.any(of_weights["kernel"] != of_weights["kernel"].astype(dtype).astype(jnp.float32))
    assert of_input.dtype == dtype
    np.testing.assert_allclose(of_input, dy @ np.asarray(P["kernel"], np.float64).T, rtol=0.02, atol=1.0)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_products_of_activations(dtype: jnp.dtype) -> None:
    """Attention's product of half-precision factors, and both its gradients, are the exact ones of these factors."""
    q, k = (jnp.asarray(GENERATOR.normal(size=(2, 3, 8, 4)), dtype) for _ in range(2))
    dz = jnp.asarray(GENERATOR.normal(size=(2, 3, 8, 8)), jnp.float32)
    z, gradients = jax.vjp(lambda q, k: product("baqd,bakd->baqk", q, k, jnp.float32), q, k)
    dq, dk = gradients(dz)
    wide_q, wide_k, wide_dz = (np.asarray(array, np.float64) for array in (q, k, dz.astype(dtype)))
    # Four products of order 1 summed in float32; the gradients are rounded to `dtype` after it.
    np.testing.assert_allclose(z, np.einsum("baqd,bakd->baqk", wide_q, wide_k), rtol=1e-6, atol=1e-6)
    rounding = {"rtol": float(jnp.finfo(dtype).eps), "atol": 1e-5}
    np.testing.assert_allclose(np.asarray(dq, np.float64), np.einsum("baqk,bakd->baqd", wide_dz, wide_k), **rounding)
    np.testing.assert_allclose(np.asarray(dk, np.float64), np.einsum("baqk,baqd->bakd", wide_dz, wide_q), **rounding)
