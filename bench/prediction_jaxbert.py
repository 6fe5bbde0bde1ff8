# SPDX-License-Identifier: Apache-2.0
"""Our side of bench/prediction.py."""

import json
import sys
import time
from typing import Any

import jaxbert
from bench.prediction import texts
from bench.side_by_side import serve


def main() -> None:
    """Answer requests for the classes of all texts."""
    settings = json.loads(sys.argv[1])
    model = jaxbert.load(settings["model"], dtype=settings["dtype"])
    asked = texts(settings["table"], settings["text_a"], settings["text_b"])

    def answer(batch: int) -> dict[str, Any]:
        start = time.perf_counter()
        found: Any = model.predict(asked)
        return {"seconds": time.perf_counter() - start, "labels": [one.label for one in found]}

    serve(answer)


if __name__ == "__main__":
    main()
