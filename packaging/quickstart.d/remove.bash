# shellcheck shell=bash
# Taking all of it away: guests, furniture, host settings, packages that came with us. Disks and state only on demand.
: "${top?}" "${record?}" "${log?}" "${offered?}" "${state?}" "${purge_data?}"

remove_everything() {
    find_pools
    tell_what_goes
    ask "To remove Axle from this machine, type its name ($(hostname)):" "$(hostname)" || fail "not the name of this machine: nothing was done"
    stop_guests
    stop_axle
    take_back_furniture
    remove_packages
    if [[ -n $purge_data ]]; then destroy_data; else keep_data; fi
}

# Paths of all pools, from the API, else from what the agent keeps; and the one that quickstart chose.
find_pools() {
    mapfile -t pools < <({
        if axle host list >>"$log" 2>&1; then
            axle pool list -o json 2>>"$log"
        else
            cat "$state"/agent/desired/pool* 2>/dev/null
        fi | grep -oE '"path": ?"[^"]*"' | sed 's/.*: \{0,1\}"\(.*\)"/\1/'
        cat "$record/pool" 2>/dev/null
    } | sort -u)
}

tell_what_goes() {
    step "What is here"
    if axle host list >>"$log" 2>&1; then
        indented "virtual machines" axle vm list --all-projects
        indented "volumes" axle volume list --all-projects
        tell_of_joined_hosts
    else
        fact "Axle does not answer; its guests on this machine, as libvirt names them:"
        our_domains --all | sed 's/^/      /'
    fi
    local directory
    for directory in "$state" "${pools[@]}"; do
        if [[ -d $directory ]]; then fact "$(human "$(du -sxB1 "$directory" 2>/dev/null | cut -f 1)") on disk in $directory"; fi
    done
    if [[ -n $purge_data ]]; then
        warn "--purge-data: every disk and all state listed above will be destroyed for good"
    else
        fact "Disks, state and configuration stay (--purge-data would destroy them). Guests are shut down, and Axle goes."
    fi
}

# Machines that have joined this one: their guests run on, and nobody steers them any more.
tell_of_joined_hosts() {
    local own others
    own=$(own_host) || own=
    others=$(axle host list -o name 2>>"$log" | sed 's,^host/,,' | grep -vxF "$own") || return 0
    warn "these machines have joined this one and lose their orchestrator: ${others//$'\n'/, }"
    fact "   Their guests run on; root there has axle-agent vm list|start|stop|console. To keep this cloud, move its"
    fact "   orchestrator to another machine first: axle node split --export FILE --to NAME. To take Axle away there, too,"
    fact "   begin there: axle vm delete or axle host drain NAME, axle host remove NAME, then apt-get purge 'axle*' on it."
}

own_host() {
    if [[ -s $state/agent/host-id ]]; then axle host get "$(<"$state/agent/host-id")" -o name 2>>"$log" | sed 's,^host/,,'; fi
}

# indented TITLE COMMAND...
indented() {
    local title=$1 text line
    shift
    text=$("$@" 2>/dev/null)
    fact "$title:"
    while IFS= read -r line; do fact "   $line"; done <<<"${text:-none}"
}

our_domains() { virsh -q -c qemu:///system list "$@" --name 2>/dev/null | grep '^axle-' || true; }

# In parallel, by their power button; what still runs after two minutes is switched off. Written down before: it is not
# their users' wish, and where the data stays they run again after the next quickstart.
stop_guests() {
    local domain
    if [[ -x /usr/bin/axle-allinone && -n $(our_domains) ]]; then
        step "Shutting the guests down"
        work "asking them" shut_guests_down || fact "not all of them did it"
    fi
    stop_axle
    for domain in $(our_domains); do
        fact "$domain is switched off"
        virsh -q -c qemu:///system destroy "$domain" >>"$log" 2>&1 || true
    done
}

shut_guests_down() {
    if with_systemd; then systemctl stop axle-guests.service; else /usr/bin/axle-allinone host-going-down; fi
}

stop_axle() {
    if with_systemd; then
        systemctl disable --now axle-{allinone,orchestrator,agent,guests,open-firewall}.service >>"$log" 2>&1 || true
    elif [[ -x /usr/lib/axle/supervise ]]; then
        /usr/lib/axle/supervise stop-axle >>"$log" 2>&1 || true
    fi
}

# Bridges, taps, firewall tables, openings of others' firewalls, DHCP servers, changed settings of the host: the program
# knows what it made and changed.
take_back_furniture() {
    step "Taking back what was made on this machine"
    local domain
    for domain in $(our_domains --all); do
        virsh -q -c qemu:///system undefine --nvram --managed-save --snapshots-metadata --checkpoints-metadata "$domain" >>"$log" 2>&1 ||
            warn "the domain $domain could not be undefined: virsh undefine $domain"
        rm -f "/etc/apparmor.d/libvirt/libvirt-${domain#axle-}" "/etc/apparmor.d/libvirt/libvirt-${domain#axle-}.files"
    done
    if [[ -x /usr/bin/axle-allinone ]]; then
        work "removing bridges, rules and settings" /usr/bin/axle-allinone remove-furniture ||
            warn "some of it could not be taken back (above): ip link; nft list tables"
    fi
    if ! with_systemd && [[ -x /usr/lib/axle/supervise ]]; then /usr/lib/axle/supervise stop >>"$log" 2>&1 || true; fi
}

# Ours go. Of those that came with us, what nobody else needs by now; libvirt stays if somebody has domains in it.
remove_packages() {
    step "Removing packages"
    local ours=() extra='' verb=remove
    mapfile -t ours < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'axle*' 2>/dev/null | sed -nE 's/^(installed|config-files) //p')
    if [[ -n $purge_data ]]; then verb=purge; fi
    rm -rf "$offered"
    if ((${#ours[@]})); then apt "removing ${ours[*]}" apt-get "$verb" -y "${ours[@]}" || fail "apt could not remove them (above)"; fi
    if [[ -s $record/packages-ours ]]; then extra=$(unneeded_packages); fi
    if [[ -z $extra ]]; then return 0; fi
    remove_default_network "$extra"
    # shellcheck disable=SC2086
    apt "removing $(wc -w <<<"$extra") packages that came with Axle" apt-get "$verb" -y $extra || warn "apt could not remove them (above)"
}

unneeded_packages() {
    local came here_now removable
    came=$(comm -12 "$record/packages-ours" <(installed))
    if foreign_domains; then came=$(grep -vE '^(libvirt|qemu|seabios|ovmf|ipxe)' <<<"$came"); fi
    if [[ -z $came ]]; then return 0; fi
    here_now=$(apt-mark showmanual)
    # shellcheck disable=SC2086
    apt-mark auto $came >>"$log" 2>&1
    removable=$(apt-get -s -o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false \
        autoremove 2>/dev/null | sed -n 's/^Remv \([^ :]*\).*/\1/p' | sort -u)
    # What only looked unneeded but had been chosen by hand, and is not ours to judge, is marked as it was.
    # shellcheck disable=SC2086
    apt-mark manual $here_now >>"$log" 2>&1
    comm -12 <(sort -u <<<"$came") <(printf '%s\n' "$removable")
}

foreign_domains() { [[ -n $(find /etc/libvirt/qemu -maxdepth 1 -name '*.xml' ! -name 'axle-*' 2>/dev/null) ]]; }

# The network that libvirt's own package starts came with it, and would stay after it.
remove_default_network() {
    if grep -qx libvirt-daemon-system <<<"$1"; then virsh -q -c qemu:///system net-destroy default >>"$log" 2>&1 || true; fi
}

keep_data() {
    rm -f "$record"/packages-*
    step "Axle is gone from this machine"
    fact "Kept: $state ${pools[*]} /etc/axle /var/log/axle. quickstart brings it all back;"
    fact "packaging/quickstart --remove --purge-data destroys it."
}

destroy_data() {
    step "Destroying disks and state"
    if [[ -e $record/group-is-ours ]]; then groupdel axle >>"$log" 2>&1 || true; fi
    local directory
    for directory in "${pools[@]}"; do
        if [[ ! -d $directory || $directory == "$state"/* ]]; then continue; fi
        rm -rf "$directory/volumes" "$directory/images" "$directory"/.axle* "$directory"/axle-pool*
        rmdir "$directory" 2>/dev/null || fact "$directory holds more than Axle's files: it stays"
    done
    for directory in "$state" /run/axle /var/log/axle; do
        [[ ! -d $directory ]] || find "$directory" -mindepth 1 -delete
        rmdir "$directory" 2>/dev/null || true # it may be a mount point
    done
    rmdir /etc/axle 2>/dev/null || true
    step "Axle is gone from this machine, with its disks and state"
    if [[ -d $top/build ]]; then fact "What was built stays in $top/build."; fi
}
