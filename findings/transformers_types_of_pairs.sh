#!/usr/bin/env bash
# Versions: transformers 5.24.0 with tokenizers 0.23.3.
# Behaviour: whether the second text of a pair has type 1 depends on `tokenizer_class`, not on what tokenizer.json says.
#   A plain class, as PreTrainedTokenizerFast(tokenizer_object=...) saves it, and DistilBertTokenizer give no
#   token_type_ids, although the template in tokenizer.json has them. BERT then takes type 0 for all tokens: a model that
#   was trained on pairs gives other numbers, and no warning.
# Output seen: for the pair "red", "blue": tokenizers 0 0 0 1 1; BertTokenizer 0 0 0 1 1; TokenizersBackend and
#   DistilBertTokenizer none; TokenizersBackend with `model_input_names` in tokenizer_config.json 0 0 0 1 1.
# Way round: give `model_input_names` with token_type_ids where the tokenizer is made.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0 tokenizers==0.23.3
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - "$folder" 2>/dev/null <<'PYTHON'
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

vocab = {token: number for number, token in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "blue"))}
tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
special = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}
names = ["input_ids", "token_type_ids", "attention_mask"]
found = {"tokenizers": tokenizer.encode("red", "blue").type_ids}
plain = Path(sys.argv[1], "plain")
PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(plain)
found[json.loads((plain / "tokenizer_config.json").read_text())["tokenizer_class"]] = AutoTokenizer.from_pretrained(
    plain
)("red", "blue").get("token_type_ids")
for name, more in (
    ("BertTokenizer", {}),
    ("DistilBertTokenizer", {}),
    ("TokenizersBackend", {"model_input_names": names}),
):
    folder = Path(sys.argv[1], name)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name, **special, **more}))
    key = f"{name}, names given" if more else name
    found[key] = AutoTokenizer.from_pretrained(folder)("red", "blue").get("token_type_ids")
print(found)
types = [0, 0, 0, 1, 1]
assert found == {
    "tokenizers": types,
    "TokenizersBackend": None,
    "BertTokenizer": types,
    "DistilBertTokenizer": None,
    "TokenizersBackend, names given": types,
}, found
PYTHON
