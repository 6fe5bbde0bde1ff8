#!/usr/bin/env bash
# Versions: keras-hub 0.32.0 with keras 3.15.1 on jax 0.10.2; tokenizers 0.23.3.
# Behaviour: BertTokenizer with lowercase=True keeps accents, where BERT's own tokenizer and those that follow it strip
#   accents whenever they lower-case. A Hugging Face folder with `do_lower_case` is opened without a word and gets this
#   too: its vocabulary was made from text without accents, so that a word with one becomes [UNK].
# Output seen: for the same vocabulary and the text "The Café": keras-hub the [UNK], with strip_accents=True the cafe,
#   tokenizers the cafe.
# Way round: BertTokenizer.from_preset(folder, strip_accents=True).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2 tokenizers==0.23.3 \
    regex==2026.11.19 kagglehub==1.0.0 kagglesdk==0.1.28 sentencepiece==0.2.3 safetensors==0.7.0
# Without tensorflow-text, which keras-hub asks for: it brings TensorFlow, and the tokens are the same with it.
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps keras-hub==0.32.0
KERAS_BACKEND=jax JAX_PLATFORMS=cpu KERAS_HOME="$folder" "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import sys
from pathlib import Path

import keras_hub
from tokenizers.implementations import BertWordPieceTokenizer

folder = Path(sys.argv[1], "uncased")
folder.mkdir()
(folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncafe\n")
(folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
(folder / "tokenizer_config.json").write_text(json.dumps(settings))
found = {}
for name, options in {"keras-hub": {}, "keras-hub, strip_accents=True": {"strip_accents": True}}.items():
    tokenizer = keras_hub.models.BertTokenizer.from_preset(str(folder), **options)
    found[name] = [tokenizer.id_to_token(int(id_)) for id_ in tokenizer("The Café")]
library = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)
found["tokenizers"] = library.encode("The Café", add_special_tokens=False).tokens
print(found)
plain = ["the", "cafe"]
assert found == {"keras-hub": ["the", "[UNK]"], "keras-hub, strip_accents=True": plain, "tokenizers": plain}, found
PYTHON
