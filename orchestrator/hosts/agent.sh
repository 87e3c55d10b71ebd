#!/bin/sh
# Makes this machine a host of an Axle cloud: checks it, fetches the packages of release %VERSION%, joins. The words
# between per cent signs are filled in by the orchestrator that serves it.
set -euf
endpoints="%ENDPOINTS%"
say() { echo "axle: $*"; }
die() { echo "axle: $*" >&2; exit 1; }
[ $# -eq 1 ] || die "usage: sh $0 STRING; axle host token create prints the whole line"
[ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || die "this is $(uname -s) on $(uname -m); hosts run Linux on x86_64"
os=$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${VERSION_ID:-}") || os="an unknown system"
[ "$os" = "debian 12" ] || die "this is $os; Axle %VERSION% runs on Debian 12"
[ "$(id -u)" = 0 ] || die "only root can make this machine a host: sudo sh $0 STRING"
for program in curl sha256sum dpkg-query apt-get; do
    command -v "$program" >/dev/null || die "$program is missing: apt-get install $program"
done
# shellcheck disable=SC2016  # dpkg-query's own words
if dpkg-query -W -f '${Status}' axle 2>/dev/null | grep -q 'ok installed'; then
    die "this machine runs an all-in-one (package axle): it is a cloud of its own, and no host of another"
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/hashes" <<'END'
%HASHES%
END
fetch() { # FILE: from the first endpoint that has it; its hash says whether it is the right one
    for endpoint in $endpoints; do
        if curl -gkfsS --connect-timeout 5 -o "$folder/$1" "$endpoint%PATH%$1"; then return 0; fi
    done
    die "$1 can't be fetched from $endpoints: is that port open there?"
}
packages=
while read -r hash file; do
    say "fetching $file (${hash%"${hash#????????}"})"
    fetch "$file"
    packages="$packages $folder/$file"
done <"$folder/hashes"
(cd "$folder" && sha256sum --quiet -c hashes) || die "what was fetched is not what the token was made for: make a new one"
say "installing"
chmod 755 "$folder"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # a list of words
apt-get install -y -q --no-install-recommends $packages >"$folder/log" 2>&1 || { cat "$folder/log" >&2; die "apt-get install failed, see above"; }
joined=$(axle-agent join "$1")
say "${joined%%; now start it*}"
if [ -d /run/systemd/system ]; then
    systemctl enable -q --now axle-agent axle-guests
    say "this machine is a host now: axle host list shows it"
else
    /usr/lib/axle/supervise keep axle-agent
    say "this machine is a host now. There is no systemd here: run this at each start of it: /usr/lib/axle/supervise keep axle-agent"
fi
