#!/usr/bin/env bash
# Versions: transformers 5.24.0 with tokenizers 0.23.3.
# Behaviour: whether the normalizer and the word limit written in tokenizer.json count depends on `tokenizer_class` in
#   tokenizer_config.json. For BertTokenizer transformers takes vocabulary and added tokens from tokenizer.json and builds
#   the rest anew; for TokenizersBackend (and by the library tokenizers) the same file is followed. One folder, three
#   readers, two answers, and no warning.
# Output seen: for tokenizer.json that keeps case, and the text "Red": BertTokenizer red, TokenizersBackend [UNK],
#   tokenizers [UNK].
# Way round: read `tokenizer_class` first, then decide which file has the rules.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0 tokenizers==0.23.3
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - "$folder" 2>/dev/null <<'PYTHON'
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer

vocab = {token: number for number, token in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red"))}
tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
special = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}
found = {}
for name in ("BertTokenizer", "TokenizersBackend"):
    folder = Path(sys.argv[1], name)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name, **special}))
    found[name] = AutoTokenizer.from_pretrained(folder).tokenize("Red")
found["tokenizers"] = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("Red").tokens
print(found)
assert found == {"BertTokenizer": ["red"], "TokenizersBackend": ["[UNK]"], "tokenizers": ["[UNK]"]}, found
PYTHON
