#!/usr/bin/env bash
# The pictures of a benchmark as a SLURM array: each job makes the pictures of a part of the prompts. From the root of the checkout:
#
#   sbatch --array=0-15 --gres=gpu:1 --time=12:00:00 scripts/benchmark_array.sh benchmark=geneval \
#       prompts=evaluation_metadata.jsonl folder=outputs/geneval -- model=flux3_klein reward=preference mode=search
#
# Arguments are those of benchmark_pictures.py, without part and parts. A job that is requeued goes on with its part. To
# go on after a failure, submit the same command again: pictures that are there are not made again.
#SBATCH --job-name=fmtt-benchmark
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=fmtt-benchmark-%A-%a.log
set -euo pipefail
: "${SLURM_ARRAY_TASK_ID:?submit with sbatch --array=0-15}"
if [ "$SLURM_ARRAY_TASK_MIN" != 0 ] || [ "$SLURM_ARRAY_TASK_STEP" != 1 ]; then
  echo "fmtt: --array: must begin at 0 and have every number, such as --array=0-15" >&2
  exit 2
fi
exec "${PYTHON:-.venv/bin/python}" scripts/benchmark_pictures.py part="$SLURM_ARRAY_TASK_ID" parts="$SLURM_ARRAY_TASK_COUNT" "$@"
