# What the entry points share: options as users of Ascend's ModelZoo know them, for the trainer of a family, and its result lines.
# An option stands once, in `options`: what --help lists is what is read and passed on.

families="cascade dynamic voxelmorph unet"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# name | flag of the trainer | what it is
options=(
  "data_path|--data|images, volumes or series to train with (default: the trainer makes its own)"
  "output_path|--output|folder for weights, logs and figures (default: outputs/FAMILY, or the next free name)"
  "precision_mode|--precision-mode|allow_mix_precision (default), allow_fp32_to_fp16, force_fp16 or must_keep_origin_dtype"
  "loss_scale|--loss-scale|a number, or dynamic (default: none)"
  "batch_size|--batch-size|of a step on one NPU (default: that of the trainer)"
  "train_epochs|--epochs|passes over the data (default: that of the trainer; performance: 2)"
)
one_rank="device_id|--device-id|number of the NPU (default: ASCEND_DEVICE_ID, or 0)"
many_ranks=(
  "rank_table|--rank-table|JSON file of HCCL that names the NPUs of this machine; see zoo.npu.write_rank_table"
  "ranks|--ranks|how many NPUs the rank table names (default: 8)"
)

refuse() {
  echo "$name: $1" >&2
  exit 2
}

usage() {
  echo "Usage: $name FAMILY [--OPTION=VALUE ...] [-- FLAGS]    or    $name --family=FAMILY ..."
  echo
  echo "FAMILY is one of $families. What stands after -- goes to examples/train_FAMILY.py as it is."
  echo "PYTHON names the interpreter (default: python3): 3.7 with TensorFlow 1.15. Without npu_bridge it trains on the CPU."
  echo
  local entry option flag text
  for entry in "${options[@]}"; do
    IFS="|" read -r option flag text <<<"$entry"
    printf '  --%-16s %s\n' "$option=" "$text"
  done
}

# The flag of the trainer for an option; nothing for one that is unknown.
flag_of() {
  local entry option flag text
  for entry in "${options[@]}"; do
    IFS="|" read -r option flag text <<<"$entry"
    if [ "$option" = "$1" ]; then echo "$flag"; fi
  done
}

known() {
  local entry
  for entry in "${options[@]}"; do printf -- '--%s= ' "${entry%%|*}"; done
  echo "--family= --help"
}

# train KIND RANKS ARGUMENTS...: KIND is full or performance, RANKS 1 or more.
train() {
  local kind=$1 ranks=$2 family="" option flag status=0
  shift 2
  name=$(basename "$0")
  local -A chosen=([--precision-mode]=allow_mix_precision)
  if [ "$ranks" = 1 ]; then options+=("$one_rank"); else options+=("${many_ranks[@]}"); chosen[--ranks]=$ranks; fi
  local arguments=()
  while [ $# -gt 0 ]; do
    case $1 in
      --help | -h) usage && exit 0 ;;
      --) shift && break ;;
      --family=*) family=${1#*=} ;;
      --*=*)
        option=${1%%=*}
        flag=$(flag_of "${option#--}")
        [ -n "$flag" ] || refuse "an option must be one of its own. Received: $1. Try $(known)"
        [ -n "${1#*=}" ] || refuse "an option must have a value. Received: $1. Try $1VALUE, or leaving it out"
        chosen[$flag]=${1#*=}
        ;;
      -*) refuse "an option must be one of its own, with = and a value. Received: $1. Try $(known)" ;;
      *)
        [ -z "$family" ] || refuse "there must be one family. Received: $family and $1. Try one of $families"
        family=$1
        ;;
    esac
    shift
  done
  [[ $family =~ ^(${families// /|})$ ]] ||
    refuse "FAMILY must be one of $families. Received: ${family:-none}. Try $name cascade"
  if [ "$ranks" != 1 ] && [ -z "${chosen[--rank-table]:-}" ]; then
    refuse "--rank_table= must name the NPUs. Received: none. Try --rank_table=${ranks}p.json, made by zoo.npu.write_rank_table"
  fi
  if [ "$kind" = performance ]; then
    chosen[--epochs]=${chosen[--epochs]:-2}
    case $family in voxelmorph | unet) chosen[--steps-per-epoch]=20 ;; esac
  fi
  environment "$ranks"
  for flag in "${!chosen[@]}"; do arguments+=("$flag=${chosen[$flag]}"); done

  log=$(mktemp) # not local: it is removed when the shell ends, out of this function
  trap 'rm -f "$log"' EXIT
  "${PYTHON:-python3}" "$here/../train_$family.py" "${arguments[@]}" "$@" | tee "$log" || status=$?
  [ "$status" = 0 ] || exit "$status"
  echo "------------------ Final result ------------------"
  grep -E '^(Final |E2E )' "$log" || { echo "$name: the trainer printed no result lines" >&2 && exit 1; }
}

# What adapters of all years read, where the user has not set it. Several ranks get theirs from `zoo.npu.launch`.
environment() {
  export JOB_ID=${JOB_ID:-10087} ASCEND_GLOBAL_LOG_LEVEL=${ASCEND_GLOBAL_LOG_LEVEL:-3}
  export PYTHONUNBUFFERED=1 PYTHONPATH="$here/../..${PYTHONPATH:+:$PYTHONPATH}"
  if [ "$1" = 1 ]; then
    export RANK_SIZE=${RANK_SIZE:-1} RANK_ID=${RANK_ID:-0}
  else
    export HCCL_CONNECT_TIMEOUT=${HCCL_CONNECT_TIMEOUT:-300}
    unset RANK_SIZE RANK_ID
  fi
}
