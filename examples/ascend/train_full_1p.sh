#!/usr/bin/env bash
# Trains on one NPU as long as the trainer of the family does by default: train_full_1p.sh cascade, or --help.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
train full 1 "$@"
