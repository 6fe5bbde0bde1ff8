# SPDX-License-Identifier: Apache-2.0
"""Attention on packed rows whose scores never leave the chip (FlashAttention, arXiv 2205.14135), for TPUs, in Pallas.

Heads stay side by side in H, as dense layers give and take them: a kernel works on 128 lanes of it, one to four heads,
and zeroes the lanes of the others, which the matrix unit would fill with padding anyway. Scores are computed with keys
down and queries across, so that what belongs to a query (the bounds of its sequence, maximum, sum) is a row. Keys and
values of a row of the batch lie in the chip's memory whole; blocks of them where no query of a block has its sequence
are not looked at. The backward pass makes probabilities again from the logarithm of each softmax's sum, and dropout
from the same bits.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jax.sharding import Mesh, PartitionSpec

from jaxbert.model.attention import Tokens, row_axes
from jaxbert.model.dropout import hashed_range, is_kept, mix

LANES = 128
_HIDDEN = -1e30
_START, _END, _BITS = range(3)  # lines of a plan's tokens


class Plan(NamedTuple):
    """What sees what, and the bits of dropout.

    Attributes:
        tokens: [B, 3, S] int32: first position of the token's sequence, first after it, bits.
        blocks: [B, 2, S / block] int32: first key block that a block of queries sees, first after them.
        heads: [A] int32, a hash of each head's number.
    """

    tokens: jax.Array
    blocks: jax.Array
    heads: jax.Array


class _Case(NamedTuple):
    """What a kernel is compiled for; `rate` is 0 without dropout."""

    width: int
    block: int
    row_length: int
    rate: float

    @property
    def heads(self) -> int:
        """Heads in 128 lanes."""
        return LANES // self.width

    @property
    def scale(self) -> float:
        return float(self.width**-0.5)


def fused_attention(qkv: jax.Array, heads: int, tokens: Tokens, rate: float, mesh: Mesh) -> jax.Array:
    """`attention` of all positions to all, q, k and v in one array [3, B, S, H] -> [B, S, H].

    The tokens of a sequence are neighbours; for the sizes see `suits_tpu`. On devices that are no TPUs the kernels are
    interpreted, which is for tests.
    """
    _, _, row_length, hidden = qkv.shape
    block = next(size for size in (512, 384, 256, LANES) if row_length % size == 0)  # large ones are scheduled best
    case = _Case(hidden // heads, block, row_length, 0.0 if tokens.bits is None else rate)
    return _attend(qkv, _plan(tokens, heads, block), case, mesh)


def _plan(tokens: Tokens, heads: int, block: int) -> Plan:
    sequences, bits = tokens
    positions = jnp.broadcast_to(jnp.arange(sequences.shape[1], dtype=jnp.int32)[None], sequences.shape)
    is_last = sequences[:, :-1] != sequences[:, 1:]
    is_first, is_last = (jnp.pad(is_last, ((0, 0), pad), constant_values=True) for pad in ((1, 0), (0, 1)))
    starts = jax.lax.cummax(jnp.where(is_first, positions, 0), axis=1)
    ends = jax.lax.cummin(jnp.where(is_last, positions + 1, sequences.shape[1]), axis=1, reverse=True)
    in_blocks = [a.reshape(*a.shape[:1], -1, block) for a in (starts, ends)]
    blocks = jnp.stack([in_blocks[0].min(-1) // block, (in_blocks[1].max(-1) + block - 1) // block], axis=1)
    of_tokens = jnp.zeros_like(starts) if bits is None else jax.lax.bitcast_convert_type(bits, jnp.int32)
    of_heads = jax.lax.bitcast_convert_type(hashed_range(heads), jnp.int32)
    return Plan(jnp.stack([starts, ends, of_tokens], axis=1), blocks, of_heads)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _attend(qkv: jax.Array, plan: Plan, case: _Case, mesh: Mesh) -> jax.Array:
    return _attend_forward(qkv, plan, case, mesh)[0]


def _attend_forward(qkv: jax.Array, plan: Plan, case: _Case, mesh: Mesh) -> tuple[jax.Array, tuple[Any, ...]]:
    of_qkv, of_out, of_sums, of_plan = _specs(mesh)
    on_devices = _on_each_device(_call_forward, case, mesh, (of_plan, of_qkv), (of_out, of_sums))
    out, log_sums = on_devices(plan, qkv)
    return out, (plan, qkv, out, log_sums)


def _attend_backward(case: _Case, mesh: Mesh, kept: tuple[Any, ...], d_out: jax.Array) -> tuple[Any, ...]:
    of_qkv, of_out, of_sums, of_plan = _specs(mesh)
    on_devices = _on_each_device(_call_backward, case, mesh, (of_plan, of_qkv, of_out, of_sums, of_out), of_qkv)
    return on_devices(*kept, d_out), None


_attend.defvjp(_attend_forward, _attend_backward)


def _specs(mesh: Mesh) -> tuple[PartitionSpec, PartitionSpec, PartitionSpec, Plan]:
    """How q, k and v, the output, the logarithms of sums and a plan are split: rows over all axes but `tensor`."""
    rows = row_axes(mesh)
    of_rows: Any = PartitionSpec(rows)
    of_heads: Any = PartitionSpec("tensor")
    out, sums = PartitionSpec(rows, None, "tensor"), PartitionSpec(rows, "tensor")
    return PartitionSpec(None, *out), out, sums, Plan(of_rows, of_rows, of_heads)


def _on_each_device(call: Callable[..., Any], case: _Case, mesh: Mesh, inputs: Any, outputs: Any) -> Callable[..., Any]:
    is_interpreted = mesh.devices.flat[0].platform != "tpu"
    call = functools.partial(call, case, is_interpreted)
    return jax.shard_map(call, mesh=mesh, in_specs=inputs, out_specs=outputs, check_vma=False)


def _call_forward(case: _Case, is_interpreted: bool, plan: Plan, qkv: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The output [B, S, H] and the logarithm of each softmax's sum [B, H / 128, heads of 128 lanes, S] float32."""
    grid, specs = _grid(case, qkv.shape)
    sums = jax.ShapeDtypeStruct((*grid[:2], case.heads, case.row_length), jnp.float32)
    call = pl.pallas_call(
        functools.partial(_forward_kernel, case),
        out_shape=(jax.ShapeDtypeStruct(qkv.shape[1:], qkv.dtype), sums),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=2,
            grid=grid,
            in_specs=[specs.tokens, specs.q, specs.k, specs.v],
            out_specs=[specs.out, specs.sums],
        ),
        compiler_params=_PARAMS,
        cost_estimate=_cost(case, qkv, products=2, arrays=4),
        interpret=is_interpreted,
        name="attention_forward",
    )
    out, log_sums = call(plan.blocks, plan.heads, plan.tokens, qkv, qkv, qkv)
    return out, log_sums


def _call_backward(
    case: _Case,
    is_interpreted: bool,
    plan: Plan,
    qkv: jax.Array,
    out: jax.Array,
    log_sums: jax.Array,
    d_out: jax.Array,
) -> jax.Array:
    """The gradient of q, k and v."""
    grid, specs = _grid(case, qkv.shape)
    call = pl.pallas_call(
        functools.partial(_backward_kernel, case),
        out_shape=jax.ShapeDtypeStruct(qkv.shape, qkv.dtype),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=2,
            grid=grid,
            in_specs=[specs.tokens, specs.q, specs.k, specs.v, specs.out, specs.sums, specs.out],
            out_specs=specs.qkv,
            scratch_shapes=[pltpu.VMEM((case.row_length, LANES), jnp.float32)] * 2,
        ),
        compiler_params=_PARAMS,
        cost_estimate=_cost(case, qkv, products=5, arrays=8),
        interpret=is_interpreted,
        name="attention_backward",
    )
    gradient: jax.Array = call(plan.blocks, plan.heads, plan.tokens, qkv, qkv, qkv, out, log_sums, d_out)
    return gradient


def _cost(case: _Case, qkv: jax.Array, products: int, arrays: int) -> pl.CostEstimate:
    """At most, with no block left out: so many products of all queries with all keys, so many arrays like q."""
    of_q = qkv.size // 3
    scores = of_q // case.width * case.row_length
    flops, size = 2 * products * scores * case.width, of_q * qkv.dtype.itemsize
    return pl.CostEstimate(flops=flops, transcendentals=scores, bytes_accessed=arrays * size)


# Rows of the batch and groups of heads go in any order; blocks of queries add to the same gradients.
_PARAMS = pltpu.CompilerParams(dimension_semantics=("parallel", "parallel", "arbitrary"))


class _Specs(NamedTuple):
    """What of each array is in the chip's memory at a point of the grid."""

    tokens: pl.BlockSpec
    q: pl.BlockSpec
    k: pl.BlockSpec
    v: pl.BlockSpec
    qkv: pl.BlockSpec
    out: pl.BlockSpec
    sums: pl.BlockSpec


def _grid(case: _Case, shape: tuple[int, ...]) -> tuple[tuple[int, int, int], _Specs]:
    """Rows x groups of heads x blocks of queries."""
    block, row = (1, 1, case.block, LANES), (1, 1, case.row_length, LANES)
    specs = _Specs(
        tokens=pl.BlockSpec((1, 3, case.row_length), lambda b, g, i, *_: (b, 0, 0)),
        q=pl.BlockSpec(block, lambda b, g, i, *_: (0, b, i, g)),
        k=pl.BlockSpec(row, lambda b, g, i, *_: (1, b, 0, g)),
        v=pl.BlockSpec(row, lambda b, g, i, *_: (2, b, 0, g)),
        qkv=pl.BlockSpec((3, *row[1:]), lambda b, g, i, *_: (0, b, 0, g)),
        out=pl.BlockSpec(block[1:], lambda b, g, i, *_: (b, i, g)),
        sums=pl.BlockSpec((1, 1, case.heads, case.block), lambda b, g, i, *_: (b, g, 0, i)),
    )
    return (shape[1], shape[3] // LANES, case.row_length // case.block), specs


def _forward_kernel(
    case: _Case,
    blocks: Any,
    hashes: Any,
    tokens: Any,
    q_ref: Any,
    k_ref: Any,
    v_ref: Any,
    out_ref: Any,
    sums_ref: Any,
) -> None:
    """One block of queries of one group of heads, by the running maximum and sum of arXiv 2205.14135."""
    of_queries, of_heads, first, end = _place(case, blocks, hashes, tokens)
    q = _of_each_head(case, q_ref[0, 0], case.scale)

    def add(j: jax.Array, so_far: list[tuple[jax.Array, ...]]) -> list[tuple[jax.Array, ...]]:
        keys = _block(case, j)
        k, v_across = k_ref[0, 0, keys], v_ref[0, 0, keys].T
        is_seen, of_keys = _seen(case, j, of_queries), _of_keys(case, tokens[0, _BITS : _BITS + 1, keys], of_heads)
        after: list[tuple[jax.Array, ...]] = []
        for h, (top, total, out) in enumerate(so_far):
            scores = jnp.where(is_seen, _product(k, q[h], _NT), _HIDDEN)
            new_top = jnp.maximum(top, jnp.max(scores, axis=0, keepdims=True))
            p, rescale = jnp.exp(scores - new_top), jnp.exp(top - new_top)
            total = total * rescale + jnp.sum(p, axis=0, keepdims=True)
            if case.rate:
                p = jnp.where(_kept(case, of_queries, of_keys[h]), p, 0.0)
            out = out * rescale + _product(_lines(case, h, v_across), p.astype(k.dtype), _NN)
            after.append((new_top, total, out))
        return after

    line = jnp.zeros((1, case.block), jnp.float32)
    start = [(line + _HIDDEN, line, jnp.zeros((case.width, case.block), jnp.float32)) for _ in q]
    done = jax.lax.fori_loop(first, end, add, start)
    out = jnp.concatenate([out / (total * (1.0 - case.rate)) for _, total, out in done])
    out_ref[0] = out.T.astype(out_ref.dtype)
    sums_ref[0, 0] = jnp.concatenate([top + jnp.log(total) for top, total, _ in done])


def _backward_kernel(
    case: _Case,
    blocks: Any,
    hashes: Any,
    tokens: Any,
    q_ref: Any,
    k_ref: Any,
    v_ref: Any,
    out_ref: Any,
    sums_ref: Any,
    d_out_ref: Any,
    gradient: Any,
    dk_sum: Any,
    dv_sum: Any,
) -> None:
    """Gradients from one block of queries of one group of heads; those of keys and values are written at the end."""
    of_queries, of_heads, first, end = _place(case, blocks, hashes, tokens)
    q, d_out = _of_each_head(case, q_ref[0, 0], case.scale), _of_each_head(case, d_out_ref[0], 1.0 / (1.0 - case.rate))
    # What the softmax's gradient subtracts: the sum over keys of probability x its gradient.
    products = (out_ref[0].astype(jnp.float32) * d_out_ref[0].astype(jnp.float32)).T
    means = [jnp.sum(_lines(case, h, products), axis=0, keepdims=True) for h in range(case.heads)]

    @pl.when(pl.program_id(2) == 0)
    def _() -> None:
        dk_sum[...] = jnp.zeros_like(dk_sum)
        dv_sum[...] = jnp.zeros_like(dv_sum)

    def add(j: jax.Array, dq: list[jax.Array]) -> list[jax.Array]:
        keys = _block(case, j)
        k, v = k_ref[0, 0, keys], v_ref[0, 0, keys]
        k_across = k.T
        is_seen, of_keys = _seen(case, j, of_queries), _of_keys(case, tokens[0, _BITS : _BITS + 1, keys], of_heads)
        dk, dv, after = dk_sum[keys], dv_sum[keys], []
        for h, dq_h in enumerate(dq):
            scores = jnp.where(is_seen, _product(k, q[h], _NT), _HIDDEN)
            p = jnp.exp(scores - sums_ref[0, 0, h : h + 1])
            dp, dropped = _product(v, d_out[h], _NT), p
            if case.rate:
                kept = _kept(case, of_queries, of_keys[h])
                dp, dropped = jnp.where(kept, dp, 0.0), jnp.where(kept, p, 0.0)
            ds = (p * (dp - means[h])).astype(k.dtype)
            dv = dv + _product(dropped.astype(k.dtype), d_out[h], _NN)
            dk = dk + _product(ds, q[h], _NN)
            after.append(dq_h + _product(_lines(case, h, k_across), ds, _NN))
        dk_sum[keys], dv_sum[keys] = dk, dv
        return after

    start = [jnp.zeros((case.width, case.block), jnp.float32)] * case.heads
    dq = jax.lax.fori_loop(first, end, add, start)
    gradient[0, 0, _block(case, pl.program_id(2))] = (jnp.concatenate(dq).T * case.scale).astype(gradient.dtype)

    @pl.when(pl.program_id(2) == pl.num_programs(2) - 1)
    def _() -> None:
        gradient[1, 0] = dk_sum[...].astype(gradient.dtype)
        gradient[2, 0] = dv_sum[...].astype(gradient.dtype)


_NN = (((1,), (0,)), ((), ()))
_NT = (((1,), (1,)), ((), ()))


def _product(x: jax.Array, y: jax.Array, dimensions: Any) -> jax.Array:
    return jax.lax.dot_general(x, y, dimensions, preferred_element_type=jnp.float32)


def _place(
    case: _Case, blocks: Any, hashes: Any, tokens: Any
) -> tuple[jax.Array, list[jax.Array], jax.Array, jax.Array]:
    """Of this point of the grid: the plan's lines for its queries, its heads' hashes, first and last + 1 key block."""
    row, group, i = (pl.program_id(axis) for axis in range(3))
    of_heads = [hashes[group * case.heads + h] for h in range(case.heads)]
    return tokens[0, :, _block(case, i)], of_heads, blocks[row, 0, i], blocks[row, 1, i]


def _block(case: _Case, number: jax.Array) -> Any:
    return pl.ds(pl.multiple_of(number * case.block, case.block), case.block)


def _of_each_head(case: _Case, x: jax.Array, factor: float) -> list[jax.Array]:
    """x [block, 128] times `factor`, for each head with zeros in the lanes of the others."""
    wide = x.astype(jnp.float32) * factor
    lanes = jax.lax.broadcasted_iota(jnp.int32, x.shape, 1)
    return [jnp.where(lanes // case.width == h, wide, 0.0).astype(x.dtype) for h in range(case.heads)]


def _lines(case: _Case, h: int, across: jax.Array) -> jax.Array:
    """Those of one head of [128, block]."""
    return across[h * case.width : (h + 1) * case.width]


def _seen(case: _Case, j: jax.Array, of_queries: jax.Array) -> jax.Array:
    """Which keys of a block are of the sequence of which queries, [keys, queries]."""
    key = j * case.block + jax.lax.broadcasted_iota(jnp.int32, (case.block, case.block), 0)
    return (key >= of_queries[_START : _START + 1]) & (key < of_queries[_END : _END + 1])


def _of_keys(case: _Case, bits: jax.Array, of_heads: list[jax.Array]) -> list[jax.Array]:
    """For each head the dropout hash of keys as a column [keys, 1] uint32, from their bits [1, keys]."""
    lines = jnp.broadcast_to(bits, (8, case.block))
    line = jax.lax.broadcasted_iota(jnp.int32, lines.shape, 0)
    of_line = functools.reduce(lambda rest, h: jnp.where(line == h, of_heads[h], rest), range(case.heads), line)
    columns = mix((lines ^ of_line).astype(jnp.uint32)).T
    return [columns[:, h : h + 1] for h in range(case.heads)]


def _kept(case: _Case, of_queries: jax.Array, of_keys: jax.Array) -> jax.Array:
    """Which probabilities [keys, queries] dropout keeps, as `attention_dropout`."""
    return is_kept(mix(of_queries[_BITS : _BITS + 1].astype(jnp.uint32) ^ of_keys), case.rate)
