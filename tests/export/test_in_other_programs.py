# SPDX-License-Identifier: Apache-2.0
"""Exports of the size of MiniLM in OpenVINO, LiteRT, tf2onnx and onnxruntime's tools: they compute what we do.

Their weights and tokens are random; where `JAXBERT_MINILM` names a folder with all-MiniLM-L6-v2 as on Hugging Face they
are its weights, and sentences of STS-B. Each test prints the largest difference.
"""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from jaxbert.checkpoints.load import read_initial
from jaxbert.checkpoints.resolve import find_model
from jaxbert.config.bert_config import BertConfig
from jaxbert.export import onnx_tuning
from jaxbert.export.network import IDS, MASK, POSITIONS, TYPES, Exported, choose_weights
from jaxbert.export.onnx import INPUTS, MODEL_FILE, write_onnx
from jaxbert.export.saved_model import write_saved_model
from jaxbert.text.tokenizer import Tokenizer
from tests.checkpoints.random_models import random_weights
from tests.export.tiny_exports import our_results

# Other programs warn of their own future.
pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("ignore")]

CONFIG = BertConfig(30522, 384, 6, 12, 1536, "gelu_erf", max_position_embeddings=512, type_vocab_size=2)
REAL = os.environ.get("JAXBERT_MINILM")
TEXTS = 64
MOST = 2e-5  # of difference from rounding, in numbers up to 6
Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Sized:
    """A model in two formats, inputs (int32 [B, S] by their official names), and our last layer [B, S, H] for them."""

    model: Exported
    saved_model: Path
    onnx: Path
    inputs: Arrays
    expected: np.ndarray

    def onnx_inputs(self) -> dict[str, np.ndarray]:
        """The inputs as ONNX files take them."""
        return {name: self.inputs[ours].astype(np.int64) for ours, name in INPUTS.items()}

    def difference(self, found: np.ndarray) -> float:
        """The largest one in the vector of a token."""
        return float(np.abs(found - self.expected)[self.inputs[MASK] > 0].max())

    def cosines(self, found: np.ndarray) -> np.ndarray:
        """[B], between the means of the vectors of each text, which sentence-transformers compares."""
        mask = self.inputs[MASK][..., None]
        one, other = ((x * mask).sum(1) / mask.sum(1) for x in (found, self.expected))
        return (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Sized:
    """The real model, or a random one."""
    if REAL:
        model, texts = _real(REAL, request.getfixturevalue("shared") / "data" / "glue" / "STS-B" / "dev.tsv")
    else:
        model, texts = _random()
    folder = tmp_path_factory.mktemp("exports")
    write_onnx(str(folder / "onnx"), model)
    write_saved_model(str(folder / "saved_model"), model)
    S = max(map(len, texts))
    mask = np.arange(S) < np.array([[len(text)] for text in texts])
    inputs = {
        IDS: np.array([text + [0] * (S - len(text)) for text in texts], np.int32),
        MASK: mask.astype(np.int32),
        TYPES: np.zeros(mask.shape, np.int32),
    }
    positions = np.broadcast_to(np.arange(S, dtype=np.int32), mask.shape)
    expected = our_results(model, inputs | {POSITIONS: positions})["sequence_output"]
    return Sized(model, folder / "saved_model", folder / "onnx" / MODEL_FILE, inputs, expected)


def _real(folder: str, sentences: Path) -> tuple[Exported, list[list[int]]]:
    found = find_model(folder).for_text()
    assert found.rules
    tokenizer = Tokenizer(found.vocab, found.rules)
    lines = sentences.read_text(encoding="utf-8").split("\n")[1:-1]
    texts = [tokenizer.ids(line.split("\t")[7]) for line in lines[:: len(lines) // TEXTS][:TEXTS]]
    weights = choose_weights(read_initial(folder).weights, "encoder", found.config.num_hidden_layers)
    return (
        Exported("encoder", found.config, weights, None, None),
        [[found.vocab.cls, *text, found.vocab.sep] for text in texts],
    )


def _random() -> tuple[Exported, list[list[int]]]:
    random = np.random.default_rng(0)
    weights = {
        name: np.float32("gamma" in name) + np.float32(0.05) * weight for name, weight in random_weights(CONFIG).items()
    }
    texts = [random.integers(0, CONFIG.vocab_size, length).tolist() for length in random.integers(3, 40, TEXTS)]
    return Exported("encoder", CONFIG, choose_weights(weights, "encoder", CONFIG.num_hidden_layers), None, None), texts


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints a line that is seen in any case."""

    def tell(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text} ({'MiniLM' if REAL else 'random weights'})")

    return tell


@pytest.mark.parametrize("to", ["saved_model", "onnx"])
def test_openvino(to: str, sized: Sized, tell: Callable[[str], None]) -> None:
    """Both files are read, for any number of rows and positions, and give our results in float32."""
    openvino = pytest.importorskip("openvino")
    path, inputs = (sized.saved_model, sized.inputs) if to == "saved_model" else (sized.onnx, sized.onnx_inputs())
    model = openvino.convert_model(path)
    assert all(size.is_dynamic for value in model.inputs for size in value.partial_shape)
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(dict(inputs))
    (last,) = (values for values in found.to_tuple() if values.ndim == 3)
    tell(f"OpenVINO, {to}: largest difference {sized.difference(last):.1e}")
    assert sized.difference(last) < MOST


def test_litert(sized: Sized, tell: Callable[[str], None]) -> None:
    """TensorFlow's converter makes a file of LiteRT's own operations alone, exact GELU among them."""
    tensorflow = pytest.importorskip("tensorflow")
    interpreters = pytest.importorskip("ai_edge_litert.interpreter")
    content = tensorflow.lite.TFLiteConverter.from_saved_model(str(sized.saved_model)).convert()
    interpreter = interpreters.Interpreter(model_content=content)
    assert sum(operation["op_name"] == "GELU" for operation in interpreter._get_ops_details()) == 6
    found = interpreter.get_signature_runner("serving_default")(**sized.inputs)["sequence_output"]
    tell(f"LiteRT: largest difference {sized.difference(found):.1e}")
    assert sized.difference(found) < MOST


def test_tf2onnx(sized: Sized, tell: Callable[[str], None], tmp_path: Path) -> None:
    """It makes an ONNX file of our SavedModel, which computes the same."""
    pytest.importorskip("tf2onnx")
    pytest.importorskip("tensorflow")
    to = tmp_path / MODEL_FILE
    arguments = ["--saved-model", str(sized.saved_model), "--output", str(to), "--opset", "17"]
    done = subprocess.run([sys.executable, "-m", "tf2onnx.convert", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = onnxruntime.InferenceSession(to).run(["sequence_output"], dict(sized.inputs))[0]
    tell(f"tf2onnx: largest difference {sized.difference(found):.1e}")
    assert sized.difference(found) < MOST


@pytest.mark.parametrize("level", [None, 0])
def test_the_optimizer_of_onnxruntime(level: int | None, sized: Sized, tell: Callable[[str], None]) -> None:
    """As users call it, and without the basic optimizations before it: all is fused, results are equal."""
    pytest.importorskip("torch")  # it asks for it
    from onnxruntime.transformers import optimizer

    optimized = optimizer.optimize_model(str(sized.onnx), model_type="bert", opt_level=level)
    assert optimized.is_fully_optimized()
    fused = {name: count for name, count in optimized.get_fused_operator_statistics().items() if count}
    assert fused == {"EmbedLayerNormalization": 1, "Attention": 6, "BiasGelu": 6, "SkipLayerNormalization": 12}
    session = onnxruntime.InferenceSession(optimized.model.SerializeToString())
    found = session.run(["last_hidden_state"], sized.onnx_inputs())[0]
    tell(f"onnxruntime's optimizer, level {level}: {fused}, largest difference {sized.difference(found):.1e}")
    assert sized.difference(found) < MOST


@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
def test_as_much_is_fused_as_of_pytorch(activation: str, tmp_path: Path) -> None:
    """The counts of fused operations are those of a file that PyTorch writes of the same model."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from onnxruntime.transformers import optimizer

    sizes = {"vocab_size": 50, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4}
    sizes |= {"intermediate_size": 48, "max_position_embeddings": 19, "type_vocab_size": 2}
    config = transformers.BertConfig(**sizes, hidden_act=activation, attn_implementation="eager")

    class Plain(torch.nn.Module):  # type: ignore[misc, name-defined]
        """BERT with tensors in their usual order, which the exporter wants."""

        def __init__(self) -> None:
            super().__init__()
            self.bert = transformers.BertModel(config)

        def forward(self, *tensors: object) -> tuple[object, ...]:
            names = ("input_ids", "attention_mask", "token_type_ids")
            return tuple(self.bert(**dict(zip(names, tensors, strict=True)), return_dict=False))

    theirs, ids = tmp_path / "theirs.onnx", torch.ones((2, 9), dtype=torch.long)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    axes = {name: {0: "batch", 1: "sequence"} for name in names}
    inputs = {"input_names": names, "dynamic_axes": axes}
    torch.onnx.export(Plain().eval(), (ids, ids, ids), theirs, **inputs, opset_version=17, dynamo=False)
    ours = BertConfig(**sizes, hidden_act="gelu_erf" if activation == "gelu" else "gelu")
    write_onnx(str(tmp_path), Exported("encoder", ours, choose_weights(random_weights(ours), "encoder", 3), None, None))
    found, expected = (
        optimizer.optimize_model(str(path), model_type="bert", num_heads=4, hidden_size=24)
        for path in (tmp_path / MODEL_FILE, theirs)
    )
    assert expected.get_fused_operator_statistics()["Attention"] == 3
    assert found.get_fused_operator_statistics() == expected.get_fused_operator_statistics()


@pytest.mark.parametrize("first", [None, onnx_tuning.optimize])
def test_8_bits(first: Callable[..., None] | None, sized: Sized, tell: Callable[[str], None], tmp_path: Path) -> None:
    """Vectors of texts keep their directions, in batches of 8 and alone, and the file takes a quarter of the bytes."""
    path = tmp_path / MODEL_FILE
    path.write_bytes(sized.onnx.read_bytes())
    if first is not None:
        first(str(path), sized.model.config)
    onnx_tuning.quantize(str(path), sized.model.config)
    session, inputs = onnxruntime.InferenceSession(path), sized.onnx_inputs()
    for rows in (1, 8):
        batches = [{name: x[start : start + rows] for name, x in inputs.items()} for start in range(0, TEXTS, rows)]
        found = np.concatenate([session.run(["last_hidden_state"], batch)[0] for batch in batches])
        cosine, difference = sized.cosines(found).min(), sized.difference(found)
        tuned = "optimized, " if first else ""
        tell(f"int8, {tuned}{rows} texts at once: smallest cosine {cosine:.4f}, largest difference {difference:.2f}")
        assert cosine > 0.98
    assert path.stat().st_size < 0.26 * sized.onnx.stat().st_size
