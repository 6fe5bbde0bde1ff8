#!/usr/bin/env bash
# Versions: transformers 4.57.6 with tokenizers 0.22.2.
# Behaviour: the two tokenizers of BERT that transformers has do not agree on which characters are Chinese, and so words
#   of their own. For the one in Python, as for Google's, the block of extension E begins at U+2B820; for BertNormalizer
#   of tokenizers it begins at U+2B920, so the first 256 characters of it stay with the letters around them and one
#   unknown word takes all of them. No other character differs; tokenizers 0.23.3 does the same.
# Output seen: 256 characters differ, U+2B820 to U+2B91F; "a" + U+2B820 is 2 words for one and 1 for the other.
# Way round: put spaces around these characters before the text is tokenized.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==4.57.6 tokenizers==0.22.2
"$folder/venv/bin/python" - <<'PYTHON'
from tokenizers.normalizers import BertNormalizer
from transformers.models.bert.tokenization_bert import BasicTokenizer

normalizer = BertNormalizer(clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False)
plain = BasicTokenizer(do_lower_case=False)


def words(char):
    text = "a" + chr(char)
    return len(plain._tokenize_chinese_chars(text).split()), len(normalizer.normalize_str(text).split())


def differs(char):
    of_python, of_library = words(char)
    return of_python != of_library


characters = [char for char in range(0x2E80, 0x32000) if not 0xD800 <= char <= 0xDFFF]
found = [char for char in characters if differs(char)]
print(f"{len(found)} characters differ, U+{found[0]:X} to U+{found[-1]:X}; words of `a` and the first: {words(found[0])}")
assert (len(found), found[0], found[-1], words(found[0])) == (256, 0x2B820, 0x2B91F, (2, 1)), found[:5]
PYTHON
