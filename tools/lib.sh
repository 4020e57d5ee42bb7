# shellcheck shell=bash disable=SC2034
# What the scripts in tools/ share: words on the terminal, packages, builds, and processes that are ended by their pid.
# Sourced, never run. Sets `top` (the repository) and `build` (where presets are built).

set -euo pipefail
export LC_ALL=C.UTF-8 # the same words, decimal points and widths everywhere
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${SHUNT_BUILD_ROOT:-$top/build}

# ---- words ----

if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' cyan=$'\e[36m' plain=$'\e[0m'
else
    bold='' dim='' red='' green='' yellow='' cyan='' plain=''
fi

say() { printf '%s\n' "${*-}"; }
step() { printf '%s==>%s %s\n' "$cyan$bold" "$plain" "$*"; }
good() { printf '  %s✓%s %s\n' "$green" "$plain" "$*"; }
bad() { printf '  %s✗%s %s\n' "$red$bold" "$plain" "$*"; }
note() { printf '  %s%s%s\n' "$dim" "$*" "$plain"; }
warn() { printf '%swarning:%s %s\n' "$yellow$bold" "$plain" "$*" >&2; }

# die "what is wrong" ["what to do about it"]
die() {
    printf '%serror:%s %s\n' "$red$bold" "$plain" "$1" >&2
    if [[ $# -gt 1 ]]; then
        printf '       %s\n' "$2" >&2
    fi
    exit 1
}

# The help text of a script is the comment it opens with.
usage() {
    sed -n '2,/^[^#]/{/^#/{s/^# \{0,1\}//;p}}' "$0"
}

# ---- packages ----

need_packages() { "$top/tools/dependencies" --quiet "$@"; }

# ---- builds ----

# build_preset PRESET [cmake configure argument...]; quiet unless it fails.
build_preset() {
    local preset=$1 log
    shift
    log=$build/$preset.log
    mkdir -p "$build"
    if ! (cd "$top" && cmake --preset "$preset" -B "$build/$preset" "$@" && cmake --build "$build/$preset") >"$log" 2>&1; then
        grep -E -A6 'error:|Error|FAILED' "$log" | head -n 60 >&2 || tail -n 40 "$log" >&2
        die "the preset '$preset' does not build" "the whole output is in ${log#"$PWD"/}"
    fi
}

# ---- processes ----

# start LOG COMMAND...: runs it in the background and leaves its pid in $started_pid. stop_all ends it at the latest.
start() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 &
    started_pid=$!
}

# stop PID [seconds]: SIGTERM, then SIGKILL when it has not gone by then. Its exit code is left in $stopped_code.
stop() {
    local pid=$1 tenths=$((${2:-5} * 10))
    kill -TERM "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null && ((tenths-- > 0)); do
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    stopped_code=0
    wait "$pid" 2>/dev/null || stopped_code=$?
}

# Ends every background process of this shell. It asks the shell which there are: a signal may arrive between the start of
# one and the line that would remember it.
stop_all() {
    local pids pid
    mapfile -t pids < <(jobs -p)
    for pid in "${pids[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in "${pids[@]}"; do
        stop "$pid" 3
    done
}

# await SECONDS COMMAND...: until it succeeds; 1 when the time is over.
await() {
    local tenths=$(($1 * 20))
    shift
    until "$@" >/dev/null 2>&1; do
        ((tenths-- > 0)) || return 1
        sleep 0.05
    done
}
