#!/usr/bin/env bash
# Two sites of two ranks each train one model: torchrun and FSDP2 inside a site, DiLoCo between the two. Site b is killed, started
# again, and catches up. Ends with what both report, and a picture.
#
#   examples/train_gpt/two_sites.sh [OUTPUT [options of train_gpt.py]]
#
# With build/release/stress/seaway_lab (script/build release seaway_lab), root and /dev/net/tun each site is a host of its own, 100 ms
# and 1 Gbit/s from the other; elsewhere both are on the loopback device, without a delay. It says which.
# Needs python with seaway, torch, numpy and matplotlib: PYTHON=... names another than python3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lab=$here/../../build/release/stress/seaway_lab
python=${PYTHON:-python3}

if [[ -z ${TWO_SITES_OUTPUT:-} ]]; then # the outside: make the sites, then judge
  output=${1:-two_sites}
  mkdir -p "$output"
  TWO_SITES_OUTPUT=$(cd "$output" && pwd)
  export TWO_SITES_OUTPUT
  rm -f "$TWO_SITES_OUTPUT"/{*.jsonl,*.txt,*.png,failed}
  shift $(($# > 0))
  status=0
  if [[ -x $lab && -z ${TWO_SITES_LOOPBACK:-} ]] && "$lab" two-1gbit --quiet -- true >/dev/null 2>&1; then
    echo "two sites, 100 ms and 1 Gbit/s apart (seaway_lab)"
    "$lab" two-1gbit -- "$0" "$@" || status=$?
  else
    echo "two sites on the loopback device, no delay between them: no seaway_lab here, or not allowed"
    LAB_SITE=a LAB_ADDRESS=127.0.0.1 "$0" "$@" | sed 's/^/a| /' &
    LAB_SITE=b LAB_ADDRESS=127.0.0.1 "$0" "$@" | sed 's/^/b| /' || status=$?
    wait $! || status=$?
  fi
  [[ $status -eq 0 ]] || { echo "two_sites: a site failed; the logs are in $TWO_SITES_OUTPUT" >&2; exit 1; }
  exec "$python" "$here/verdict.py" "$TWO_SITES_OUTPUT"
fi

# Inside of a site.
output=$TWO_SITES_OUTPUT
pids=()
# Kills programs and what they have started: torchrun's ranks are sessions of their own.
kill_all() {
  for pid in "$@"; do
    # shellcheck disable=SC2046
    kill -9 "$pid" $(ps -o pid= --ppid "$pid") 2>/dev/null || true
  done
}
trap '[[ $? -eq 0 ]] || touch "$output/failed"; kill_all "${pids[@]}"' EXIT
export GLOO_SOCKET_IFNAME=lo OMP_NUM_THREADS=1
# Waits until a file has a line like that. Long: four processes import torch on whatever machine this is.
until_said() {
  for _ in $(seq 1800); do
    grep -q "$2" "$1" 2>/dev/null && return
    sleep 0.1
  done
  echo "nothing like \"$2\" in $1" >&2
  exit 1
}
start() {
  "$python" -m torch.distributed.run --standalone --local-addr 127.0.0.1 --nproc-per-node 2 "$here/train_gpt.py" --fsdp --diloco \
    --min-world 2 --end-world 2 --listen "$LAB_ADDRESS:0" --output "$output" --name "$LAB_SITE" "$@" &
  pids+=($!)
}

if [[ $LAB_SITE == a ]]; then
  "$python" -m seaway.master --listen "$LAB_ADDRESS:0" >"$output/master.txt" &
  pids+=($!)
fi
until_said "$output/master.txt" "^join string: "
SEAWAY_JOIN=$(sed -n 's/^join string: //p' "$output/master.txt")
export SEAWAY_JOIN
if [[ $LAB_SITE == a ]]; then
  export SEAWAY_REPLICA=0
  start "$@"
  trainer=${pids[-1]}
  while kill -0 "$trainer" 2>/dev/null; do # without the other site it would go on for ever
    [[ ! -e $output/failed ]] || exit 1
    sleep 0.2
  done
  wait "$trainer"
else
  export SEAWAY_REPLICA=1
  start "$@"
  until_said "$output/b-0.jsonl" '"event": "step"'
  kill_all "${pids[-1]}"
  wait "${pids[-1]}" 2>/dev/null || true
  echo "site b is killed"
  until_said "$output/a-0.jsonl" '"event": "lost a replica"'
  start "$@"
  wait "${pids[-1]}"
fi
