# SPDX-License-Identifier: Apache-2.0
"""The peer of bench/pretraining_data.py: google-research's create_pretraining_data.py, from the folder in BERT_REPO."""

import importlib
import json
import os
import random
import sys
import time

from bench.side_by_side import serve


def main() -> None:
    """Answer requests for timed runs: its vocabulary, instances and record file."""
    settings = json.loads(sys.argv[1])
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow

    sys.modules["tensorflow"] = tensorflow.compat.v1  # it asks for the API of version 1
    sys.path.insert(0, os.environ["BERT_REPO"])
    script = importlib.import_module("create_pretraining_data")
    files = [
        f"--{name}_file={settings[key]}" for name, key in (("input", "text"), ("vocab", "vocab"), ("output", "output"))
    ]
    flags = script.FLAGS
    flags(["create_pretraining_data", *files, *settings["flags"]])

    def answer() -> dict[str, float]:
        start = time.process_time()
        tokenizer = script.tokenization.FullTokenizer(flags.vocab_file, flags.do_lower_case)
        length, predictions = flags.max_seq_length, flags.max_predictions_per_seq
        shape = (length, flags.dupe_factor, flags.short_seq_prob, flags.masked_lm_prob, predictions)
        rng = random.Random(flags.random_seed)
        instances = script.create_training_instances([flags.input_file], tokenizer, *shape, rng)
        script.write_instance_to_example_files(instances, tokenizer, length, predictions, [flags.output_file])
        return {"seconds": time.process_time() - start}

    serve(answer)


if __name__ == "__main__":
    main()
