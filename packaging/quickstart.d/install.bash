# shellcheck shell=bash
# Packages: what is missing from Debian, then our own, built or ready. What was there before is written down first.
: "${log?}" "${offered?}" "${packages?}" "${here?}" "${top?}" "${record?}" "${image_source?}"

installed() { dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u; }

install_everything() {
    if [[ ! -s $record/packages-before ]]; then
        installed >"$record/packages-before"
        getent group axle >/dev/null || touch "$record/group-is-ours"
    fi
    if [[ -n $packages ]]; then
        step "Installing what Axle needs"
        install_missing
    else
        step "Installing what the build and the guests need"
        install_missing
        step "Building Axle (some minutes the first time)"
        build_packages
        packages=$top/build/release/packages
    fi
    step "Installing Axle"
    install_ours
    note_packages
}

# What wasn't there before the first run came with us.
note_packages() { comm -13 "$record/packages-before" <(installed) >"$record/packages-ours"; }

# apt may not write to a /tmp that isn't open to all.
apt() { TMPDIR=/var/tmp work "$@"; }

needed() {
    "$here/list-packages" runtime
    if [[ $image_source == tiny ]]; then "$here/list-packages" guest; fi
    if [[ -z $packages ]]; then
        "$here/list-packages" build
    else
        for file in "$packages"/axle_*.deb "$packages"/axle-cli_*.deb; do dpkg-deb -f "$file" Depends; done |
            tr ',' '\n' | sed 's/[(|].*//; s/ //g; /^axle/d'
    fi
}

install_missing() {
    local missing
    missing=$(comm -13 <(installed) <(needed | sort -u))
    if [[ -z $missing ]]; then
        fact "everything is there"
        return
    fi
    fact "$(wc -w <<<"$missing") packages are missing: $(tr '\n' ' ' <<<"$missing")"
    apt "asking Debian what there is" apt-get -o APT::Update::Error-Mode=any update ||
        fail "apt-get update failed (above)" "see /etc/apt/sources.list and the network"
    # shellcheck disable=SC2086
    apt "installing packages" apt-get install -y --no-install-recommends $missing ||
        fail "apt-get install failed (above)" "apt-get --fix-broken install, then run quickstart again"
}

build_packages() {
    local launcher=()
    if command -v ccache >/dev/null; then launcher=("-DCMAKE_CXX_COMPILER_LAUNCHER=${AXLE_LAUNCHER:-ccache}"); fi
    cd "$top" || return 1
    work "configuring" cmake --preset release "${launcher[@]}" || fail "the build could not be configured (above)"
    work "building" cmake --build --preset release --target programs || fail "the build failed (above)"
    rm -rf build/release/packages
    work "making packages" cpack --config build/release/CPackConfig.cmake || fail "the packages could not be made (above)"
    cd /
}

install_ours() {
    local files=("$packages"/axle_*.deb "$packages"/axle-cli_*.deb)
    apt "installing ${files[*]##*/}" apt-get install -y --no-install-recommends --reinstall --allow-downgrades \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "${files[@]}" ||
        fail "the packages could not be installed (above)" "apt-get --fix-broken install, then run quickstart again"
    axle-allinone check-config >>"$log" 2>&1 || fail "$(axle-allinone check-config 2>&1)" "mend /etc/axle/axle.yaml"
    fact "axle $(dpkg-query -W -f '${Version}' axle)"
    offer_to_hosts
}

# What a further machine that joins is given, of this very release (axle host token create), and one that the
# orchestrator moves to.
offer_to_hosts() {
    local file
    mkdir -p "$offered"
    find "$offered" -name 'axle-*.deb' -delete
    for file in "$packages"/axle-cli_*.deb "$packages"/axle-agent_*.deb "$packages"/axle-orchestrator_*.deb; do
        if [[ -f $file ]]; then install -m 0644 "$file" "$offered/"; fi
    done
}
