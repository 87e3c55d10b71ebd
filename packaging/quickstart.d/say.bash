# shellcheck shell=bash
# How quickstart speaks: steps, facts, warnings, failures with a remedy, progress of long work.
: "${log?}" "${record?}"

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
fact() { printf '   %s\n' "$*"; }
warn() { printf '   WARNING: %s\n' "$*"; }

# fail WHAT [REMEDY]
fail() {
    printf '\nquickstart: %s\n' "$1" >&2
    if [[ -n ${2:-} ]]; then printf '   what to do: %s\n' "$2" >&2; fi
    exit 1
}

# work WHAT COMMAND...: runs it with its output in the log and a sign of life every 10 s; on failure shows the log's end.
work() {
    local what=$1 started=$SECONDS last=$SECONDS pid
    shift
    printf '== %s: %s\n' "$(date -u +%FT%TZ)" "$*" >>"$log"
    "$@" >>"$log" 2>&1 </dev/null 9>&- &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        if ((SECONDS - last >= 10)); then
            last=$SECONDS
            fact "$what ... $((SECONDS - started)) s$(tail -n 1 "$log" | tr -d '\r' | sed '/^== /d; s/^/: /' | cut -c 1-92)"
        fi
    done
    if ! wait "$pid"; then
        tail -n 25 "$log" >&2
        return 1
    fi
    fact "$what: done in $((SECONDS - started)) s"
}

# ask QUESTION ANSWER: goes on only if the user types the answer.
ask() {
    local answer=
    [[ -n $yes ]] && return 0
    [[ -t 0 ]] || fail "nobody is there to answer: $1" "add --yes"
    read -r -p "$1 " answer
    [[ $answer == "$2" ]]
}

human() { numfmt --to=iec-i --suffix=B "$1"; }
with_systemd() { [[ -d /run/systemd/system ]]; }

# The programs that run here: one, or what axle node split has made of it.
our_programs() {
    local program split=()
    for program in axle-orchestrator axle-agent; do
        if with_systemd; then
            if systemctl -q is-enabled "$program.service" 2>/dev/null; then split+=("$program"); fi
        elif grep -qsxF "$program" /var/lib/axle/programs; then
            split+=("$program")
        fi
    done
    echo "${split[*]:-axle-allinone}"
}

# What quickstart made before: a user who deleted it doesn't get it back.
was_made() { grep -qsxF "$1" "$record/made"; }
note_made() { was_made "$1" || echo "$1" >>"$record/made"; }
