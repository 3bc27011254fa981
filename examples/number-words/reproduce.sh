#!/usr/bin/env bash
# Everything from nothing: environment, data, training, scores.
# Usage: bash reproduce.sh        (about 30 minutes on two idle cores)
# The new adapter goes to .work/adapter, beside the committed one, and both are scored.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
bash setup.sh
.venv/bin/python make_data.py
.venv/bin/python train.py --out .work/adapter
.venv/bin/python evaluate.py --adapter adapter --adapter .work/adapter --shots 3 --json .work/results.json
