# shellcheck shell=bash
# What tests/run and the parts share: packages, builds, running a test program and counting its cases.
# A part sources this file; it runs with the repository as working directory.

root=${root:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
cd "$root" || exit 1
export AXLE_ROOT=$root AXLE_RESULTS=$root/build/results AXLE_TALLY=$root/build/results/tally
export AXLE_FOUND=$root/build/found  # histories and inputs that failed, kept for replay

say() { printf '%s\n' "$*"; }

# Once a run: fresh results, a directory for temporary files that any user may write to (on some machines /tmp is not),
# and a compiler cache that a clean checkout elsewhere hits too.
prepare_surroundings() {
    rm -rf "$AXLE_RESULTS"
    mkdir -p "$AXLE_RESULTS" "$AXLE_FOUND" "$root/build/tmp"
    : >"$AXLE_TALLY"
    chmod 1777 "$root/build/tmp"
    export TMPDIR=$root/build/tmp
    export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1 CCACHE_DIR=${CCACHE_DIR:-$HOME/.cache/ccache}
    export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
    export UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=detect_leaks=1:abort_on_error=0
}

# need PACKAGE...: installs what is missing. With everything there it costs one dpkg-query.
need() {
    local missing
    missing=$(comm -13 <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u) \
        <(printf '%s\n' "$@" | sed '/^$/d' | sort -u))
    [[ -z $missing ]] && return 0
    if [[ $EUID != 0 ]]; then
        say "FAILED: packages are missing and only root can install them: apt-get install ${missing//$'\n'/ }"
        return 1
    fi
    say "installing $(wc -w <<<"$missing") packages: ${missing//$'\n'/ }"
    # shellcheck disable=SC2086
    quietly apt apt-get -o APT::Update::Error-Mode=any update && quietly apt apt-get install -y --no-install-recommends $missing
}

# quietly NAME COMMAND...: output to a log, shown whole on failure, a line of progress every 20 s.
quietly() {
    local log=$AXLE_RESULTS/$1.log started=$SECONDS pid status
    shift
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        if ((SECONDS - started >= 20)); then
            started=$SECONDS
            say "   ... $(tail -n 1 "$log" | cut -c 1-100)"
        fi
    done
    wait "$pid"
    status=$?
    if [[ $status != 0 ]]; then
        say "FAILED ($status): $*"
        cat "$log"
    fi
    return $status
}

configure() {
    local launcher=${AXLE_LAUNCHER:-${CMAKE_CXX_COMPILER_LAUNCHER:-ccache}}
    [[ -f build/$1/build.ninja ]] || quietly "configure-$1" cmake --preset "$1" "-DCMAKE_CXX_COMPILER_LAUNCHER=$launcher"
}

# targets PRESET REGEX: the build targets whose whole name matches (extended regular expression).
targets() { ninja -C "build/$1" -t targets all | sed -nE "s/^($2): phony\$/\\1/p"; }

# build PRESET REGEX: builds the targets that match. Says so if there are none.
build() {
    configure "$1" || return 1
    quietly "regenerate-$1" ninja -C "build/$1" build.ninja || return 1
    local names
    names=$(targets "$1" "$2")
    if [[ -z $names ]]; then return 0; fi
    # shellcheck disable=SC2086
    quietly "build-$1" ninja -C "build/$1" $names
}

# The programs and the four packages of a release build, with the tiny guest beside them, in build/release/packages.
make_packages() {
    build release programs || return 1
    [[ -f build/release/CPackConfig.cmake ]] || { say "FAILED: there are no programs to pack"; return 1; }
    rm -rf build/release/packages
    quietly packages cpack --config build/release/CPackConfig.cmake -B build/release/packages &&
        quietly guest tests/guest/build build/release/packages
}

# count PART PROGRAM PASSED FAILED SKIPPED
count() { printf '%s %s %d %d %d\n' "$@" >>"$AXLE_TALLY"; }

# run PART PROGRAM SECONDS COMMAND...: runs a test program and counts its cases: by doctest's summary, by its own last
# line "tally: N passed, N failed, N skipped", else as one case. A line "SKIPPED: case: reason" is a case that did not
# run. Shows one line if all is well, the whole output if not.
run() {
    local part=$1 program=$2 limit=$3 log=$AXLE_RESULTS/$1-$2.log status started=$SECONDS
    shift 3
    timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1 </dev/null
    status=$?
    local passed failed skipped
    read -r passed failed skipped < <(tally_of "$log")
    if [[ -z $passed ]]; then
        passed=$((status == 0)) failed=0 skipped=$(grep -c '^SKIPPED: ' "$log")
        if ((skipped)); then passed=0; fi
    fi
    if ((status != 0 && failed == 0)); then failed=1; fi
    if ((status != 0 || failed)); then
        cat "$log"
        case $status in
            124 | 137) say "FAILED: $program did not end within $limit s" ;;
            *) say "FAILED: $program (status $status); run it again: $*" ;;
        esac
    else
        say "   $program: $passed passed$( ((skipped)) && echo ", $skipped skipped"), $((SECONDS - started)) s"
        grep '^SKIPPED: ' "$log" | sed 's/^/   /'
    fi
    sed -n 's/^[0-9.]* s: //p; s/^ok: //p; s/^FAILED: //p' "$log" >>"$AXLE_RESULTS/$part.ran"
    echo "$program" >>"$AXLE_RESULTS/$part.ran"
    grep '^SKIPPED: ' "$log" >>"$AXLE_RESULTS/$part.skipped"
    count "$part" "$program" "$passed" "$failed" "$skipped"
    ((failed == 0))
}

# tally_of LOG: "passed failed skipped", or nothing if the program did not count.
tally_of() {
    sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
        /^\[doctest\] test cases:/ {
            seen = 1
            for (i = 1; i < NF; ++i) {
                if ($(i + 1) ~ /^passed/) p += $i
                if ($(i + 1) ~ /^failed/) f += $i
            }
        }
        /^SKIPPED: / { s += 1 }
        /^tally: [0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { own = 1; tp += $2; tf += $4; ts += $6 }
        END {
            if (own) print tp, tf, ts
            else if (seen) print p - s, f + 0, s + 0
        }'
}

# run_whole ...: as run; what it shows comes in one piece, for programs that run beside each other.
run_whole() {
    local shown status
    shown=$(run "$@")
    status=$?
    say "$shown"
    return $status
}

# doctest_programs PART PRESET REGEX [ARGUMENT...]: builds the binaries whose names match and runs them, one on each core.
doctest_programs() {
    local part=$1 preset=$2 regex=$3 binary running=0 status=0
    shift 3
    build "$preset" "$regex" || return 1
    [[ -n $(targets "$preset" "$regex") ]] || say "   there is no test of this kind"
    for binary in $(targets "$preset" "$regex"); do
        if ((running == $(nproc))); then
            wait -n || status=1
            ((--running))
        fi
        run_whole "$part" "$binary" "${AXLE_LIMIT:-300}" "build/$preset/tests/$binary" --duration=true "$@" &
        ((++running))
    done
    for (( ; running > 0; --running)); do wait -n || status=1; done
    return $status
}

# doctest_level LEVEL [ARGUMENT...]: the binaries LEVEL_* of the dev build.
doctest_level() { doctest_programs "$1" dev "${1}_[a-z0-9_]*" "${@:2}"; }

# histories LEVEL [N | --seeds N] [--seed S] [ARGUMENT...]: the binaries LEVEL_* of the dev build, with sanitizers. With N:
# so many histories of LEVEL_cloud from seed S on, in an optimised build, shared among the cores. S alone: that one.
histories() {
    local level=$1 count='' first='' cores share shard pids=() status=0
    shift
    while [[ ${1:-} =~ ^[0-9]+$ || ${1:-} == --seed || ${1:-} == --seeds ]]; do
        case $1 in
            --seed) first=$2 && shift 2 ;;
            --seeds) count=$2 && shift 2 ;;
            *) count=$1 && shift ;;
        esac
    done
    if [[ -z $count ]]; then
        if [[ -n $first ]]; then export TEST_SEED=$first; fi
        doctest_level "$level" "$@"
        return
    fi
    build fast "${level}_cloud" || return 1
    cores=$(nproc) share=$(((count + cores - 1) / cores)) first=${first:-1}
    for ((shard = 0; shard * share < count; ++shard)); do
        SIM_HISTORIES=$((share < count - shard * share ? share : count - shard * share)) TEST_SEED=$((first + shard * share)) \
            run "$level" "${level}_cloud-$shard" 86400 "build/fast/tests/${level}_cloud" --duration=true --test-case='*whatever happens*,*reference model*' "$@" &
        pids+=($!)
    done
    for shard in "${pids[@]}"; do wait "$shard" || status=1; done
    return $status
}

# walk_every N [WORD]...: tests that walk through points take each N-th, unless the first word is "all", which is taken.
walk_every() {
    export AXLE_WALK_EVERY=${AXLE_WALK_EVERY:-$1}
    if [[ ${2:-} != all ]]; then return 1; fi
    AXLE_WALK_EVERY=1
}

# How many planted bugs the programs of a level are to find.
declare -A planted_least=([sim]=27 [crash]=2)

# planted_are_found PART LEVEL...: whether its programs have found as many as these levels are to.
planted_are_found() {
    local part=$1 level least=0 found
    for level in "${@:2}"; do ((least += planted_least[$level])); done
    found=$(cat "$AXLE_RESULTS/$part"-*.log 2>/dev/null | grep -c '^planted: ')
    say "   $found of $least planted bugs found"
    ((found >= least)) && return 0
    say "FAILED: $part: at least $least planted bugs were to be found"
    count "$part" planted 0 1 0
    return 1
}

# figures LEVEL: the lines "figures: ..." that its programs have printed.
figures() { grep -h '^figures: ' "$AXLE_RESULTS/$1"-*.log 2>/dev/null; }

# figures_as_json PART: the lines "figure: NAME VALUE UNIT" that its programs have printed.
figures_as_json() {
    cat "$AXLE_RESULTS/$1"-*.log 2>/dev/null | sed -n 's/^figure: //p' |
        jq -R -n '[inputs | split(" ") | {name: .[0], value: (.[1] | tonumber), unit: (.[2:] | join(" "))}]'
}
