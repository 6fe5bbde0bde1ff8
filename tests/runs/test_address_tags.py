# SPDX-License-Identifier: Apache-2.0
"""The labelled addresses become columns that `run_tagger` reads."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "runs" / "address_tags.py"
XML = "<AddressCollection>" + 6 * (
    "<AddressString><AddressNumber>8128</AddressNumber> <StreetName>King</StreetName> <StreetName>Jr</StreetName>"
    " <ZipCode>1</ZipCode> <ZipCode/></AddressString>"
) + "</AddressCollection>"  # fmt: skip


def test_words_of_one_label_are_one_entity(tmp_path: Path) -> None:
    """In IOB2, a word a line; every fifth address is for evaluation."""
    archive = tmp_path / "usaddress-0.5.16.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        info = tarfile.TarInfo("usaddress-0.5.16/training/labeled.xml")
        info.size = len(XML)
        file.addfile(info, io.BytesIO(XML.encode()))
    subprocess.run([sys.executable, SCRIPT, archive, tmp_path / "out"], check=True, capture_output=True)
    address = "8128 B-AddressNumber\nKing B-StreetName\nJr I-StreetName\n1 B-ZipCode\n\n"
    assert (tmp_path / "out/train.txt").read_text() == 4 * address
    assert (tmp_path / "out/dev.txt").read_text() == 2 * address
