#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Does pretraining learn? A BERT of 4 layers on 4 MB of Wikipedia and some novels, measured on text it never saw; then
# the curve of its masked language model loss beside the entropy of single words, which needs no model.
#   runs/learning_curve.sh FOLDER 'WIKIPEDIA FILES' HELD_OUT_WIKIPEDIA_FILE 'NOVELS' HELD_OUT_NOVEL [STEPS]
# The files of Wikipedia as WikiExtractor writes them, the novels as plain text; globs, separated by commas. With 2000
# steps about 20 minutes on two cores. Run it again after an interruption and it goes on.
set -euo pipefail
folder=${1:?usage: runs/learning_curve.sh FOLDER WIKIPEDIA HELD_OUT_WIKIPEDIA NOVELS HELD_OUT_NOVEL [STEPS]}
wikipedia=$2 held_out_wikipedia=$3 novels=$4 held_out_novel=$5 steps=${6:-2000}
length=128
mkdir -p "$folder"

vocab="$folder/vocab.txt"
test -e "$vocab" || jaxbert train_vocab --input_file="$wikipedia,$novels" --output_file="$vocab" --vocab_size=8192 \
    --num_unused=0
cat > "$folder/bert_config.json" <<JSON
{"vocab_size": $(wc -l < "$vocab"), "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
 "intermediate_size": 512, "max_position_embeddings": $length, "type_vocab_size": 2}
JSON

records() {  # name, form, files, masking
    test -e "$folder/$1.tfrecord" || jaxbert create_pretraining_data --input_file="$3" --input_format="$2" \
        --vocab_file="$vocab" --output_file="$folder/$1.tfrecord" --max_seq_length=$length --masking=dynamic \
        --dupe_factor=1 --short_seq_prob=0
}
records train-wikipedia wikiextractor "$wikipedia"
records train-novels documents "$novels"
records eval-wikipedia wikiextractor "$held_out_wikipedia"
records eval-novel documents "$held_out_novel"

jaxbert run_pretraining --input_files="$folder/train-*.tfrecord" --eval_files="$folder/eval-*.tfrecord" \
    --vocab_file="$vocab" --bert_config_file="$folder/bert_config.json" --model_dir="$folder/model" \
    --nouse_next_sentence_label --train_batch_size=32 --eval_batch_size=64 --learning_rate=1e-3 \
    --warmup_proportion=0.1 --num_steps_per_epoch=$((steps / 10)) --num_train_epochs=10 --log_steps=50
python "$(dirname "$0")/learning_curve.py" "$folder"
