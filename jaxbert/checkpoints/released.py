# SPDX-License-Identifier: Apache-2.0
"""The released BERT models by name: sizes, casing, and where each can be downloaded.

Sources: the READMEs of google-research/bert and of official BERT in TensorFlow 2, and the cards of the hub modules.
The publishers gave no checksums. Hugging Face has nine of the models as safetensors, in the repositories
`google-bert/<name>`; each is fetched at one commit. The cased model with whole word masking, of which we know no commit
with safetensors, is not fetched, nor are the small models: their repositories hold pickles and checkpoints.
"""

import re
from dataclasses import dataclass

from jaxbert.config.bert_config import BertConfig

_TF1 = "https://storage.googleapis.com/bert_models"
_TF2 = "https://storage.googleapis.com/cloud-tpu-checkpoints/bert/keras_bert"
_SIZES = re.compile(r"L-(\d+)_H-(\d+)_A-(\d+)$")
LICENSE = "Apache-2.0"  # of everything Google released as BERT


@dataclass(frozen=True)
class Released:
    """One model.

    Attributes:
        folder: the folder in its archives; it ends in the sizes.
        vocab_size: tokens in its vocabulary.
        lower_case: whether its text is lower-cased.
        archives: its checkpoint, TensorFlow 2 first where both exist.
        module: its hub module below `https://tfhub.dev/`, without version; None where there is none.
        repository: at Hugging Face; None where it is not fetched.
        revision: the commit of that repository that is taken.
    """

    folder: str
    vocab_size: int
    lower_case: bool
    archives: tuple[str, ...]
    module: str | None
    repository: str | None = None
    revision: str | None = None

    @property
    def config(self) -> BertConfig:
        """The sizes; all constants are the defaults."""
        found = _SIZES.search(self.folder)
        assert found is not None
        layers, hidden, heads = map(int, found.groups())
        return BertConfig(self.vocab_size, hidden, layers, heads, 4 * hidden, type_vocab_size=2)


_LARGE = "L-24_H-1024_A-16"
_BASE = "L-12_H-768_A-12"
_WWM = "whole-word-masking"
# Name, folder, date of the TF1 archive, whether there is a TF2 archive, vocabulary, lower case, hub module.
_ROWS = (
    ("bert-base-uncased", f"uncased_{_BASE}", "2018_10_18", True, 30522, True, f"en_uncased_{_BASE}"),
    ("bert-large-uncased", f"uncased_{_LARGE}", "2018_10_18", True, 30522, True, f"en_uncased_{_LARGE}"),
    ("bert-base-cased", f"cased_{_BASE}", "2018_10_18", True, 28996, False, f"en_cased_{_BASE}"),
    ("bert-large-cased", f"cased_{_LARGE}", "2018_10_18", True, 28996, False, f"en_cased_{_LARGE}"),
    (
        f"bert-large-uncased-{_WWM}",
        f"wwm_uncased_{_LARGE}",
        "2019_05_30",
        True,
        30522,
        True,
        f"en_wwm_uncased_{_LARGE}",
    ),
    (f"bert-large-cased-{_WWM}", f"wwm_cased_{_LARGE}", "2019_05_30", True, 28996, False, f"en_wwm_cased_{_LARGE}"),
    ("bert-base-multilingual-cased", f"multi_cased_{_BASE}", "2018_11_23", True, 119547, False, f"multi_cased_{_BASE}"),
    ("bert-base-multilingual-uncased", f"multilingual_{_BASE}", "2018_11_03", False, 105879, True, None),
    ("bert-base-chinese", f"chinese_{_BASE}", "2018_11_03", False, 21128, True, f"zh_{_BASE}"),
)
_REVISIONS = {
    "bert-base-uncased": "86b5e0934494bd15c9632b12f734a8a67f723594",
    "bert-large-uncased": "6da4b6a26a1877e173fca3225479512db81a5e5b",
    "bert-base-cased": "cd5ef92a9fb2f889e972770a36d4ed042daf221e",
    "bert-large-cased": "06fa25dc1b6e034e91607fd67c247051ccaeff65",
    f"bert-large-uncased-{_WWM}": "8b35f05561d0d917087166b71d3c2c83a39104b1",
    "bert-base-multilingual-cased": "3f076fdb1ab68d5b2880cb87a0886f315b8146f8",
    "bert-base-multilingual-uncased": "7cbf9a625e29989f6b9c6c2fa68234c304f7e38f",
    "bert-base-chinese": "c30a6ed22ab4564dc1e3b2ecbf6e766b0611a33f",
}
_SMALL = [
    f"L-{layers}_H-{hidden}_A-{hidden // 64}" for layers in (2, 4, 6, 8, 10, 12) for hidden in (128, 256, 512, 768)
]


def _archives(folder: str, date: str, has_tf2: bool) -> tuple[str, ...]:
    return ((f"{_TF2}/{folder}.tar.gz",) if has_tf2 else ()) + (f"{_TF1}/{date}/{folder}.zip",)


RELEASED = {
    name: Released(
        folder,
        vocab_size,
        lower_case,
        _archives(folder, date, has_tf2),
        module and f"tensorflow/bert_{module}",
        f"google-bert/{name}" if name in _REVISIONS else None,
        _REVISIONS.get(name),
    )
    for name, folder, date, has_tf2, vocab_size, lower_case, module in _ROWS
} | {
    f"bert_uncased_{sizes}": Released(
        f"uncased_{sizes}",
        30522,
        True,
        _archives(f"uncased_{sizes}", "2020_02_20", has_tf2=False),
        f"tensorflow/small_bert/bert_en_uncased_{sizes}",
    )
    for sizes in _SMALL
}
