#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Does fine-tuning on questions learn? Real questions in the layout of SQuAD 1.1, the last tenth of its articles held out;
# a small pretrained BERT before and after fine-tuning, the same sizes from random weights, and two simple ways to answer.
#   runs/learn_squad.sh FOLDER PRETRAINED QUESTIONS [EPOCHS]
# PRETRAINED is a model folder with its vocabulary, such as runs/learning_curve.sh leaves in FOLDER/model/pretrained;
# QUESTIONS for example train-new_wiki-v1.0.json of SQuADShifts. With 2 epochs and 4 layers of 256 about 20 minutes on two
# cores. Run it again after an interruption and it goes on.
set -euo pipefail
folder=${1:?usage: runs/learn_squad.sh FOLDER PRETRAINED QUESTIONS [EPOCHS]}
pretrained=$2 questions=$3 epochs=${4:-2}
here=$(dirname "$0")
mkdir -p "$folder"

python "$here/learn_squad.py" split "$questions" "$folder"
fine_tune() {  # name, epochs, learning rate, flags
    jaxbert run_squad --model_dir="$folder/$1" --num_train_epochs="$2" --learning_rate="$3" "${@:4}" \
        --train_file="$folder/train.json" --predict_file="$folder/held_out.json" --max_seq_length=128 --doc_stride=64 \
        --train_batch_size=32 --predict_batch_size=64 --vocab_file="$pretrained/vocab.txt"
}
fine_tune untrained 0.01 1e-12 --init_checkpoint="$pretrained"  # a few steps that change nothing
fine_tune random "$epochs" 3e-4 --bert_config_file="$pretrained/bert_config.json"
fine_tune pretrained "$epochs" 3e-4 --init_checkpoint="$pretrained"
python "$here/learn_squad.py" table "$folder"
