# SPDX-License-Identifier: Apache-2.0
"""What the files of a tokenizer say, and that text becomes tokens by it as in the library that wrote them."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jaxbert.checkpoints.tokenizer_files import as_library, read_rules, tokenizer_texts
from jaxbert.checkpoints.vocab_fit import refuse_other_twin
from jaxbert.errors import InputError
from jaxbert.text.tokenizer import AddedToken, Rules, Tokenizer, open_tokenizer
from jaxbert.text.vocab import make_vocab, read_vocab

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "red",
    "Red",
    "##s",
    "e",
    "é",
    "a",
    "##a",
    "!",
    "中",
    "国",
    "ς",
    "σ",
]
VOCAB = make_vocab(WORDS)
PARTS = [
    *WORDS,
    "e1",
    "E1",
    "covid 19",
    "xe1y",
    " ",
    "\t",
    "\u3000",
    "\u0085",
    "\x0b",
    "\u200b",
    "\u0301",
    "Σ",
    "İ",
    "\ue000",
    "\ud800",
]
HALF = re.compile("[\ud800-\udfff]")  # of a character, as JSON can spell it
texts = st.lists(st.sampled_from(PARTS) | st.characters(), max_size=12).map("".join)
contents = st.sampled_from(["e1", "E1", "covid 19", "中国", "[X]", "é", "##s!"])


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    """Any rules of the library, with up to three added tokens behind the vocabulary."""
    added = [
        AddedToken(len(WORDS) + number, content, *draw(st.tuples(*[st.booleans()] * 5)))
        for number, content in enumerate(draw(st.lists(contents, max_size=3, unique=True)))
        if content not in WORDS
    ]
    added = [dataclasses.replace(token, id=len(WORDS) + number) for number, token in enumerate(added)]
    special = as_library(Rules(), VOCAB).added
    lower, chinese, clean, segments, by_turns = draw(st.tuples(*[st.booleans()] * 5))
    accents = draw(st.sampled_from([None, True, False]))
    return Rules(lower, draw(st.integers(1, 8)), True, accents, chinese, clean, (*special, *added), segments, by_turns)


@given(rules(), texts)
def test_a_text_in_parts_is_the_whole_text(rules: Rules, text: str) -> None:
    """Ids that are looked up part by part, each remembered, are those of the library for the text at once."""
    tokenizer = Tokenizer(VOCAB, rules)
    assert tokenizer.ids(text) == tokenizer.chunk_ids(text)
    assert tokenizer.ids(text) == tokenizer.chunk_ids(text)  # now from memory
    assert len(tokenizer.piece_spans(text)) == len(tokenizer.ids(text))
    assert tokenizer.ids(text) == tokenizer.ids(HALF.sub("\ufffd", text))
    assert isinstance(tokenizer.words(text), list)


@given(rules=rules(), is_known=st.booleans())
def test_what_is_written_is_read(rules: Rules, is_known: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every rule comes back from our own folder, whether or not `BertTokenizer` knows it."""
    if is_known:
        rules = dataclasses.replace(rules, max_chars_per_word=100, clean_text=True)
    folder = tmp_path_factory.mktemp("written")
    write(folder)
    for name, content in tokenizer_texts(str(folder / "vocab.txt"), rules).items():
        (folder / name).write_text(content)
    assert read_rules(str(folder)) == rules
    if (folder / "tokenizer.json").exists():
        refuse_other_twin(read_vocab(str(folder / "vocab.txt")), read_vocab(str(folder / "tokenizer.json")))


def test_rules_that_need_a_vocabulary_are_not_written_without() -> None:
    """They stand in `tokenizer.json`, which holds the vocabulary, too."""
    with pytest.raises(InputError, match="the tokenizer of the model is not written without a vocabulary"):
        tokenizer_texts(None, Rules(library=True, clean_text=False))


def write(folder: Path, **files: Any) -> str:
    """Write JSON files, `tokenizer_config={...}` as `tokenizer_config.json`, and `vocab.txt`."""
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return str(folder)


TOKENIZER = {
    "added_tokens": [{"id": len(WORDS), "content": "[X]", "single_word": True, "normalized": False, "special": False}],
    "normalizer": {"type": "BertNormalizer", "lowercase": False, "strip_accents": True, "clean_text": False},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
    "model": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "max_input_chars_per_word": 7,
        "vocab": {word: number for number, word in enumerate(WORDS)},
    },
}
SPECIAL = as_library(Rules(), VOCAB).added
X = AddedToken(len(WORDS), "[X]", single_word=True, normalized=False)


def test_files_that_say_nothing(tmp_path: Path) -> None:
    """A vocabulary alone is Google's and leaves casing open; casing alone is Google's too."""
    assert read_rules(write(tmp_path / "a")) is None
    assert read_rules(write(tmp_path / "b", tokenizer_config={"do_lower_case": False})) == Rules(False)


def test_the_class_decides_which_file_counts(tmp_path: Path) -> None:
    """BertTokenizer takes its rules from tokenizer_config.json, a class without rules from tokenizer.json."""
    config = {"tokenizer_class": "BertTokenizerFast", "do_lower_case": True, "strip_accents": False}
    found = read_rules(write(tmp_path / "a", tokenizer_config=config, tokenizer=TOKENIZER))
    assert found == Rules(True, 100, library=True, strip_accents=False, added=(*SPECIAL, X))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": True}
    found = read_rules(write(tmp_path / "b", tokenizer_config=config, tokenizer=TOKENIZER))
    found = dataclasses.replace(found or Rules(), segments=True)  # the next test's
    assert found == Rules(False, 7, library=True, strip_accents=True, clean_text=False, added=(*SPECIAL, X))


@pytest.mark.parametrize(
    ("config", "segments"),
    [
        ({"tokenizer_class": "BertTokenizer"}, True),
        ({"tokenizer_class": "BertTokenizer", "model_input_names": ["input_ids", "attention_mask"]}, False),
        ({"tokenizer_class": "DistilBertTokenizer"}, False),
        ({"tokenizer_class": "DistilBertTokenizerFast", "model_input_names": ["input_ids", "token_type_ids"]}, True),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, False),
        ({"tokenizer_class": "TokenizersBackend", "model_input_names": ["input_ids", "token_type_ids"]}, True),
        ({}, True),
    ],
)
def test_types_of_tokens_are_those_of_the_library(config: dict[str, Any], segments: bool, tmp_path: Path) -> None:
    """A second text has type 1 where transformers 5.24 says so: by `model_input_names`, or else by the class."""
    found = read_rules(write(tmp_path / "a", tokenizer_config=config, tokenizer=TOKENIZER))
    assert found is not None
    assert found.segments == segments


def test_added_tokens_of_version_4(tmp_path: Path) -> None:
    """added_tokens.json gives text and ids; added_tokens_decoder, where it is there, counts in place of all others."""
    config = {"tokenizer_class": "BertTokenizer"}
    found = read_rules(write(tmp_path / "a", tokenizer_config=config, added_tokens={"e1": 17, "[MASK]": 4}))
    assert found is not None
    assert found.added == (*SPECIAL, AddedToken(17, "e1"))
    config |= {"added_tokens_decoder": {"17": {"content": "E1", "lstrip": True, "special": False}}}
    found = read_rules(write(tmp_path / "b", tokenizer_config=config, tokenizer=TOKENIZER))
    assert found is not None
    assert found.added == (*SPECIAL, AddedToken(17, "E1", lstrip=True))


def test_special_tokens_that_are_only_named_are_added(tmp_path: Path) -> None:
    """Special tokens of version 4's special_tokens_map.json get the next ids, and their flags."""
    named = {"additional_special_tokens": ["red", {"content": "[E1]", "lstrip": True, "normalized": False}]}
    folder = write(tmp_path / "a", tokenizer_config={"do_lower_case": True}, special_tokens_map=named)
    found = read_rules(folder)
    assert found is not None
    assert set(found.added) == {
        *SPECIAL,
        AddedToken(WORDS.index("red"), "red", normalized=False, special=True),
        AddedToken(len(WORDS), "[E1]", lstrip=True, normalized=False, special=True),
    }


@pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "TokenizersBackend", "BertTokenizer"])
def test_added_tokens_of_a_class_without_rules(name: str, tmp_path: Path) -> None:
    """Those of tokenizer.json come before those of added_tokens_decoder, which for BertTokenizer counts alone."""
    decoder = {"17": {"content": "[X]"}, "18": {"content": "E1", "lstrip": True}}
    config = {"tokenizer_class": name, "added_tokens_decoder": decoder}
    other = {"id": 19, "content": "E2", "special": False}
    tokenizer = TOKENIZER | {"added_tokens": [*TOKENIZER["added_tokens"], other]}
    found = read_rules(write(tmp_path / "a", tokenizer_config=config, tokenizer=tokenizer))
    assert found is not None
    own = AddedToken(17, "[X]")
    e1, e2 = AddedToken(18, "E1", lstrip=True), AddedToken(19, "E2")
    assert found.added == (*SPECIAL, *((own, e1) if name == "BertTokenizer" else (X, e1, e2)))


def test_both_keys_of_special_tokens_count(tmp_path: Path) -> None:
    """extra_special_tokens by name come first; a list of them takes the place of additional_special_tokens."""
    for extra, expected in (({"x_token": "[E3]"}, ["[E3]", "[E1]"]), (["[E3]"], ["[E3]"]), ({}, ["[E1]"])):
        config = {"additional_special_tokens": ["[E1]"], "extra_special_tokens": extra, "y_token": "[Y]"}
        found = read_rules(write(tmp_path / "a", tokenizer_config=config | {"tokenizer_class": "BertTokenizer"}))
        assert found is not None
        assert [token.content for token in found.added[len(SPECIAL) :]] == ["[Y]", *expected]


def test_the_class_may_be_named_by_the_model(tmp_path: Path) -> None:
    """config.json of a Japanese BERT names its tokenizer: it is refused, not read as that of an English one."""
    config = {"do_lower_case": False}
    with pytest.raises(InputError, match="BertJapaneseTokenizer"):
        read_rules(write(tmp_path / "a", tokenizer_config=config, config={"tokenizer_class": "BertJapaneseTokenizer"}))


def test_settings_without_a_class_are_those_of_the_library(tmp_path: Path) -> None:
    """Accents that are kept while lower-casing are no rule of Google's code, whether or not a class is named."""
    found = read_rules(write(tmp_path / "a", tokenizer_config={"do_lower_case": True, "strip_accents": False}))
    assert found == Rules(True, 100, library=True, strip_accents=False, added=SPECIAL)


def test_a_folder_without_vocab_txt_is_tokenized(tmp_path: Path) -> None:
    """transformers 5 writes the vocabulary into tokenizer.json only; `[X]` and `[SEP]` in a text are tokens there."""
    folder = write(tmp_path / "a", tokenizer_config={"tokenizer_class": "BertTokenizer"}, tokenizer=TOKENIZER)
    (tmp_path / "a" / "vocab.txt").unlink()
    found = read_rules(folder)
    assert found is not None
    tokenizer = open_tokenizer(f"{folder}/tokenizer.json", found)
    assert tokenizer.tokens("Red reds [X] é") == ["red", "red", "##s", "[X]", "e"]
    assert tokenizer.vocab.tokens[tokenizer.ids("[X]")[0]] == "[X]"


@pytest.mark.parametrize(
    ("config", "tokenizer", "problem"),
    [
        ({"tokenizer_class": "BertJapaneseTokenizer"}, {}, "the tokenizer is a `BertJapaneseTokenizer`"),
        ({"tokenizer_class": "BertTokenizer", "cls_token": "<s>"}, {}, "`cls_token` is `<s>`, expected `\\[CLS\\]`"),
        ({"tokenizer_class": "BertTokenizer", "strip_accents": "no"}, {}, '`strip_accents` is `"no"`'),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, {}, "tokenizer.json` is missing"),
        (
            {"tokenizer_class": "PreTrainedTokenizerFast"},
            TOKENIZER | {"pre_tokenizer": {"type": "ByteLevel"}},
            "its pre_tokenizer is `ByteLevel`, expected `BertPreTokenizer`",
        ),
        (
            {"tokenizer_class": "PreTrainedTokenizerFast"},
            TOKENIZER | {"model": {"type": "BPE"}},
            "its model is `BPE`, expected `WordPiece`",
        ),
        (
            {"tokenizer_class": "PreTrainedTokenizerFast"},
            TOKENIZER | {"post_processor": None},
            "its post_processor \\(`None`\\) does not put `\\[CLS\\]`",
        ),
        (
            {"tokenizer_class": "PreTrainedTokenizerFast"},
            TOKENIZER | {"post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}]}},
            "its post_processor \\(`TemplateProcessing`\\)",
        ),
        ({"tokenizer_class": "BertTokenizer"}, {"added_tokens": [{"content": "x"}]}, "an added token is"),
        ({"tokenizer_class": "BertTokenizer"}, {"added_tokens": ["x"]}, "an added token is"),
        ({"split_special_tokens": "yes", "strip_accents": None}, {}, '`split_special_tokens` is `"yes"`'),
        ({"tokenizer_class": "BertTokenizer", "truncation_side": "left"}, {}, "`truncation_side` is `left`"),
        ({"strip_accents": None, "model_input_names": "input_ids"}, {}, '`model_input_names` is `"input_ids"`'),
        (
            {"tokenizer_class": "BertTokenizer"},
            TOKENIZER | {"truncation": {"direction": "Left"}},
            "tokenizer.json`: `truncation.direction` is `Left`",
        ),
        ({"word_tokenizer_type": "mecab", "strip_accents": None}, {}, "`word_tokenizer_type` is `mecab`"),
    ],
)
def test_what_is_not_understood_is_refused(
    config: dict[str, Any], tokenizer: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    """Another kind of tokenizer would give other tokens without a word; the message names the file and what it says."""
    files = {"tokenizer_config": config} | ({"tokenizer": tokenizer} if tokenizer else {})
    with pytest.raises(InputError, match=problem):
        read_rules(write(tmp_path / "a", **files))


def test_the_side_that_tokenizer_config_names_is_cut(tmp_path: Path) -> None:
    """It comes before that of tokenizer.json."""
    config = {"tokenizer_class": "BertTokenizer", "truncation_side": "right"}
    tokenizer = TOKENIZER | {"truncation": {"direction": "Left"}}
    assert read_rules(write(tmp_path / "a", tokenizer_config=config, tokenizer=tokenizer)) is not None


def test_special_tokens_in_texts_may_be_text(tmp_path: Path) -> None:
    """Where the folder says so, as transformers does it; added tokens that are not special are found all the same."""
    added = {"16": {"content": "[E1]", "special": False}, "17": {"content": "[E2]", "special": True}}
    config = {"tokenizer_class": "BertTokenizer", "added_tokens_decoder": added}
    contents = {}
    for splits in (False, True):
        folder = write(tmp_path / str(splits), tokenizer_config={**config, "split_special_tokens": splits})
        rules = read_rules(folder)
        assert rules is not None
        contents[splits] = [token.content for token in rules.added]
    assert contents[True] == ["[E1]"]
    assert {"[E1]", "[E2]"} <= set(contents[False])


def test_an_added_token_with_an_id_it_cannot_have_is_refused() -> None:
    """Added tokens stand behind the vocabulary one after the other, as the library gives them their ids."""
    with pytest.raises(InputError, match="the added token `e1` has id 99, behind the vocabulary it gets 17"):
        Tokenizer(VOCAB, Rules(library=True, added=(AddedToken(99, "e1"),)))


def test_a_gap_in_the_vocabulary_is_named(tmp_path: Path) -> None:
    """Added tokens are counted on from the number of tokens, in the library too: behind a gap they get other ids."""
    words = {word: number + (number > 7) for number, word in enumerate(WORDS)}
    added = [{"id": len(WORDS) + 1, "content": "[X]", "special": False}]
    tokenizer = TOKENIZER | {"added_tokens": added, "model": TOKENIZER["model"] | {"vocab": words}}
    folder = write(tmp_path / "a", tokenizer_config={"tokenizer_class": "BertTokenizer"}, tokenizer=tokenizer)
    (tmp_path / "a" / "vocab.txt").unlink()
    with pytest.raises(InputError, match=r"the id 8 has no token of its own.* `\[X\]` with id 18 gets 17") as caught:
        open_tokenizer(f"{folder}/tokenizer.json", read_rules(folder) or Rules())
    words["[unused1]"] = 8  # as the hint says
    assert "such as `[unused1]`" in caught.value.hint
    write(tmp_path / "a", tokenizer=tokenizer)
    (tmp_path / "a" / "vocab.txt").unlink()
    assert open_tokenizer(f"{folder}/tokenizer.json", read_rules(folder) or Rules()).ids("[X]") == [18]


def test_folders_of_today_give_their_tokens(shared: Path) -> None:
    """Folders that transformers 5 wrote give the ids that it gave: pairs between `[CLS]` and `[SEP]`."""
    folders = shared / "cases" / "huggingface5"
    results = json.loads((folders / "results.json").read_text())
    assert results
    for name, case in results.items():
        rules = read_rules(str(folders / name))
        assert rules is not None
        tokenizer = open_tokenizer(str(folders / name / "tokenizer.json"), rules)
        for result in case["results"]:
            texts = [result[key] for key in ("text", "text_a", "text_b") if result.get(key)]
            if len(texts) > 0 and "input_ids" in result:
                ids = [tokenizer.vocab.cls]
                for text in texts:
                    ids += [*tokenizer.ids(text), tokenizer.vocab.sep]
                assert ids == result["input_ids"], name


@pytest.mark.interop
@given(kept=rules(), is_known=st.booleans(), texts=st.lists(texts, min_size=1, max_size=20))
def test_transformers_gives_the_same_tokens(
    kept: Rules, is_known: bool, texts: list[str], tmp_path_factory: Any
) -> None:
    """Any folder with these rules, written by us and read by transformers, gives any text the ids that we give it."""
    transformers = pytest.importorskip("transformers")
    if is_known:  # to `BertTokenizer`
        kept = dataclasses.replace(kept, max_chars_per_word=100, clean_text=True)
    # Of two that are one token when lower-cased, `e1` and `E1`, a tokenizer.json finds the special one first.
    assume(is_known or len({token.content.lower() for token in kept.added}) == len(kept.added))
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS))
    for name, content in tokenizer_texts(str(folder / "vocab.txt"), kept).items():
        (folder / name).write_text(content)
    theirs, ours = transformers.AutoTokenizer.from_pretrained(str(folder)), Tokenizer(VOCAB, kept)
    for text in texts:
        whole = HALF.sub("\ufffd", text)  # transformers takes no halves of characters
        assert ours.ids(text) == theirs(whole, add_special_tokens=False)["input_ids"]
    assert theirs("a", "e").get("token_type_ids", [0] * 5) == [0] * 3 + [int(kept.segments)] * 2
