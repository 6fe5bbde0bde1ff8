#!/usr/bin/env bash
# Versions: tokenizers 0.23.3.
# Behaviour: a token that is added gets the number of tokens as its id, not the id after the largest. Where one id of
#   the vocabulary is free, as where a word stands on two lines of vocab.txt (the later line counts), the new token
#   takes the id of the last word: two tokens share one row of the embeddings, and decoding gives the new one for both.
#   No warning.
# Output seen: for the lines [UNK] red green red blue, `red` has id 3, `blue` 4 and id 1 is free; `brown`, added, has id
#   4 as well, and [4], the id of `blue`, is decoded as brown.
# Way round: compare the largest id with the number of tokens before adding, and fill the gaps with tokens of no use.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tokenizers==0.23.3
printf '[UNK]\nred\ngreen\nred\nblue\n' > "$folder/vocab.txt"
"$folder/venv/bin/python" - "$folder/vocab.txt" <<'PYTHON'
import sys

from tokenizers import Tokenizer, models, pre_tokenizers

tokenizer = Tokenizer(models.WordPiece.from_file(sys.argv[1], unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
before = dict(sorted(tokenizer.get_vocab().items()))
added = tokenizer.add_tokens(["brown"])
ids = tokenizer.encode("blue brown").ids
text = tokenizer.decode(tokenizer.encode("blue").ids)
print(f"vocabulary {before}; `blue brown` after adding {added} token: {ids}; the id of `blue` decoded: {text}")
assert before == {"[UNK]": 0, "blue": 4, "green": 2, "red": 3}, before
assert (added, ids, text) == (1, [4, 4], "brown"), (added, ids, text)
PYTHON
