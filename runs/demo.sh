#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From nothing to a score: make small tasks, fine-tune on them from random weights, predict, compare with the answers.
#   make demo                     or: runs/demo.sh FOLDER with jaxbert installed
# Expected: accuracy above 0.95 on the test set, where the majority class and counting words reach 0.50; about a
# minute on two cores.
set -euo pipefail
folder=${1:?usage: runs/demo.sh FOLDER}

jaxbert create_sample_data --output_dir="$folder"
jaxbert run_classifier --flagfile="$folder/flags.txt"
jaxbert run_classifier --flagfile="$folder/flags.txt" --mode=predict
python "$(dirname "$0")/demo_table.py" "$folder"

# Questions as of SQuAD 2.0 about the same animals: exact match above 95, where never to answer reaches 25.
questions="$folder/questions"
jaxbert run_squad --flagfile="$questions/flags.txt"
jaxbert run_squad --flagfile="$questions/flags.txt" --mode=predict --predict_file="$questions/test.json"
python "$(dirname "$0")/demo_questions.py" "$folder"
