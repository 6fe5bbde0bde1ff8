#!/usr/bin/env bash
# Versions: transformers 5.24.0, torch 2.13.0 (CPU), accelerate 1.15.0.
# Behaviour: a Trainer whose training batches are grouped by length groups those of predict() too, though the setting
#   is called train_sampling_strategy. The predictions come back in the order of the groups, not of the dataset,
#   and so do the labels that are returned beside them: scores of the Trainer's own are right, but predictions that are
#   written line by line, or compared with the labels of the dataset, belong to other examples. dataloader_drop_last
#   holds for predict() as well: what does not fill a batch is left out, without a word.
# Output seen: 10 examples whose only label is their number, in batches of 4, come back in another order with
#   group_by_length, in their own with sequential; with dataloader_drop_last 8 of them come back.
# Way round: a second Trainer with other arguments for predictions.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.13.0 transformers==5.24.0 accelerate==1.15.0
cat > "$folder/predict.py" <<'PYTHON'
import sys

from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, default_data_collator

config = BertConfig(
    vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=10
)
examples = [{"input_ids": [1] * 8, "attention_mask": [1] * n + [0] * (8 - n), "labels": n - 1} for n in range(1, 9)]
examples += [{"input_ids": [1] * 8, "attention_mask": [1] * 8, "labels": n} for n in (8, 9)]
arguments = TrainingArguments(
    sys.argv[1],
    per_device_eval_batch_size=4,
    train_sampling_strategy=sys.argv[2],
    dataloader_drop_last=sys.argv[3] == "drop",
    report_to="none",
    disable_tqdm=True,
    use_cpu=True,
)
trainer = Trainer(BertForSequenceClassification(config), arguments, default_data_collator)
print(*trainer.predict(examples).label_ids.tolist())
PYTHON
labels() { "$folder/venv/bin/python" "$folder/predict.py" "$folder/out" "$@" 2> /dev/null | tail -1; }
sequential=$(labels sequential keep)
grouped=$(labels group_by_length keep)
dropped=$(labels sequential drop)
printf 'sequential: %s\ngroup_by_length: %s\ndataloader_drop_last: %s\n' "$sequential" "$grouped" "$dropped"
[ "$sequential" = "0 1 2 3 4 5 6 7 8 9" ]
[ "$grouped" != "$sequential" ]
[ "$(tr ' ' '\n' <<< "$grouped" | sort -n | tr '\n' ' ')" = "0 1 2 3 4 5 6 7 8 9 " ]
[ "$dropped" = "0 1 2 3 4 5 6 7" ]
