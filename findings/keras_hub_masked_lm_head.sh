#!/usr/bin/env bash
# Versions: keras-hub 0.32.0 with keras 3.15.1, on jax 0.10.2.
# Behaviour: BertMaskedLM builds its head with other constants than its encoder: GELU in the exact form where the
#   encoder has the tanh form, and LayerNorm with an epsilon of 1e-5 where the encoder has 1e-12. Google's BERT has the
#   encoder's in both. config.json and task.json name neither of the head's, so a program that goes by the files
#   computes other logits.
# Output seen: encoder ('gelu_approximate', 1e-12), head ('gelu', 1e-05); with the encoder's two in the head, logits of
#   a tiny random model move by 1.5e-04.
# Way round: compute the head with exact GELU and 1e-5, or set both before training, as the script does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2 tokenizers==0.23.3 \
    regex==2026.11.19 kagglehub==1.0.0 kagglesdk==0.1.28 sentencepiece==0.2.3
# Without tensorflow-text, which keras-hub asks for and this does not use: it brings TensorFlow.
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps keras-hub==0.32.0
KERAS_BACKEND=jax JAX_PLATFORMS=cpu KERAS_HOME="$folder" "$folder/venv/bin/python" - <<'PYTHON'
import keras_hub
import numpy as np

sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32, "max_sequence_length": 8}
model = keras_hub.models.BertMaskedLM(backbone=keras_hub.models.BertBackbone(vocabulary_size=50, **sizes))
layers = {layer.name: layer for layer in model._flatten_layers()}
encoder = layers["feedforward_intermediate_dense"], layers["feedforward_layer_norm"]
head = layers["intermediate_dense"], layers["intermediate_layer_norm"]
found = [(dense.activation.__name__, norm.epsilon) for dense, norm in (encoder, head)]
print(f"encoder {found[0]}, head {found[1]}")
random = np.random.default_rng(0)
for weight in model.trainable_weights:
    weight.assign(random.normal(0, 0.2, weight.shape))
ones = np.ones((1, 8), np.int32)
features = {"token_ids": np.arange(8)[None], "segment_ids": 0 * ones, "padding_mask": ones}
features["mask_positions"] = np.array([[1, 3]])
before = np.asarray(model(features, training=False))
head[0].activation, head[1].epsilon = encoder[0].activation, encoder[1].epsilon
moved = np.abs(np.asarray(model(features, training=False)) - before).max()
print(f"logits with the encoder's activation and epsilon in the head: {moved:.1e} away")
assert found == [("gelu_approximate", 1e-12), ("gelu", 1e-5)], found
assert 1e-5 < moved < 1e-2, moved
PYTHON
