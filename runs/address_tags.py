# SPDX-License-Identifier: Apache-2.0
"""American addresses with a label for each word, as columns for `run_tagger`: the labelled data of `usaddress`.

    pip download --no-deps --no-binary :all: usaddress==0.5.16       (MIT)
    python runs/address_tags.py usaddress-0.5.16.tar.gz addresses
    jaxbert run_tagger --train_file=addresses/train.txt --eval_file=addresses/dev.txt --init_checkpoint=MODEL \\
        --model_dir=out

Words of one label after the other are one entity, in IOB2; every fifth address is for evaluation.
"""

import os
import sys
import tarfile
from collections.abc import Iterator
from xml.etree import ElementTree

DATA = "usaddress-0.5.16/training/labeled.xml"


def addresses(archive: str) -> Iterator[list[tuple[str, str]]]:
    """The words of each address with their tags."""
    with tarfile.open(archive) as sources:
        file = sources.extractfile(DATA)
        assert file is not None
        for address in ElementTree.parse(file).getroot():
            labelled = [(word, part.tag) for part in address for word in (part.text or "").split()]
            before = ["", *(label for _, label in labelled)]
            yield [
                (word, f"{'I' if label == last else 'B'}-{label}")
                for (word, label), last in zip(labelled, before, strict=False)
            ]


def main() -> None:
    """Write the columns."""
    archive, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    found = list(addresses(archive))
    for name, part in (
        ("train", [one for number, one in enumerate(found) if number % 5]),
        ("dev", found[::5]),
    ):
        with open(os.path.join(folder, f"{name}.txt"), "w", encoding="utf-8") as file:
            for address in part:
                file.writelines(f"{word} {tag}\n" for word, tag in address)
                file.write("\n")
        print(f"{name}: {len(part):,} addresses, {sum(map(len, part)):,} words")


if __name__ == "__main__":
    main()
