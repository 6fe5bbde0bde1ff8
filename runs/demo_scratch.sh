#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From nothing to a score: make small tasks, fine-tune on them from random weights, predict, compare with the answers.
#   make demo-scratch             or: runs/demo_scratch.sh FOLDER with jaxbert installed
# Expected: accuracy above 0.95 on the test set, where the majority class and counting words reach 0.50. Then the whole
# way from text: a vocabulary, a small BERT, and what that BERT knows beside one from random weights. A few minutes on
# two cores.
set -euo pipefail
folder=${1:?usage: runs/demo.sh FOLDER}

python "$(dirname "$0")/sample_data.py" "$folder"
jaxbert run_classifier --flagfile="$folder/flags.txt"
jaxbert run_classifier --flagfile="$folder/flags.txt" --mode=predict
python "$(dirname "$0")/demo_table.py" "$folder"

# Questions as of SQuAD 2.0 about the same animals: exact match above 95, where never to answer reaches 25.
questions="$folder/questions"
jaxbert run_squad --flagfile="$questions/flags.txt"
jaxbert run_squad --flagfile="$questions/flags.txt" --mode=predict --predict_file="$questions/test.json"
python "$(dirname "$0")/demo_questions.py" "$folder"

# From text to a BERT of one's own: its sentences to judge have words that no labelled sentence has.
reviews="$folder/reviews"
jaxbert train_vocab --input_file="$reviews/text.txt" --output_file="$reviews/vocab.txt" --vocab_size=512 --num_unused=0
jaxbert create_pretraining_data --input_file="$reviews/text.txt" --output_file="$reviews/train.tfrecord" \
    --vocab_file="$reviews/vocab.txt" --max_seq_length=64 --masking=dynamic --dupe_factor=1
jaxbert run_pretraining --flagfile="$reviews/pretrain.flags"
for start in random pretrained; do
    judge=(jaxbert run_classifier --flagfile="$reviews/judge.flags" --model_dir="$reviews/$start")
    if [ $start = pretrained ]; then judge+=(--init_checkpoint="$reviews/pretraining/pretrained"); fi
    "${judge[@]}"
    "${judge[@]}" --mode=predict
done
python "$(dirname "$0")/demo_pretraining.py" "$folder"
