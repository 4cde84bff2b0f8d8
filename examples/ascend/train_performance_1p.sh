#!/usr/bin/env bash
# Trains on one NPU for a few steps, to see how fast it is: train_performance_1p.sh cascade, or --help.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
train performance 1 "$@"
