# SPDX-License-Identifier: Apache-2.0
"""Hugging Face's names, configuration and folders, and ours."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open

from jaxbert.checkpoints import huggingface, names
from jaxbert.checkpoints.describe import tokenizer_of
from jaxbert.checkpoints.huggingface import stored_names, write_huggingface
from jaxbert.checkpoints.model_folder import write_model
from jaxbert.checkpoints.resolve import find_model, find_source
from jaxbert.checkpoints.tf_bundle import write_bundle
from jaxbert.checkpoints.tokenizer_files import as_library, rules_of_vocab, write_tokenizer
from jaxbert.config import bert_config
from jaxbert.config.bert_config import Activation, BertConfig
from jaxbert.errors import InputError
from jaxbert.export.model import convert_model, export_model
from jaxbert.model.encoder import encode
from jaxbert.model.heads import answer_spans, choose, classify, pool, pretrain
from jaxbert.model.weights import unflatten
from jaxbert.text.tokenizer import Rules
from jaxbert.text.vocab import read_vocab
from jaxbert.tfrecord.metadata import ClassificationMetaData
from tests.checkpoints.random_models import Weights, assert_same, random_weights, to_tf1


def test_every_weight_goes_there_and_back() -> None:
    """Names differ from one another on the other side, and come back with the same shape, bitwise identical."""
    random = np.random.default_rng(0)
    theirs = {}
    of_class = dict.fromkeys(names.TAGGER, "BertForTokenClassification")
    of_class |= dict.fromkeys(names.CHOICE, "BertForMultipleChoice")
    official = [name for name in names.weight_names(layers=24) if name not in of_class]
    for name in official:
        weight = random.normal(size=(3, 4) if name.endswith(("kernel", "embeddings")) else 3)
        there, stored = huggingface.to_huggingface(name, weight)
        theirs[there] = stored
        back = to_tf1(there, stored)
        assert back is not None
        assert back[0] == name
        np.testing.assert_array_equal(back[1], weight, strict=True)
    assert len(theirs) == len(official)
    for name, architecture in of_class.items():  # which only the class tells from a classifier
        there, _ = huggingface.to_huggingface(name, np.zeros(3))
        assert huggingface.tf1_name(there) in names.CLASSIFIER
        assert huggingface.tf1_name(there, architecture) == name


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("bert.embeddings.word_embeddings.weight", "bert/embeddings/word_embeddings"),
        ("embeddings.LayerNorm.gamma", "bert/embeddings/LayerNorm/gamma"),
        ("encoder.layer.11.attention.output.dense.weight", "bert/encoder/layer_11/attention/output/dense/kernel"),
        ("bert.encoder.layer.3.output.LayerNorm.bias", "bert/encoder/layer_3/output/LayerNorm/beta"),
        ("pooler.dense.bias", "bert/pooler/dense/bias"),
        ("cls.predictions.transform.LayerNorm.beta", "cls/predictions/transform/LayerNorm/beta"),
        ("cls.predictions.transform.dense.weight", "cls/predictions/transform/dense/kernel"),
        ("cls.predictions.bias", "cls/predictions/output_bias"),
        ("cls.seq_relationship.weight", "cls/seq_relationship/output_weights"),
        ("classifier.bias", "output_bias"),
        ("qa_outputs.weight", "cls/squad/output_weights"),
    ],
)
def test_names_of_transformers_are_known(theirs: str, ours: str) -> None:
    """Names as transformers writes them, with and without prefix, new and old."""
    assert huggingface.tf1_name(theirs) == ours


@pytest.mark.parametrize(
    "name",
    [
        "roberta.encoder.layer.0.output.dense.weight",
        "bert.encoder.layer.007.output.dense.weight",
        "bert.encoder.layer.0.output.dense.kernel",
        "bert.encoder.layer.0.crossattention.self.query.weight",
        "cls.predictions.decoder.weight",
        "embeddings.position_ids",
        "lstm.weight",
        "",
    ],
)
def test_other_names_are_not(name: str) -> None:
    """What is not a weight of BERT has no name with us."""
    assert huggingface.tf1_name(name) is None
    assert to_tf1(name, np.zeros((2, 2))) is None


def test_dense_kernels_are_transposed_and_heads_are_not() -> None:
    """A kernel [in, out] is stored [out, in]; TF1's dense heads are [C, H] on both sides."""
    kernel = np.arange(6.0).reshape(2, 3)
    name, stored = huggingface.to_huggingface("bert/encoder/layer_0/intermediate/dense/kernel", kernel)
    assert (name, stored.shape) == ("bert.encoder.layer.0.intermediate.dense.weight", (3, 2))
    assert huggingface.to_huggingface("output_weights", kernel)[1] is kernel


_KNOWN = [name for name in get_args(Activation) if not name.startswith("hard")]


@pytest.mark.parametrize("activation", _KNOWN)
def test_a_configuration_goes_there_and_back(activation: Activation) -> None:
    """Every size and constant, and every activation that transformers knows."""
    config = BertConfig(31, 12, 3, 4, 20, activation, 0.2, 0.3, 40, 3, 0.05, classifier_dropout=0.4)
    assert huggingface.from_huggingface_config(huggingface.to_huggingface_config(config, "BertModel")) == config


def test_missing_keys_have_the_defaults_of_transformers() -> None:
    """An empty file is bert-base-uncased with the exact GELU."""
    assert huggingface.from_huggingface_config({}) == BertConfig(30522, hidden_act="gelu_erf", type_vocab_size=2)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [("gelu", "gelu_erf"), ("gelu_new", "gelu"), ("gelu_pytorch_tanh", "gelu"), ("silu", "swish"), ("relu", "relu")],
)
def test_activations_keep_their_meaning(name: str, meaning: str) -> None:
    """Their `gelu` is the exact one, the others are the tanh form."""
    assert huggingface.from_huggingface_config({"hidden_act": name}).hidden_act == meaning


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"model_type": "roberta"}, "`model_type` is `roberta`: only `bert`"),
        ({"layer_norm_eps": 1e-5}, "`layer_norm_eps` is `1e-05`: only `1e-12`"),
        ({"position_embedding_type": "relative_key"}, "`position_embedding_type` is `relative_key`"),
        ({"is_decoder": True}, "`is_decoder` is `True`"),
        ({"hidden_act": "quick_gelu"}, "`hidden_act` is"),
        ({"hidden_size": "12"}, "`hidden_size` is"),
        ({"pruned_heads": {"0": [1, 2]}}, r'`pruned_heads` is `\{"0": \[1, 2\]\}`: attention heads were cut out'),
        (
            {"quantization_config": {"load_in_8bit": True}},
            "`quantization_config` is .*: weights are stored in few bits",
        ),
    ],
)
def test_other_networks_are_refused(content: dict[str, Any], problem: str) -> None:
    """A configuration that describes something else than BERT's encoder is named."""
    with pytest.raises(InputError, match=problem):
        huggingface.from_huggingface_config(content)


def test_an_activation_they_do_not_know_is_refused() -> None:
    """Nothing is written that transformers would compute in another way."""
    with pytest.raises(InputError, match="`hidden_act` is `hard_swish`"):
        huggingface.to_huggingface_config(BertConfig(5, hidden_act="hard_swish"), "BertModel")


@pytest.mark.parametrize(
    ("heads", "expected"),
    [
        ((), "BertModel"),
        (names.CLASSIFIER, "BertForSequenceClassification"),
        (names.SQUAD, "BertForQuestionAnswering"),
        ((names.MASKED_LM_BIAS,), "BertForMaskedLM"),
        (names.NEXT_SENTENCE, "BertForNextSentencePrediction"),
        ((names.MASKED_LM_BIAS, *names.NEXT_SENTENCE), "BertForPreTraining"),
    ],
)
def test_heads_name_the_class(heads: tuple[str, ...], expected: str) -> None:
    """The class of transformers is the one that has these heads."""
    assert huggingface.architecture_of([names.WORD_EMBEDDINGS, *heads]) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"id2label": {"1": "yes", "0": "no"}}, ("no", "yes")),
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, ("LABEL_0", "LABEL_1")),
        ({"id2label": {"0": 1, "1": 5}}, ("1", "5")),
        ({"id2label": None}, ("LABEL_0", "LABEL_1")),
        ({}, ("LABEL_0", "LABEL_1")),
    ],
)
def test_class_names_come_in_order(content: dict[str, Any], expected: tuple[str, ...]) -> None:
    """Names by number; where there are none, those that transformers invents."""
    assert huggingface.classification_task(content, 2, 9).class_names == expected


@pytest.mark.parametrize(
    "named", [{"0": "no", "2": "yes"}, ["no", "yes"], {"0": "no"}, {"0": "no", "1": 1.5}, {"0": "a", "1": "a"}]
)
def test_names_that_are_not_those_of_the_outputs_are_refused(named: object) -> None:
    """A class without a name of its own, or a name without an output, would be guessed."""
    with pytest.raises(InputError, match="id2label"):
        huggingface.classification_task({"id2label": named}, 2, 9)


@pytest.mark.parametrize(
    ("content", "outputs", "kind"),
    [
        ({}, 1, "a number"),
        ({"problem_type": "regression"}, 1, "a number"),
        ({"problem_type": "single_label_classification"}, 1, "one of the classes LABEL_0"),
        ({"problem_type": "multi_label_classification"}, 2, "several of the classes LABEL_0, LABEL_1"),
        ({}, 2, "one of the classes LABEL_0, LABEL_1"),
    ],
)
def test_the_kind_of_problem_is_decided_as_in_transformers(content: dict[str, Any], outputs: int, kind: str) -> None:
    """By `problem_type`, or else by the number of outputs."""
    assert huggingface.classification_task(content, outputs, 9).kind == kind


_CONFIG = BertConfig(30, 12, 3, 3, 16, max_position_embeddings=9, type_vocab_size=2)
_CLASSES = {
    "none": "BertModel",
    "classifier": "BertForSequenceClassification",
    "squad": "BertForQuestionAnswering",
    "choice": "BertForMultipleChoice",
    "masked LM": "BertForMaskedLM",
    "next sentence": "BertForNextSentencePrediction",
    "pretraining": "BertForPreTraining",
}


def _stored(weights: Weights) -> Weights:
    return {name: weights[name] for name in stored_names(weights)}


@pytest.mark.parametrize("head", _CLASSES)
def test_the_tensors_are_ours_under_their_names(head: str, tmp_path: Path) -> None:
    """Each weight once, nothing else, marked as PyTorch's; the encoder alone has no prefix."""
    weights = random_weights(_CONFIG, head)
    write_huggingface(str(tmp_path), weights, _CONFIG)
    with safe_open(str(tmp_path / "model.safetensors"), framework="numpy") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        assert file.metadata() == {"format": "pt"}
    assert all(name.startswith("bert.") for name in found if "embeddings" in name) == (head != "none")
    assert_same(dict(to_tf1(name, array, _CLASSES[head]) for name, array in found.items()), _stored(weights))
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [_CLASSES[head]]


@pytest.mark.parametrize("head", _CLASSES)
def test_only_classes_without_pooler_lose_it(head: str) -> None:
    """Those of transformers that answer questions or have the masked LM alone."""
    weights = random_weights(_CONFIG, head)
    assert weights.keys() - stored_names(weights) == (set(names.POOLER) if head in ("squad", "masked LM") else set())


@pytest.mark.parametrize(
    ("heads", "named"),
    [(("classifier", "squad"), "classification, SQuAD"), (("squad", "next sentence"), "SQuAD, next sentence")],
)
def test_heads_of_several_tasks_are_refused(heads: tuple[str, str], named: str, tmp_path: Path) -> None:
    """No class has them all, and none is dropped silently."""
    weights = random_weights(_CONFIG, heads[0]) | random_weights(_CONFIG, heads[1])
    with pytest.raises(InputError, match=rf"several tasks \({named}\)"):
        write_huggingface(str(tmp_path), weights, _CONFIG)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("labels", [("a", "b", "c"), ()])
def test_a_classifier_has_a_label_for_each_output(labels: tuple[str, ...], tmp_path: Path) -> None:
    """Their number is how transformers knows the size of the head; classes without names are called as it does."""
    task = ClassificationMetaData("", 0, 9, 3, label_list=labels) if labels else None
    write_huggingface(str(tmp_path), random_weights(_CONFIG, "classifier"), _CONFIG, task)
    found = json.loads((tmp_path / "config.json").read_text())["id2label"]
    assert tuple(found.values()) == (labels or ("LABEL_0", "LABEL_1", "LABEL_2"))


def test_what_one_output_is_goes_along(tmp_path: Path) -> None:
    """A number is said to be one, which pipelines else read as a probability; a folder's own words for it are kept."""
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
    for stated, expected in (
        (None, ({"0": "LABEL_0"}, "regression")),
        ({"id2label": {"0": "score"}, "problem_type": "regression"}, ({"0": "score"}, "regression")),
        ({"id2label": {"0": "score"}}, ({"0": "score"}, None)),
        ({"problem_type": "single_label_classification"}, ({"0": "LABEL_0"}, "single_label_classification")),
    ):
        start, end = tmp_path / "start", tmp_path / "end"
        start.mkdir()
        write_huggingface(str(start), random_weights(_CONFIG, "classifier", 1), _CONFIG)
        if stated is not None:
            content = json.loads((start / "config.json").read_text())
            content = {key: value for key, value in content.items() if key not in ("id2label", "problem_type")}
            (start / "config.json").write_text(json.dumps(content | stated))
        convert_model(str(start), "huggingface", str(end))
        found = json.loads((end / "config.json").read_text())
        assert (found["id2label"], found["problem_type"]) == expected
        assert find_source(str(end)).task == find_source(str(start)).task
        (end / "meta_data").write_text(ClassificationMetaData("", 0, 9, None, "float").to_json())
        assert find_source(str(end)).stated_outputs is None  # ours counts
        shutil.rmtree(start)
        shutil.rmtree(end)


@pytest.mark.parametrize("problem_type", [None, "regression"])
def test_a_score_stays_one_in_folders_of_ours(problem_type: str | None, tmp_path: Path) -> None:
    """One output that is not called a number is still known as a score, and the way back says no more."""
    (tmp_path / "theirs").mkdir()
    write_huggingface(str(tmp_path / "theirs"), random_weights(_CONFIG, "classifier", 1), _CONFIG)
    content = json.loads((tmp_path / "theirs/config.json").read_text()) | {"problem_type": problem_type}
    (tmp_path / "theirs/config.json").write_text(json.dumps(content))
    convert_model(str(tmp_path / "theirs"), "jaxbert", str(tmp_path / "ours"))
    task = find_source(str(tmp_path / "ours")).task
    assert isinstance(task, ClassificationMetaData)
    assert task.is_score == (problem_type is None)
    assert task == find_source(str(tmp_path / "theirs")).task
    convert_model(str(tmp_path / "ours"), "huggingface", str(tmp_path / "back"))
    assert json.loads((tmp_path / "back/config.json").read_text())["problem_type"] == problem_type
    assert not (tmp_path / "back/meta_data").exists()


@pytest.mark.parametrize("said", [{}, {"do_lower_case": True}])
def test_a_folder_that_says_little_is_split_as_by_transformers(said: dict[str, Any], tmp_path: Path) -> None:
    """Beside its weights a bare vocab.txt is BertTokenizer's, also once trained on; beside a Google model Google's."""
    start = tmp_path / "start"
    start.mkdir()
    write_huggingface(str(start), random_weights(_CONFIG, "classifier"), _CONFIG)
    (start / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\n")
    (start / "tokenizer_config.json").write_text(json.dumps(said))
    rules = as_library(Rules(True), read_vocab(f"{start}/vocab.txt"))
    assert (rules.max_chars_per_word, [token.content for token in rules.added][-1]) == (100, "[MASK]")
    for flag in (None, True):
        assert find_model(str(start), do_lower_case=flag).for_text().rules == rules
    assert rules_of_vocab(f"{start}/vocab.txt", None) == rules
    (start / "bert_config.json").write_text("{}")  # which its safetensors do not go by
    assert rules_of_vocab(f"{start}/vocab.txt", None) == rules
    (start / "bert_config.json").unlink()
    assert json.loads(find_model(str(start)).texts()["tokenizer_config.json"])["tokenizer_class"] == "BertTokenizer"
    tokenizer = tokenizer_of(str(start), None)
    assert tokenizer is not None
    assert tokenizer.tokens("A [MASK]") == ["a", "[MASK]"]
    convert_model(str(start), "jaxbert", str(tmp_path / "ours"))
    assert find_model(str(tmp_path / "ours")).rules == rules
    (start / "bert_config.json").write_text("{}")
    write_bundle(str(start / "bert_model.ckpt"), random_weights(_CONFIG, "classifier"))
    assert find_model(f"{start}/bert_model.ckpt", bert_config_file=f"{start}/config.json").for_text().rules == Rules()


@pytest.mark.parametrize(
    ("said", "longest"),
    [({"max_len": 5}, 5), ({"max_len": 5, "model_max_length": 7}, 7), ({"max_len": 5, "model_max_length": None}, 9)],
)
def test_the_longest_sequence_has_an_older_name(said: dict[str, Any], longest: int, tmp_path: Path) -> None:
    """Without `model_max_length` the key of transformers 2 counts, as in transformers 5.24."""
    write_huggingface(str(tmp_path), random_weights(_CONFIG, "classifier"), _CONFIG)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(said))
    assert find_source(str(tmp_path)).max_seq_length == longest


def test_weights_of_transformers_have_their_own_configuration(tmp_path: Path) -> None:
    """A bert_config.json of Google beside it, whose names mean other things, is of another file of weights."""
    write_huggingface(str(tmp_path), random_weights(_CONFIG, "classifier"), _CONFIG)
    google = dataclasses.replace(_CONFIG, hidden_act="relu")
    (tmp_path / "bert_config.json").write_text(bert_config.to_json(google))
    assert find_model(str(tmp_path)).config == _CONFIG
    write_model(str(tmp_path), random_weights(_CONFIG, "classifier"), {}, {})  # ours
    assert find_model(str(tmp_path)).config == google


def test_rules_of_a_tokenizer_go_along(tmp_path: Path) -> None:
    """Those that `BertTokenizer` does not know, too, into every format: text stays the same tokens."""
    start = tmp_path / "start"
    start.mkdir()
    write_huggingface(str(start), random_weights(_CONFIG, "classifier"), _CONFIG)
    (start / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\n")
    rules = Rules(
        False, 3, library=True, clean_text=False, added=as_library(Rules(), read_vocab(f"{start}/vocab.txt")).added
    )
    write_tokenizer(str(start), rules, 9)
    assert find_source(str(start)).rules == rules
    for to in ("huggingface", "jaxbert", "tf1", "tf2"):
        convert_model(str(start), to, str(tmp_path / to))
        assert find_model(str(tmp_path / to)).rules == rules
    export_model(str(start), "saved_model", str(tmp_path / "saved_model"))
    assert find_model(str(tmp_path / "saved_model")).rules == rules


def _rows() -> dict[str, np.ndarray]:
    """Three sequences of 9, 4 and 6 tokens, each in a row of its own."""
    random = np.random.default_rng(3)
    mask = np.arange(9)[None] < np.array([9, 4, 6])[:, None]
    return {
        "input_ids": random.integers(0, 30, (3, 9)).astype(np.int32),
        "type_ids": random.integers(0, 2, (3, 9)).astype(np.int32),
        "positions": np.tile(np.arange(9, dtype=np.int32), (3, 1)),
        "sequences": np.where(mask, np.arange(1, 4)[:, None], 0).astype(np.int32),
        "cls_positions": np.zeros((3, 1), np.int32),
        "masked_lm_positions": np.tile(np.arange(9, dtype=np.int32), (3, 1)),
    }


def _our_outputs(head: str, config: BertConfig, weights: Weights, rows: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """The outputs of our model under the names of transformers."""
    p = unflatten(weights)
    if head == "classifier":
        return {"logits": classify(p, config, rows)[:, 0]}
    if head == "squad":
        logits = answer_spans(p, config, rows)
        return {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}
    if head == "pretraining":
        words, sentences = pretrain(p, config, rows, next_sentence=True)
        return {"prediction_logits": words[..., :30], "seq_relationship_logits": sentences[:, 0]}
    h = encode(p["bert"], config, rows)
    return {"last_hidden_state": h, "pooler_output": pool(p["bert"]["pooler"], h[:, :1])[:, 0]}


@pytest.mark.interop
@pytest.mark.parametrize("head", _CLASSES)
def test_transformers_loads_everything(head: str, tmp_path: Path) -> None:
    """No key is missing, unexpected or of another shape."""
    transformers = pytest.importorskip("transformers")
    write_huggingface(str(tmp_path), random_weights(_CONFIG, head), _CONFIG)
    kind = getattr(transformers, _CLASSES[head])
    _, info = kind.from_pretrained(str(tmp_path), output_loading_info=True)
    assert {name: list(keys) for name, keys in info.items() if keys} == {}


@pytest.mark.interop
@pytest.mark.parametrize("activation", ["gelu", "gelu_erf", "relu", "swish"])
@pytest.mark.parametrize("head", ["none", "classifier", "squad", "pretraining"])
def test_transformers_computes_the_same(head: str, activation: Any, tmp_path: Path) -> None:
    """Its outputs are ours, on sequences of different lengths, up to rounding."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    config = dataclasses.replace(_CONFIG, hidden_act=activation)
    weights = {name: array / 4 for name, array in random_weights(config, head).items()}
    write_huggingface(str(tmp_path), weights, config)
    rows = _rows()
    ids, types, mask = (
        torch.tensor(array, dtype=torch.int64) for array in (rows["input_ids"], rows["type_ids"], rows["sequences"] > 0)
    )
    with torch.no_grad():
        theirs = getattr(transformers, _CLASSES[head]).from_pretrained(str(tmp_path))(ids, mask, types)
    for name, ours in _our_outputs(head, config, weights, jax.tree.map(jnp.asarray, rows)).items():
        real = rows["sequences"] > 0 if ours.shape[:2] == mask.shape else np.ones(len(ours), bool)
        np.testing.assert_allclose(np.asarray(ours)[real], theirs[name].numpy()[real], atol=1e-5)


@pytest.mark.interop
def test_transformers_chooses_the_same(tmp_path: Path) -> None:
    """Three choices of one question, of different lengths, have its logits, up to rounding."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    weights = {name: array / 4 for name, array in random_weights(_CONFIG, "choice").items()}
    write_huggingface(str(tmp_path), weights, _CONFIG)
    rows = _rows()
    arrays = (rows["input_ids"], rows["sequences"] > 0, rows["type_ids"])
    with torch.no_grad():
        theirs = transformers.BertForMultipleChoice.from_pretrained(str(tmp_path))(
            *(torch.tensor(array[None], dtype=torch.int64) for array in arrays)
        )
    ours = choose(unflatten(weights), _CONFIG, jax.tree.map(jnp.asarray, rows))[:, 0]
    np.testing.assert_allclose(ours, theirs.logits[0].numpy(), rtol=0, atol=1e-5)


@pytest.mark.interop
@pytest.mark.parametrize("lower_case", [True, False])
def test_transformers_tokenizes_as_its_file_says(lower_case: bool, tmp_path: Path) -> None:
    """The tokenizer is found from the folder, with the vocabulary's ids and the model's case."""
    transformers = pytest.importorskip("transformers")
    write_huggingface(str(tmp_path), random_weights(_CONFIG), _CONFIG)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nred\nRed\n##s\n")
    write_tokenizer(str(tmp_path), Rules(lower_case), 9)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    assert tokenizer("Reds red", "red")["input_ids"] == [2, 5 if lower_case else 6, 7, 5, 3, 5, 3]
    assert tokenizer.model_max_length == 9
