# shellcheck shell=bash
# For the lint rules: they run in the repository, look at tracked and new files, and fail with a sentence that says
# what to do.
set -u
cd "${AXLE_LINT_ROOT:-$(dirname "${BASH_SOURCE[0]}")/../..}" || exit 1

# files PATTERN...: tracked and new files that are there.
files() { git ls-files --cached --others --exclude-standard -- "$@" | sort -u | while read -r file; do [[ ! -f $file ]] || echo "$file"; done; }
code() { files '*.cpp' '*.hpp'; }
# verdict ADVICE: fails if anything was found (on stdin).
verdict() {
    local found
    found=$(cat)
    [[ -z $found ]] && return 0
    printf '%s\n%s\n' "$found" "=> $1"
    return 1
}
