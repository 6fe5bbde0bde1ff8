#!/usr/bin/env bash
# Versions: jax 0.10.2 with jaxlib 0.10.2, numpy 2.4.6, on a CPU.
# Behaviour: products of bfloat16 arrays with sums in float32 depend on how they are written, where an axis of heads stands
#   in the middle, as models have it, [batch, position, head, unit]. One order of operands compiles, and raises
#   UNIMPLEMENTED when it runs (no DotThunk for BF16 x BF16 = F32); with the operands exchanged it runs, and is right. A
#   product whose operands were transposed before has both converted to float32 first, so it does not use a CPU's
#   instructions for bfloat16, without a word; written with the axes as they come it multiplies bfloat16.
# Output seen: bqad,baqs->bsad fails; baqs,bqad->bsad is right; bqad,bsad->baqs is a product of bf16 and bf16, the same
#   after transposes to baqd and basd one of f32 and f32.
# Way round: write the axes in an order that runs, and look at the operands of the compiled program.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cat > "$folder/products.py" <<'PYTHON'
import re

import jax
import jax.numpy as jnp
import numpy as np

SIZES = {"b": 2, "a": 3, "q": 16, "s": 24, "d": 32}


def arrays(spec):
    draw = np.random.default_rng(0).standard_normal
    return [jnp.asarray(draw([SIZES[axis] for axis in axes]), jnp.bfloat16) for axes in spec.split("->")[0].split(",")]


def product(spec):
    return lambda x, y: jnp.einsum(spec, x, y, preferred_element_type=jnp.float32)


def outcome(spec):
    x, y = arrays(spec)
    try:
        found = np.asarray(jax.jit(product(spec))(x, y))
    except jax.errors.JaxRuntimeError as error:
        return str(error).split(":")[0]
    return "right" if np.allclose(found, np.einsum(spec, *(np.float32(a) for a in (x, y))), atol=1e-3) else "wrong"


def operands(form, spec):
    text = jax.jit(form).lower(*arrays(spec)).compile().as_text()
    types = dict(re.findall(r"([\w.\-]+)(?:: | = )(\w+)\[", text))
    return [types[name] for name in re.search(r" dot\(%([\w.\-]+), %([\w.\-]+)\)", text).groups()]


def transposed(x, y):
    return product("baqd,basd->baqs")(x.transpose(0, 2, 1, 3), y.transpose(0, 2, 1, 3))


print("bqad,baqs->bsad", outcome("bqad,baqs->bsad"))
print("baqs,bqad->bsad", outcome("baqs,bqad->bsad"))
print("bqad,bsad->baqs", *operands(product("bqad,bsad->baqs"), "bqad,bsad->baqs"))
print("after transposes", *operands(transposed, "bqad,bsad->baqs"))
PYTHON
found=$(JAX_PLATFORMS=cpu TF_CPP_MIN_LOG_LEVEL=2 "$folder/venv/bin/python" "$folder/products.py")
echo "$found"
[ "$found" = "bqad,baqs->bsad UNIMPLEMENTED
baqs,bqad->bsad right
bqad,bsad->baqs bf16 bf16
after transposes f32 f32" ]
