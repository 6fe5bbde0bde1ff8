#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Does run_squad learn to answer? A BERT of 4 layers of 128 that learnt from questions made of plain text, before and
# after fine-tuning on real questions in the layout of SQuAD 1.1, the last tenth of whose articles is held out; beside it
# two answers that need no model.
#   runs/learn_squad.sh FOLDER 'WIKIPEDIA FILES' 'NOVELS' QUESTIONS
# The files of Wikipedia as WikiExtractor writes them, the novels as plain text; globs, separated by commas. QUESTIONS for
# example train-new_wiki-v1.0.json of SQuADShifts. On two cores with AMX an hour, 15 minutes of it for fine-tuning. Run it
# again after an interruption and it goes on.
set -euo pipefail
folder=${1:?usage: runs/learn_squad.sh FOLDER WIKIPEDIA NOVELS QUESTIONS}
wikipedia=$2 novels=$3 questions=$4
here=$(dirname "$0")
mkdir -p "$folder"

vocab="$folder/vocab.txt"
test -e "$vocab" || jaxbert train_vocab --input_file="$wikipedia,$novels" --output_file="$vocab" --vocab_size=8192 \
    --num_unused=0
# Weights start near 1/sqrt(H); no dropout, since so few weights do not overfit.
cat > "$folder/bert_config.json" <<JSON
{"vocab_size": $(wc -l < "$vocab"), "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
 "intermediate_size": 512, "max_position_embeddings": 256, "type_vocab_size": 2, "initializer_range": 0.09,
 "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
JSON
python "$here/questions_from_text.py" "$folder" "$wikipedia" "$novels"
python "$here/learn_squad.py" split "$questions" "$folder"

train() {  # name, mode, file, flags
    jaxbert run_squad --model_dir="$folder/$1" --mode="$2" --train_file="$folder/$3.json" --vocab_file="$vocab" \
        --warmup_proportion=0.05 --log_steps=50 "${@:4}"
}
long=(--max_seq_length=224 --doc_stride=96 --max_query_length=40)
fine_tune() {  # name, epochs, learning rate
    train "$1" train_and_predict train --init_checkpoint="$folder/long/last" --predict_file="$folder/held_out.json" \
        --num_train_epochs="$2" --learning_rate="$3" --train_batch_size=32 --predict_batch_size=32 "${long[@]}"
}
train short train short --bert_config_file="$folder/bert_config.json" --num_train_epochs=2 --learning_rate=1e-3 \
    --train_batch_size=16 --max_seq_length=96 --doc_stride=32 --max_query_length=28
train long train long --init_checkpoint="$folder/short/last" --num_train_epochs=1 --learning_rate=6e-4 \
    --train_batch_size=16 "${long[@]}"
fine_tune untrained 0.01 1e-12  # a few steps that change nothing
fine_tune fine-tuned 4 4e-4
python "$here/learn_squad.py" table "$folder"
