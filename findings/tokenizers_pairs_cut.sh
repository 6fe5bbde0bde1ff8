#!/usr/bin/env bash
# Versions: tokenizers 0.23.3.
# Behaviour: `longest_first` cuts a pair differently from BERT's own data code, whose rule it is taken for. That drops the
#   last token of the longer text, at a tie of the second, until both fit; of an odd room the first text gets the larger
#   half. tokenizers gives it to the second text, unless the first was the longer one before. Sequences of 128, 384 or 512
#   have an odd room (three special tokens), so that every pair of two long texts ends at another token.
# Output seen: of 12 and 10 tokens in a room of 13 both keep 7 and 6; of 10 and 12, and of 12 and 12, BERT's code keeps 7
#   and 6, tokenizers 6 and 7.
# Way round: cut pairs before they are tokenized as pairs, by the rule of the model's training data.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tokenizers==0.23.3
"$folder/venv/bin/python" - <<'PYTHON'
from tokenizers import Tokenizer, models, pre_tokenizers, processors

ROOM = 13
tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "b": 4}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
tokenizer.enable_truncation(ROOM + 3, strategy="longest_first")


def kept_by_bert(first: int, second: int) -> tuple[int, int]:
    """The rule of google-research/bert, token by token."""
    while first + second > ROOM:
        first, second = (first - 1, second) if first > second else (first, second - 1)
    return first, second


found = {}
for lengths in ((12, 10), (10, 12), (12, 12)):
    tokens = tokenizer.encode(" ".join("a" * lengths[0]), " ".join("b" * lengths[1])).tokens
    found[lengths] = kept_by_bert(*lengths), (tokens.count("a"), tokens.count("b"))
print("lengths: kept by BERT's code, by tokenizers:", found)
assert found == {(12, 10): ((7, 6), (7, 6)), (10, 12): ((7, 6), (6, 7)), (12, 12): ((7, 6), (6, 7))}, found
PYTHON
