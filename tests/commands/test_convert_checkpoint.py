# SPDX-License-Identifier: Apache-2.0
"""convert_checkpoint from folder to folder: every bit arrives, what is known goes along, nothing is half-written."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from jaxbert.checkpoints import names
from jaxbert.checkpoints.huggingface import write_huggingface
from jaxbert.checkpoints.load import read_initial
from jaxbert.checkpoints.model_folder import write_model
from jaxbert.cli import main
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.export import model as export_model
from tests.checkpoints.random_models import HEADS, Weights, assert_same, models, random_weights
from tests.commands.damage import assert_refused
from tests.commands.tiny_task import flags

FORMATS = ("tf1", "tf2", "huggingface", "jaxbert")
CONFIG = BertConfig(11, 6, 2, 2, 8, max_position_embeddings=7, type_vocab_size=2, extra={"directionality": "bidi"})
VOCAB = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nred\nblue\n"
META = {"processor_type": "COLORS", "train_data_size": 4, "max_seq_length": 7, "task_type": "bert_classification"}
META |= {"num_labels": 3, "label_list": ["no", "maybe", "ja"]}
TENSORFLOW_FILES = {"bert_model.ckpt.data-00000-of-00001", "bert_model.ckpt.index", "checkpoint", "bert_config.json"}
Convert = Callable[..., tuple[int, str, str]]


@pytest.fixture
def convert(capsys: pytest.CaptureFixture[str]) -> Convert:
    """Runs `convert_checkpoint` with flags: exit code, standard output, standard error."""

    def run(**values: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["convert_checkpoint", *flags(**values)])
        return code, *capsys.readouterr()

    return run


def model(folder: Path, config: BertConfig, weights: Weights, **texts: str) -> Path:
    """A model folder of ours."""
    write_model(str(folder), weights, {"bert_config.json": bert_config.to_json(config), **texts}, {})
    return folder


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    """A model folder of a classifier with vocabulary and metadata."""
    texts = {"vocab.txt": VOCAB, "meta_data": json.dumps(META)}
    return model(tmp_path / "model", CONFIG, random_weights(CONFIG, "classifier"), **texts)


def kept_by_transformers(weights: Mapping[str, np.ndarray]) -> Weights:
    """Its classes for questions and for the masked LM alone have no pooler: there it is lost, and only it."""
    loses_pooler = {names.SQUAD[0], names.MASKED_LM_BIAS} & weights.keys() and names.NEXT_SENTENCE[0] not in weights
    return {name: array for name, array in weights.items() if not (loses_pooler and name in names.POOLER)}


def test_weights_that_are_no_numbers_are_not_converted(convert: Convert, tmp_path: Path) -> None:
    """A training that went wrong is told, not handed on."""
    weights = random_weights(CONFIG, "classifier")
    weights[names.CLASSIFIER[0]] = np.full_like(weights[names.CLASSIFIER[0]], np.nan)
    write_huggingface(str(tmp_path / "a"), weights, CONFIG)
    result = convert(init_checkpoint=tmp_path / "a", to="tf1", output_dir=tmp_path / "b")
    assert_refused(result, f"`{names.CLASSIFIER[0]}` in", "give another checkpoint")
    assert not (tmp_path / "b").exists()


def test_a_head_that_is_dropped_is_said(convert: Convert, tmp_path: Path) -> None:
    """What is no weight of BERT or of its heads is named before it is lost."""
    weights = random_weights(CONFIG, "classifier")
    write_huggingface(str(tmp_path / "a"), weights, CONFIG)
    path = tmp_path / "a/model.safetensors"
    save_file({name.replace("classifier", "scorer"): weight for name, weight in load_file(path).items()}, path)
    code, _, err = convert(init_checkpoint=tmp_path / "a", to="jaxbert", output_dir=tmp_path / "b")
    assert code == 0
    assert "so they are not written: scorer.bias, scorer.weight" in err
    encoder = {name: weight for name, weight in weights.items() if name not in names.CLASSIFIER}
    assert_same(read_initial(str(tmp_path / "b")).weights, encoder)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=models(), way=st.permutations(FORMATS))
def test_every_bit_arrives(drawn: tuple[BertConfig, Weights], way: list[str], convert: Convert, tmp_path: Path) -> None:
    """Through all formats one after the other and back to ours, for any sizes and heads, weights and sizes stay."""
    config, weights = drawn
    shutil.rmtree(tmp_path / "ways", ignore_errors=True)
    source = model(tmp_path / "ways" / "0", config, weights)
    for number, to in enumerate([*way, "jaxbert"]):
        output = tmp_path / "ways" / str(number + 1)
        code, _, err = convert(init_checkpoint=source, to=to, output_dir=output)
        assert code == 0, err
        source = output
    assert_same(read_initial(str(source)).weights, kept_by_transformers(weights))
    assert bert_config.read(str(source / "bert_config.json")) == config


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("to", FORMATS)
def test_the_same_model_gives_the_same_bytes(to: str, head: str, convert: Convert, tmp_path: Path) -> None:
    """Whatever it was read from: our own folder, or the folder just written."""
    source = model(tmp_path / "model", CONFIG, random_weights(CONFIG, head), **{"vocab.txt": VOCAB})
    assert convert(init_checkpoint=source, to=to, output_dir=tmp_path / "one")[0] == 0
    assert convert(init_checkpoint=tmp_path / "one", to=to, output_dir=tmp_path / "two")[0] == 0
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("to", "files"),
    [
        ("tf1", TENSORFLOW_FILES),
        ("tf2", TENSORFLOW_FILES),
        ("huggingface", {"config.json", "model.safetensors", "tokenizer_config.json"}),
        ("jaxbert", {"bert_config.json", "model.safetensors"}),
    ],
)
def test_all_that_is_known_goes_along(
    to: str, files: set[str], classifier: Path, convert: Convert, tmp_path: Path
) -> None:
    """Vocabulary and metadata as they were, and the files of the format; a folder that is empty may be given."""
    (tmp_path / "out").mkdir()
    code, out, err = convert(init_checkpoint=classifier, to=to, output_dir=tmp_path / "out")
    assert (code, out) == (0, "")
    assert {path.name for path in (tmp_path / "out").iterdir()} == files | {"vocab.txt", "meta_data"}
    for name in ("vocab.txt", "meta_data"):
        assert (tmp_path / "out" / name).read_text() == (classifier / name).read_text()
    if to == "huggingface":  # what the metadata calls the classes is what `transformers` will
        labels = json.loads((tmp_path / "out/config.json").read_text())["id2label"]
        assert labels == {"0": "no", "1": "maybe", "2": "ja"}
    assert "loaded 41 of 41 expected tensors (100.0 % of the values)" in err
    assert "wrote 41 tensors, which read back bitwise identical: " in err


def test_the_configuration_stays_as_it_was(classifier: Path, convert: Convert, tmp_path: Path) -> None:
    """Keys that mean nothing to us are kept; `--bert_config_file` comes before what lies beside the weights."""
    assert convert(init_checkpoint=classifier, to="tf1", output_dir=tmp_path / "a")[0] == 0
    assert (tmp_path / "a/bert_config.json").read_text() == (classifier / "bert_config.json").read_text()
    other = json.loads(bert_config.to_json(CONFIG)) | {"hidden_dropout_prob": 0.25}
    (tmp_path / "other.json").write_text(json.dumps(other))
    given = {"bert_config_file": tmp_path / "other.json", "vocab_file": classifier / "vocab.txt"}
    assert convert(init_checkpoint=tmp_path / "a", to="tf2", output_dir=tmp_path / "b", **given)[0] == 0
    assert bert_config.read(str(tmp_path / "b/bert_config.json")).hidden_dropout_prob == 0.25


@pytest.mark.parametrize(
    ("vocab", "given", "lower_case"),
    [(VOCAB, {}, True), (VOCAB + "Red\n", {}, False), (VOCAB, {"do_lower_case": "false"}, False)],
)
def test_the_tokenizer_keeps_the_case_of_its_vocabulary(
    vocab: str, given: dict[str, str], lower_case: bool, convert: Convert, tmp_path: Path
) -> None:
    """A vocabulary with capital letters is cased, unless a flag says otherwise."""
    source = model(tmp_path / "model", CONFIG, random_weights(CONFIG), **{"vocab.txt": vocab})
    assert convert(init_checkpoint=source, to="huggingface", output_dir=tmp_path / "out", **given)[0] == 0
    tokenizer = json.loads((tmp_path / "out/tokenizer_config.json").read_text())
    expected = {"do_lower_case": lower_case, "model_max_length": 7, "tokenizer_class": "BertTokenizer"}
    assert tokenizer | expected == tokenizer
    special = {id_: token["content"] for id_, token in tokenizer["added_tokens_decoder"].items() if token["special"]}
    assert special == {str(id_): token for id_, token in enumerate(VOCAB.split("\n")[:5])}


@pytest.mark.parametrize("to", FORMATS)
def test_the_case_rule_goes_along(to: str, convert: Convert, tmp_path: Path) -> None:
    """What was said once is known in every format, also where the vocabulary shows nothing; it cannot be turned."""
    source = model(tmp_path / "model", CONFIG, random_weights(CONFIG), **{"vocab.txt": VOCAB})
    assert convert(init_checkpoint=source, to=to, output_dir=tmp_path / "one", do_lower_case="false")[0] == 0
    assert convert(init_checkpoint=tmp_path / "one", to="huggingface", output_dir=tmp_path / "two")[0] == 0
    assert json.loads((tmp_path / "two/tokenizer_config.json").read_text())["do_lower_case"] is False
    found = convert(init_checkpoint=tmp_path / "one", to=to, output_dir=tmp_path / "three", do_lower_case="true")
    assert_refused(found, "keeps the case of its text", "leave the flag out")


@pytest.mark.parametrize(
    ("config", "head", "to", "note"),
    [
        (CONFIG, "none", "huggingface", "no vocabulary is known, so there is none for the tokenizer"),
        (CONFIG, "squad", "huggingface", "has no pooler; it is left out"),
        (BertConfig(11, 6, 2, 2, 8, "gelu_erf"), "none", "tf2", "official code has no exact GELU and will refuse"),
        (BertConfig(11, 6, 2, 2, 8, "swish"), "none", "tf1", "google-research/bert does not know `hidden_act` `swish`"),
    ],
)
def test_what_is_lost_or_missing_is_said(
    config: BertConfig, head: str, to: str, note: str, convert: Convert, tmp_path: Path
) -> None:
    """One line each for what other programs will not find."""
    source = model(tmp_path / "model", config, random_weights(config, head))
    code, _, err = convert(init_checkpoint=source, to=to, output_dir=tmp_path / "out")
    assert code == 0
    assert f"note: {note}" in err or f"note: the class of `transformers` for this head {note}" in err


def test_a_model_without_pooler_is_converted(convert: Convert, tmp_path: Path) -> None:
    """As it comes from models that answer questions; a note says so."""
    weights = {name: array for name, array in random_weights(CONFIG, "squad").items() if name not in names.POOLER}
    source = model(tmp_path / "model", CONFIG, weights)
    code, _, err = convert(init_checkpoint=source, to="tf2", output_dir=tmp_path / "out")
    assert code == 0
    assert "note: there is no pooler, so what is written has none" in err
    assert_same(read_initial(str(tmp_path / "out")).weights, weights)


@pytest.mark.parametrize("to", FORMATS)
def test_folders_may_be_remote(to: str, classifier: Path, convert: Convert, tmp_path: Path) -> None:
    """From one storage to another and back, vocabulary and metadata too."""
    remote = f"memory://{tmp_path.name}/{to}"
    assert convert(init_checkpoint=classifier, to=to, output_dir=remote)[0] == 0
    assert convert(init_checkpoint=remote, to="jaxbert", output_dir=tmp_path / "back")[0] == 0
    assert_same(read_initial(str(tmp_path / "back")).weights, read_initial(str(classifier)).weights)
    assert (tmp_path / "back/meta_data").read_text() == (classifier / "meta_data").read_text()


def _without(weights: Weights, name: str) -> Weights:
    return {other: array for other, array in weights.items() if other != name}


PRETRAINED, CLASSIFIER, SQUAD = (random_weights(CONFIG, head) for head in ("pretraining", "classifier", "squad"))


@pytest.mark.parametrize(
    ("weights", "to", "problem", "hint"),
    [
        (
            _without(CLASSIFIER, "output_bias"),
            "tf1",
            "is incomplete or does not fit the encoder: output_bias",
            "complete",
        ),
        (SQUAD | {"cls/squad/output_bias": np.zeros(3, np.float32)}, "tf2", "encoder: cls/squad/output_bias", ""),
        (_without(PRETRAINED, "bert/pooler/dense/bias"), "tf1", "bert/pooler/dense/bias", "belong together"),
        (CLASSIFIER | SQUAD, "tf2", "heads of a classifier and of SQuAD", "another format"),
        (
            CLASSIFIER | PRETRAINED,
            "huggingface",
            "several tasks (classification, masked LM, next sentence)",
            "another format",
        ),
    ],
)
def test_models_that_cannot_be_written_are_refused(
    weights: Weights, to: str, problem: str, hint: str, convert: Convert, tmp_path: Path
) -> None:
    """Incomplete heads, and heads that no model of another program has together: one message, no folder."""
    source = model(tmp_path / "model", CONFIG, weights)
    assert_refused(convert(init_checkpoint=source, to=to, output_dir=tmp_path / "out"), problem, hint)
    assert not (tmp_path / "out").exists()


def test_both_tensorflow_one_and_ours_take_any_heads(convert: Convert, tmp_path: Path) -> None:
    """Names do not collide there."""
    source = model(tmp_path / "model", CONFIG, CLASSIFIER | SQUAD | PRETRAINED)
    for to in ("tf1", "jaxbert"):
        assert convert(init_checkpoint=source, to=to, output_dir=tmp_path / to)[0] == 0
        assert_same(read_initial(str(tmp_path / to)).weights, CLASSIFIER | SQUAD | PRETRAINED)


@pytest.mark.parametrize(
    ("change", "problem", "hint"),
    [
        ({"num_attention_heads": 3}, "has 2 attention heads, bert_config.json says `num_attention_heads` 3", ""),
        ({"vocab_size": 12}, "does not fit the model", "vocab_size differs: file 11, bert_config.json 12"),
        ({"num_hidden_layers": 1}, "16 tensors of further layers", "num_hidden_layers differs"),
        ({"hidden_size": "wide"}, '`hidden_size` is `"wide"`', ""),
    ],
)
def test_a_configuration_of_another_model_is_refused(
    change: dict[str, object], problem: str, hint: str, classifier: Path, convert: Convert, tmp_path: Path
) -> None:
    """Sizes that do not fit the weights are named."""
    assert convert(init_checkpoint=classifier, to="tf2", output_dir=tmp_path / "tf2")[0] == 0
    (tmp_path / "other.json").write_text(json.dumps(json.loads(bert_config.to_json(CONFIG)) | change))
    given = {"init_checkpoint": tmp_path / "tf2", "bert_config_file": tmp_path / "other.json"}
    assert_refused(convert(**given, to="tf1", output_dir=tmp_path / "out"), problem, hint)


def test_bad_paths_are_refused(classifier: Path, convert: Convert, tmp_path: Path) -> None:
    """Nothing to read, no configuration, a vocabulary that is too large, a folder in use: each has its message."""
    output = tmp_path / "out"
    assert_refused(convert(init_checkpoint=tmp_path / "no", to="tf1", output_dir=output), "there is no model")
    (classifier / "vocab.txt").write_text(VOCAB + "green\n" * 9)
    assert_refused(
        convert(init_checkpoint=classifier, to="tf1", output_dir=output), "has 16 tokens", "vocabulary that belongs"
    )
    (classifier / "bert_config.json").unlink()
    found = convert(init_checkpoint=classifier, to="tf1", output_dir=output)
    assert_refused(found, "the sizes of the model", "--bert_config_file")
    found = convert(init_checkpoint=classifier, to="tf1", output_dir=classifier)
    assert_refused(found, "is not empty: it holds `meta_data`", "choose another folder")
    found = convert(init_checkpoint=classifier, to="tf1", output_dir=classifier / "meta_data")
    assert_refused(found, "meta_data` is a file", "choose another folder")
    assert not output.exists()


def test_a_failure_leaves_nothing(
    classifier: Path, convert: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When what was written does not read back the same, it is a failure of ours, and no folder stays."""
    written = export_model.write_bundle

    def damaged(prefix: str, tensors: Weights) -> None:
        written(prefix, tensors | {"output_bias": -tensors["output_bias"]})

    monkeypatch.setattr(export_model, "write_bundle", damaged)
    code, _, err = convert(init_checkpoint=classifier, to="tf1", output_dir=tmp_path / "out")
    assert code == 1
    assert "does not read back the same in ['output_bias']" in err
    assert not (tmp_path / "out").exists()


def test_official_models_are_converted(shared: Path, convert: Convert, tmp_path: Path) -> None:
    """What official code of any version wrote, hub modules too, arrives in every format with all its weights."""
    config = shared / "official/inputs/bert_config.json"
    kinds = ("tf1", "tf2", "hub", "runs")
    sources = [path for kind in kinds for path in sorted((shared / "official" / kind).iterdir()) if path.is_dir()]
    assert len(sources) > 10
    for source in sources:
        weights = read_initial(str(source)).weights
        for to in FORMATS:
            output = tmp_path / source.name / to
            code, _, err = convert(init_checkpoint=source, to=to, output_dir=output, bert_config_file=config)
            assert code == 0, err
            found = read_initial(str(output)).weights
            assert_same(found, kept_by_transformers(weights) if to == "huggingface" else weights)
