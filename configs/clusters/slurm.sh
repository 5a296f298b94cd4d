#!/usr/bin/env bash
#SBATCH --job-name=pride
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --exclusive
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
# sbatch slurm.sh CONFIG [OPTIONS of evolve run]    To adapt: the lines above, and what activates the environment.
# With GPUs: #SBATCH --gpus-per-node=4, and workers: {kind: ray, gpus: 0.25} in the config.
# Two minutes before the time is over the run is told to stop; the job is queued again and goes on with the run.
set -euo pipefail
umask 077 # the token and the run are the user's alone
source "${PRIDE_ENV:-$HOME/env}/bin/activate"

place=$PWD/runs/slurm-$SLURM_JOB_ID # on a disk that all nodes see; the job keeps its number when it is queued again
mkdir -p "$place"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$place/auth_token
if ! [ -s "$RAY_AUTH_TOKEN_PATH" ]; then
  python -c 'import secrets; print(secrets.token_hex(32), end="")' >"$RAY_AUTH_TOKEN_PATH"
fi

# The head, on the first node; one core stays free for the driver, which is started below.
address=$(hostname -I | cut -d' ' -f1):$((20000 + SLURM_JOB_ID % 10000))
ray start --head --node-ip-address="${address%:*}" --port="${address#*:}" --num-cpus=$((SLURM_CPUS_PER_TASK - 1)) \
  --include-dashboard=false --disable-usage-stats --temp-dir="$(mktemp -d /tmp/pride.XXXXXX)"
others=$((SLURM_JOB_NUM_NODES - 1))
if [ "$others" -gt 0 ]; then
  # shellcheck disable=SC2016 # the folder is made on each node
  srun --nodes="$others" --ntasks="$others" --exclude="$SLURMD_NODENAME" --cpus-per-task="$SLURM_CPUS_PER_TASK" \
    bash -c 'exec ray start "$@" --temp-dir="$(mktemp -d /tmp/pride.XXXXXX)"' ray \
    --block --address="$address" --num-cpus="$SLURM_CPUS_PER_TASK" --disable-usage-stats &
fi

told= driver=
trap 'told=USR1; ${driver:+kill -USR1 $driver}' USR1
trap 'told=TERM; ${driver:+kill -TERM $driver}' TERM
runs=("$place"/*/config.resolved.yaml)
if [ -e "${runs[0]}" ]; then
  evolve resume "${runs[0]%/*}" --workers ray --address "$address" &
else
  evolve run "$@" --output "$place" --workers ray --address "$address" &
fi
driver=$!
[ -z "$told" ] || kill "-$told" "$driver"
code=0
while kill -0 "$driver" 2>/dev/null; do # a signal ends the wait, not the driver
  code=0
  wait "$driver" || code=$?
done
if [ "$told" = USR1 ] && [ "$code" -ne 0 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code" # Slurm ends what is left of Ray
