#!/usr/bin/env bash
# shellcheck disable=SC2329  # `step` calls the functions by name
# Everything worth knowing about a card that is here, in one report.
#
#   tools/gpu_session.sh [A|B|AB|P] [OUT]
#
# A (at most 8 minutes, 9 with DATA): kernels and training on the card, whole steps beside PyTorch, gradients of
# convolutions both ways. B (at most 4): ncu and compute-sanitizer, the slow racecheck last. P (about 1): versions and
# the profile of a step only. OUT: folder for report.txt, logs.txt and what the steps write (default: gpu_session). No
# step's failure stops the next; the exit status is 1 if one failed, 2 if there is no card.
# PYTHON: the interpreter (default: python3). DATA: folder with mnist/ and fsdd/, for the run on files; without it that
# run is left out. CASES: SIZExSAMPLES,... of the whole steps (default: 32x32; more need more than the step's limit).
# BUDGET: seconds for all steps together; what does not fit is left out (default: 780).
set -u
PARTS=${1:-AB}
OUT=${2:-${OUT:-gpu_session}}
PYTHON=${PYTHON:-python3}
DATA=${DATA:-}
BUDGET=${BUDGET:-780}
case $PARTS in
  A | B | AB | P) ;;
  *) echo "usage: tools/gpu_session.sh [A|B|AB|P] [OUT]; found part $PARTS" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.." || exit 2
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 OUT
unset SNNCORE_KERNELS
export SNNCORE_TENSOR_CORES=on  # what no card has run yet is what a session is for; one step times both ways
if ! nvidia-smi -L >/dev/null 2>&1; then
  echo "error: nvidia-smi finds no NVIDIA GPU here; expected a card and its driver" >&2
  exit 2
fi
mkdir -p "$OUT" || exit 2
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
REPORT=$OUT/report.txt LOGS=$OUT/logs.txt BEGAN=$SECONDS FAILED=0 SUMMARY=()
: >"$REPORT"
: >"$LOGS"

say() { echo "$*" | tee -a "$REPORT"; }

# step NAME SECONDS LINES COMMAND...: run it under a time limit. All it prints goes into the logs, the last LINES lines
# into the report, and what failed and the last lines onto the screen.
step() {
  local name=$1 limit=$2 lines=$3 status began left result
  shift 3
  began=$((SECONDS - BEGAN)) left=$((BUDGET - SECONDS + BEGAN))
  if ((left < 5)); then
    say "== +${began}s $name: left out, the $BUDGET s are spent"
    SUMMARY+=("left out  $name")
    return
  fi
  ((limit > left)) && limit=$left
  say "== +${began}s $name (at most $limit s)"
  echo "== $name: $*" >>"$LOGS"
  if [ "$(type -t "$1")" = function ]; then  # `timeout` starts programs only
    set -- bash -c '"$@"' bash "$@"
  fi
  timeout -k 5 "$limit" "$@" >"$WORK/step.log" 2>&1
  status=$?
  cat "$WORK/step.log" >>"$LOGS"
  tail -n "$lines" "$WORK/step.log" | cut -c1-200 >>"$REPORT"
  head -n -8 "$WORK/step.log" | grep -E "^(FAIL|ERROR|error:)|Error:" | head -n 12 | cut -c1-160
  tail -n 8 "$WORK/step.log" | cut -c1-160
  case $status in
    0) result="ok" ;;
    124 | 137) result="TIMED OUT" FAILED=1 ;;
    *) result="FAILED ($status)" FAILED=1 ;;
  esac
  SUMMARY+=("$result  $name, $((SECONDS - BEGAN - began)) s")
  say "-- $result, $((SECONDS - BEGAN - began)) s"
}

versions() {
  nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,memory.total --format=csv,noheader
  uname -srm
  nproc
  "$PYTHON" - <<'P'
import importlib, platform
print("python", platform.python_version())
names = "numpy scipy numba cupy torch triton spikingjelly safetensors sklearn pytest hypothesis soundfile"
for name in names.split():
    try:
        module = importlib.import_module(name)
        print(name, getattr(module, "__version__", "of unknown version"))
    except Exception as error:
        print(name, "missing:", type(error).__name__, str(error)[:80])
P
}

train() { "$PYTHON" tools/train.py --device cuda "$@"; }

# the same run twice launched and once as a graph, with a smaller batch at its end: every array of the checkpoints
twice() {
  local run mode
  for run in launched again graph; do
    mode=off
    [ "$run" = graph ] && mode=on
    train --variant S --size 32 --limit-train 330 --limit-eval 64 --epochs 1 --cuda-graph "$mode" \
      --output-dir "$WORK/$run" || return
  done
  same launched again && same launched graph
}

# every array of the last checkpoints of two runs, bit for bit
same() {
  "$PYTHON" - "$WORK" "$@" <<'P'
import sys
import numpy as np
from snncore.checkpoint import load_checkpoint
a, b = (load_checkpoint(f"{sys.argv[1]}/{k}/last.safetensors")[0] for k in sys.argv[2:])
wrong = [name for name in a if not np.array_equal(a[name], b[name], equal_nan=True)]
print(f"{len(a)} arrays of two runs: {'every bit the same' if not wrong else 'they differ: ' + ', '.join(wrong[:5])}")
sys.exit(bool(wrong))
P
}

# a run in exact arithmetic on the card, then its evaluation there and on the CPU: every figure of it
exact() {
  local device
  train --variant S --size 16 --limit-train 64 --limit-eval 64 --epochs 1 --arithmetic exact \
    --output-dir "$WORK/exact" || return
  for device in cuda cpu; do
    "$PYTHON" tools/evaluate.py "$WORK/exact" --device "$device" --json "$WORK/exact_$device.json" || return
  done
  if [ "$(<"$WORK/exact_cuda.json")" != "$(<"$WORK/exact_cpu.json")" ]; then
    echo "error: the figures differ:"
    cat "$WORK/exact_cuda.json" "$WORK/exact_cpu.json"
    return 1
  fi
  echo "both evaluations: every digit of their figures the same"
}

kernel_tests() {
  # -W default: a note of another library must not fail what is tested here. test_compile.py needs no card. Most of the
  # time kernels are compiled, on one core each.
  local shared=()
  "$PYTHON" -c "import xdist" 2>/dev/null && shared=(-n 6)
  "$PYTHON" -m pytest tests/snncore/kernels/cuda -q -W default -p no:cacheprovider --maxfail=40 --tb=short \
    --durations=5 --ignore tests/snncore/kernels/cuda/test_compile.py "${shared[@]}"
}

# ncu: metrics of each kernel of a layer, once
counters() {
  local metrics
  metrics=$("$PYTHON" tools/gpu_profile.py metrics) || return
  if ! ncu --clock-control none --profile-from-start off --metrics "$metrics" --csv --page raw --print-units base \
    "$PYTHON" tools/gpu_profile.py mark >"$OUT/ncu.csv" 2>"$WORK/ncu.err"; then
    tail -n 5 "$WORK/ncu.err" "$OUT/ncu.csv"
    return 1
  fi
  "$PYTHON" tools/gpu_profile.py table "$OUT/ncu.csv"
}

sanitizer() {
  compute-sanitizer --tool "$1" --print-limit 20 --error-exitcode 9 \
    "$PYTHON" tools/gpu_selftest.py --quick --no-pool --no-timings --output "$WORK/sanitized.txt"
}

profile() { "$PYTHON" tools/gpu_profile.py step "$@"; }

part_a() {
  # the compiled kernels of the CPU, which the self-test compares with, take a minute to compile: meanwhile
  timeout -k 5 200 bash -c 'for sums in float32 exact; do "$PYTHON" tools/train.py --device cpu --variant XS --size 16 \
    --epochs 1 --limit-train 32 --limit-eval 32 --arithmetic $sums --output-dir "$WORK/warm_$sums" || exit; done' \
    >"$WORK/warm.log" 2>&1 &
  local warming=$!
  step "kernels on the card, against the reference" 60 25 kernel_tests
  step "training on dialpad, MISNet-S, 3 epochs" 40 6 train --variant S --epochs 3 --output-dir "$WORK/dialpad"
  step "the same training twice and as a CUDA graph" 50 12 twice
  step "profile of a training step of MISNet-S" 30 45 profile
  wait "$warming" || say "== the CPU's kernels did not warm up: $(tail -n 1 "$WORK/warm.log")"
  step "self-test, real sizes" 70 140 "$PYTHON" tools/gpu_selftest.py --output "$OUT/selftest.txt"
  step "whole steps, ours and PyTorch's" 60 20 "$PYTHON" tools/gpu_steps.py --cases "${CASES:-32x32}"
  step "steps as a CUDA graph, to the bit those launched one by one" 30 10 "$PYTHON" tools/gpu_steps.py \
    --cuda-graph on --cases 32x32
  step "gradients of convolutions on tensor cores, beside cuBLAS" 55 12 "$PYTHON" tools/gpu_steps.py \
    --gradients --cuda-graph on --cases 32x32
  step "evaluation in exact arithmetic, on the card and on the CPU" 30 6 exact
  step "steps in exact arithmetic, launched and as a CUDA graph" 25 10 env SNNCORE_ARITHMETIC=exact \
    "$PYTHON" tools/gpu_steps.py --cuda-graph on --cases 32x32
  if [ -n "$DATA" ]; then
    step "training on mnist-fsdd, as in the README" 60 5 train --dataset mnist-fsdd --data-dir "$DATA" --variant XS \
      --size 16 --timesteps 4 --epochs 8 --limit-train 1600 --limit-eval 500 --output-dir "$WORK/mnist-fsdd"
  else
    say "== training on mnist-fsdd: left out, DATA names no folder"
  fi
}

part_b() {
  step "ncu, every kernel of a layer once" 50 60 counters
  step "compute-sanitizer memcheck" 40 8 sanitizer memcheck
  step "compute-sanitizer initcheck" 40 8 sanitizer initcheck
  step "compute-sanitizer racecheck" 110 8 sanitizer racecheck
}

# for the shells that `step` starts
export PYTHON DATA WORK
export -f versions train twice same exact kernel_tests counters sanitizer profile
case $PARTS in *[AB]* | P) step "versions" 30 20 versions ;; esac
case $PARTS in *A*) part_a ;; esac
case $PARTS in *B*) part_b ;; esac
case $PARTS in P) step "profile of a training step of MISNet-S" 35 45 profile ;; esac
say "== summary after $((SECONDS - BEGAN)) s"
for line in "${SUMMARY[@]}"; do say "$line"; done
echo "report: $REPORT"
exit "$FAILED"
