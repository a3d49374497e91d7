#!/usr/bin/env bash
# Encode a base on a Slurm cluster: an array of jobs, a shard each, and a job that joins them when all are done.
#
#   SBATCH="--partition=gpu --gres=gpu:1 --cpus-per-task=4" \
#       tools/encode_slurm.sh SHARDS OUT_DIR --encoder DIR --texts FILE [more arguments of ofakit encode]
#
# Shards become OUT_DIR/shard-0000 and so on, and OUT_DIR is an index directory once the last job has listed them; nothing
# is copied. A job that was killed or preempted continues when Slurm starts it again; after a failure give the
# same command again, and shards that are there compute nothing. The last line of stdout is one JSON object with the
# numbers of both jobs. The parts can also be given by hand:
#
#   sbatch --array=3,7 --gres=gpu:1 tools/encode_slurm.sh SHARDS OUT_DIR --encoder DIR --texts FILE
#   tools/encode_slurm.sh join SHARDS OUT_DIR
#
#   SBATCH    options of the jobs that encode; split at spaces
#   OFAKIT    the command (default: ofakit); split at spaces
#
#SBATCH --job-name=ofakit-encode
#SBATCH --output=%x-%A-%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
set -eu

usage() { echo "usage: $0 SHARDS OUT_DIR ENCODE_ARGUMENTS..., or $0 join SHARDS OUT_DIR" >&2; exit 2; }
fail() { echo "encode_slurm.sh: error: $*" >&2; exit 2; }
shard_folder() { printf '%s/shard-%04d' "$out" "$1"; }

join=
if [ "${1:-}" = join ]; then join=1; shift; fi
[ $# -ge 2 ] || usage
[ -n "$join" ] && [ $# -ne 2 ] && usage
shards=$1 out=$2
shift 2
case $shards in '' | *[!0-9]* | 0*) fail "expected at least 1 shard, found '$shards'" ;; esac
ofakit=${OFAKIT:-ofakit}

if [ -n "$join" ]; then
    set --
    for ((number = 0; number < shards; number++)); do set -- "$@" "$(shard_folder "$number")"; done
    # shellcheck disable=SC2086  # the command is split at spaces on purpose
    exec $ofakit index --merge "$@" --out "$out"
fi

for argument in "$@"; do
    case $argument in
        --out | --out=* | --shard | --shard=* | --shards | --shards=* | --launcher | --launcher=*)
            fail "$argument cannot be used here: SHARDS and OUT_DIR set it" ;;
    esac
done
[ ! -e "$out/index.json" ] || fail "$out is an index already; choose another folder, or remove it to encode again"

if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    [ "$SLURM_ARRAY_TASK_ID" -lt "$shards" ] || fail "there is no shard for job $SLURM_ARRAY_TASK_ID of the array, only $shards shards"
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}
    # shellcheck disable=SC2086
    exec $ofakit encode "$@" --out "$(shard_folder "$SLURM_ARRAY_TASK_ID")" --shard "$SLURM_ARRAY_TASK_ID/$shards"
fi

command -v sbatch >/dev/null || fail "sbatch was not found: run this where Slurm jobs are submitted"
# Slurm gives a job a copy of the script, and its output goes beside the index.
mkdir -p "$out"
# shellcheck disable=SC2086
array=$(sbatch --parsable --array="0-$((shards - 1))" --output="$out/%x-%A-%a.log" ${SBATCH:-} "$0" "$shards" "$out" "$@")
array=${array%%;*}
joining=$(sbatch --parsable --dependency="afterok:$array" --kill-on-invalid-dep=yes --output="$out/%x-%j.log" \
    --job-name=ofakit-join "$0" join "$shards" "$out")
printf '{"array": "%s", "join": "%s", "shards": %d}\n' "$array" "${joining%%;*}" "$shards"
