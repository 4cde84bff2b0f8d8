#!/usr/bin/env bash
# Trains on eight NPUs of one machine, one process on each: train_8p.sh cascade, or --help.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
train full 8 "$@"
