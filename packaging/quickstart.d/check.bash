# shellcheck shell=bash
# What is looked at before anything is touched, and the plan that is told.
: "${packages?}" "${here?}" "${top?}" "${state?}" "${record?}" "${log?}" "${image?}"

check_root() {
    [[ $EUID == 0 ]] || fail "it installs packages and services, which only root may" "sudo packaging/quickstart"
}

check_machine() {
    step "Checking this machine"
    check_system
    check_space
    check_port
    check_sources
    check_own_name
    tell_accelerator
    if with_systemd; then service_manager=systemd; else service_manager=none; fi
    if [[ -e /usr/bin/axle-allinone ]]; then
        fact "Axle is installed already: it will be brought up to date in place"
    elif [[ -e /usr/bin/axle-agent || -e /usr/bin/axle-orchestrator ]]; then
        fail "this machine has axle-agent or axle-orchestrator, which all-in-one would replace" \
            "remove them first, or add this machine to its cloud as it is"
    fi
}

check_system() {
    local ID='' VERSION_ID='' PRETTY_NAME=''
    # shellcheck source=/dev/null
    source /etc/os-release
    [[ $ID == debian && $VERSION_ID == 12 ]] ||
        fail "this is ${PRETTY_NAME:-an unknown system}; Axle is made and tested for Debian 12" "use a Debian 12 machine"
    [[ $(uname -m) == x86_64 ]] || fail "this machine is $(uname -m); Axle runs on x86-64"
    fact "Debian 12, x86-64, kernel $(uname -r)"
}

free_bytes() { df --output=avail -B1 "$1" | tail -n 1; }

check_space() {
    local needed=$((1 << 30)) free memory
    [[ -n $packages ]] || needed=$((5 << 30))
    free=$(free_bytes /var)
    ((free >= needed)) || fail "/var has $(human "$free") free; $(human "$needed") are needed" "make room"
    if [[ -z $packages ]] && (($(free_bytes "$top") < 2 << 30)); then
        fail "$top has $(human "$(free_bytes "$top")") free; a build takes 2 GiB" "make room, or move the checkout"
    fi
    memory=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)
    ((memory >= 700000)) || warn "only $((memory / 1024)) MiB of memory are available: the build or the first guest may not fit"
    fact "room: $(human "$free") on /var, $((memory / 1024)) MiB of memory"
}

check_port() {
    if (exec 3<>/dev/tcp/127.0.0.1/7443) 2>/dev/null && [[ ! -S /run/axle/api.sock ]]; then
        fail "port 7443, where the API listens, is taken by another program" \
            "find it with: ss -ltnp sport = :7443; or set another port (listen) in /etc/axle/axle.yaml"
    fi
}

# libvirt looks this machine's own name up whenever it starts a guest.
check_own_name() {
    local started=$SECONDS
    if timeout 20 getent ahosts "$(hostname)" >/dev/null 2>&1 || ((SECONDS - started < 2)); then return 0; fi
    warn "nobody here knows this machine's own name, and asking for it takes $((SECONDS - started)) s or more: so much"
    warn "longer takes each start of a guest. Mend it with: echo '127.0.1.1 $(hostname)' >>/etc/hosts"
}

check_sources() {
    if [[ -n $packages ]]; then
        compgen -G "$packages/axle_*.deb" >/dev/null || fail "there is no axle_*.deb in $packages" "build them: cmake --preset release, then cpack"
        return
    fi
    [[ -f $top/CMakeLists.txt ]] || fail "this is not a source tree" "run it from a checkout, or with --packages DIR"
    dpkg --audit | grep -q . && fail "dpkg has unfinished business" "dpkg --configure -a"
    return 0
}

# The module's name counts: other modules offer a /dev/kvm that can't run Linux.
tell_accelerator() {
    if [[ -e /dev/kvm ]] && [[ -d /sys/module/kvm_intel || -d /sys/module/kvm_amd ]]; then
        fact "guests run on KVM"
    else
        warn "no KVM here: guests are emulated, some ten times slower (is virtualisation switched on in the firmware?)"
    fi
}

# A pool lies on a local file system that keeps what is synced. The largest one is taken, and said.
choose_pool() {
    local target kind free best=0
    if [[ -s $record/pool ]]; then
        if [[ -n $pool && $(readlink -f "$pool") != "$(<"$record/pool")" ]]; then
            fail "disks go to $(<"$record/pool") since the first run, and can't be moved by --pool" \
                "a second pool: axle pool create NAME --path $pool"
        fi
        pool=$(<"$record/pool")
    elif [[ -z $pool ]]; then
        while read -r target kind free; do
            case $kind in ext4 | xfs | btrfs | overlay) ;; *) continue ;; esac
            [[ -w $target && -d $target && $target != /boot* && $target != /run/* ]] || continue
            if ((free > best)); then
                best=$free
                pool=$target
            fi
        done < <(df --output=target,fstype,avail -B1 -l 2>/dev/null | tail -n +2)
        if [[ -z $pool || $pool == / || $pool == /var || $pool == /var/lib ]]; then pool=$state/pools/main; else pool=$pool/axle; fi
    fi
    mkdir -p "$pool" || fail "the directory $pool for disks can't be made" "choose another with --pool PATH"
    pool=$(readlink -f "$pool")
    check_way_to_pool
    case $(stat -f -c %T "$pool") in
        tmpfs | ramfs) fail "$pool lies in memory: disks there would be lost" "choose another with --pool PATH" ;;
        nfs* | cifs | smb*) fail "$pool lies on a network file system; a first pool is local" "choose another with --pool PATH" ;;
        overlayfs) warn "$pool lies on an overlay (a container): what is written there is not durable" ;;
    esac
    fact "disks go to $pool ($(human "$(free_bytes "$pool")") free)"
}

# QEMU runs as a user of its own, who must be let through every directory above its disks.
check_way_to_pool() {
    local directory=$pool
    while [[ $directory != / ]]; do
        ((8#$(stat -c %a "$directory") & 1)) ||
            fail "$directory lets only its owner in; QEMU, which runs as libvirt-qemu, could not reach disks in $pool" \
                "chmod o+x $directory, or choose another place with --pool PATH"
        directory=$(dirname "$directory")
    done
}

# shellcheck disable=SC2034  # install.bash and first-guest.bash use them
# Sets image_source (catalogue, address, file, tiny), image_from and image_words.
choose_image() {
    image_from=$image
    case $image in
        http://* | https://*) image_source=address image_words=$image ;;
        */* | *.qcow2 | *.img | *.raw) choose_image_file ;;
        ?*) image_source=catalogue image_words="$image of the built-in catalogue" ;;
        *) choose_image_unasked ;;
    esac
    fact "the first guest's image: $image_words"
}

# shellcheck disable=SC2034
choose_image_file() {
    [[ -f $image ]] || fail "there is no image $image"
    image_source=file image_from=$(readlink -f "$image") image_words=$image_from
}

# shellcheck disable=SC2034
choose_image_unasked() {
    if [[ -n $packages && -f $packages/tiny.qcow2 ]]; then
        image_source=file image_from=$packages/tiny.qcow2 image_words="the tiny guest in $packages"
    elif [[ -z $packages ]] && images_reachable; then
        image_source=catalogue image_from=debian-12 image_words="debian-12 of the built-in catalogue"
    else
        image_source=tiny image_from='' image_words="a tiny guest, made of Debian's kernel and busybox: no way out to cloud.debian.org"
    fi
}

images_reachable() {
    [[ -n ${https_proxy:-}${HTTPS_PROXY:-} ]] || timeout 5 bash -c 'exec 3<>/dev/tcp/cloud.debian.org/443' 2>/dev/null
}

tell_plan() {
    step "What will be done"
    if [[ -n $packages ]]; then
        fact "install the packages of $packages"
    else
        fact "install what a build and guests need, build Axle, install its packages"
    fi
    if [[ $service_manager == systemd ]]; then
        fact "start and enable axle-allinone.service"
    else
        fact "start virtlogd, libvirtd and Axle under /usr/lib/axle/supervise: systemd is not process 1 here, so nothing"
        fact "starts them again after a reboot (run quickstart again)"
    fi
    fact "get an image: $image_words"
    fact "make the network \"default\" and the virtual machine \"first\" with your ssh key; wait until it answers"
    fact "take it all back: packaging/quickstart --remove. What is done goes to $log"
}
