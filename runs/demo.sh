#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A pretrained model learns to judge film reviews: real weights, real sentences, a few minutes on two cores.
#   make demo                     or: runs/demo.sh FOLDER ["a sentence of yours"] with jaxbert installed
# Expected: accuracy above 0.80 on reviews that it has not seen; always saying one class gives about 0.5, and counting
# the words of a lexicon less than 0.7. Without the network: runs/demo_scratch.sh, which makes all that it needs.
set -euo pipefail
folder=${1:?usage: runs/demo.sh FOLDER [SENTENCE]}
sentence=${2:-The plot is thin, but I laughed from the first minute to the last.}
here=$(dirname "$0")

code=0
python "$here/film_reviews.py" "$folder" || code=$?
if [ $code = 3 ]; then
    echo "without the network the demo uses made-up tasks and learns from nothing (make demo-scratch)"
    exec "$here/demo_scratch.sh" "$folder/scratch"
elif [ $code != 0 ]; then
    exit $code
fi

films=(jaxbert run_classifier --test_file="$folder/test.csv" --text_a_column=text --model_dir="$folder/model")
"${films[@]}" --train_file="$folder/train.csv" --eval_file="$folder/dev.csv" --label_column=label \
    --init_checkpoint="$folder/minilm" --num_train_epochs=1
"${films[@]}" --mode=predict
python "$here/demo_films.py" "$folder"
for format in saved_model onnx; do
    test -e "$folder/$format" ||
        jaxbert export --format=$format --init_checkpoint="$folder/model/best" --output_dir="$folder/$format"
done
jaxbert predict --model="$folder/model" "$sentence"
echo "ask it on a page of its own, and over HTTP: pip install '.[serve]'; jaxbert serve --model=$folder/model"
