# SPDX-License-Identifier: Apache-2.0
"""Our side of bench/pretraining_data.py: all of `create_pretraining_data` in this process, vocabulary read anew."""

import contextlib
import io
import json
import sys
import time

from bench.side_by_side import serve
from jaxbert.commands.create_pretraining_data import run
from jaxbert.config.data import PretrainingDataFlags
from jaxbert.config.flags import parse
from jaxbert.datasets import pretraining_build


def main() -> None:
    """Answer requests for timed runs."""
    settings = json.loads(sys.argv[1])
    files = [f"--input_file={settings['text']}", f"--vocab_file={settings['vocab']}"]
    files.append(f"--output_file={settings['output']}.ours")
    options = parse(PretrainingDataFlags, [*files, "--num_workers=1", *settings["flags"]]).options

    def answer() -> dict[str, float]:
        pretraining_build._tokenizer.cache_clear()
        start = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            run(options)
        return {"seconds": time.process_time() - start}

    serve(answer)


if __name__ == "__main__":
    main()
