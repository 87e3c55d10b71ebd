# shellcheck shell=bash
# Taking all of it away: guests, furniture, host settings, packages that came with us. Disks and state only on demand.
: "${record?}" "${log?}" "${state?}" "${purge_data?}"

remove_everything() {
    tell_what_goes
    ask "To remove Axle from this machine, type its name ($(hostname)):" "$(hostname)" || fail "not the name of this machine: nothing was done"
    stop_guests
    stop_axle
    take_back_furniture
    remove_packages
    remove_data
    step "Axle is gone from this machine"
    if [[ -z $purge_data ]]; then fact "disks and state are kept: $(kept_places)"; fi
}

kept_places() { echo "$state${known_pool:+ and $known_pool}"; }

tell_what_goes() {
    known_pool=$(cat "$record/pool" 2>/dev/null || true)
    step "What is here"
    if ! axle status >>"$log" 2>&1; then
        fact "Axle does not answer; its guests on this machine:"
        virsh -q -c qemu:///system list --all --name 2>/dev/null | sed -n 's/^\(axle-.*\)/   \1/p'
    else
        axle vm list 2>/dev/null | sed 's/^/   /' || true
        axle volume list 2>/dev/null | sed 's/^/   /' || true
    fi
    local directory
    for directory in "$state" ${known_pool:+"$known_pool"}; do
        [[ -d $directory ]] && fact "$(du -sh "$directory" 2>/dev/null | cut -f 1) in $directory"
    done
    if [[ -n $purge_data ]]; then
        warn "--purge-data: every disk and all state listed above will be destroyed for good"
    else
        fact "disks and state stay (--purge-data would destroy them); guests are shut down, and Axle goes"
    fi
}

our_domains() { virsh -q -c qemu:///system list "$@" --name 2>/dev/null | grep '^axle-' || true; }

# In parallel, by their power button; what still runs after 60 s is switched off.
stop_guests() {
    local domain deadline=$((SECONDS + 60))
    stop_axle
    [[ -n $(our_domains) ]] || return 0
    step "Shutting the guests down"
    for domain in $(our_domains); do virsh -q -c qemu:///system shutdown "$domain" >>"$log" 2>&1 || true; done
    while [[ -n $(our_domains) ]] && ((SECONDS < deadline)); do sleep 0.5; done
    for domain in $(our_domains); do
        fact "$domain did not shut down within 60 s: switched off"
        virsh -q -c qemu:///system destroy "$domain" >>"$log" 2>&1 || true
    done
}

stop_axle() {
    if with_systemd; then
        systemctl disable --now axle-allinone.service >>"$log" 2>&1 || true
    elif [[ -x /usr/lib/axle/supervise ]]; then
        /usr/lib/axle/supervise stop-axle >>"$log" 2>&1 || true
    fi
}

# Bridges, taps, firewall tables, DHCP servers, changed settings of the host: the program knows what it made and changed.
take_back_furniture() {
    step "Taking back what was made on this machine"
    local domain
    for domain in $(our_domains --all); do virsh -q -c qemu:///system undefine --nvram "$domain" >>"$log" 2>&1 || true; done
    if [[ -x /usr/lib/axle/open-firewall ]]; then /usr/lib/axle/open-firewall close >>"$log" 2>&1 || true; fi
    if [[ -x /usr/bin/axle-allinone ]]; then
        work "removing bridges, rules and settings" /usr/bin/axle-allinone remove-furniture ||
            warn "some of it could not be taken back (above): ip link; nft list tables"
    fi
    if ! with_systemd && [[ -x /usr/lib/axle/supervise ]]; then /usr/lib/axle/supervise stop >>"$log" 2>&1 || true; fi
}

# Ours go. Of those that came with us, what nobody else needs by now; libvirt stays if somebody has domains in it.
remove_packages() {
    step "Removing packages"
    local ours=() extra
    mapfile -t ours < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'axle*' 2>/dev/null | sed -n 's/^installed //p')
    if ((${#ours[@]})); then apt "removing ${ours[*]}" apt-get purge -y "${ours[@]}" || fail "apt could not remove them (above)"; fi
    [[ -s $record/packages-ours ]] || return 0
    extra=$(unneeded_packages)
    if [[ -n $extra ]]; then
        # shellcheck disable=SC2086
        apt "removing $(wc -w <<<"$extra") packages that came with Axle" apt-get remove -y $extra ||
            warn "apt could not remove them (above)"
    fi
}

unneeded_packages() {
    local came here_now removable
    came=$(comm -12 "$record/packages-ours" <(installed))
    if foreign_domains; then came=$(grep -vE '^(libvirt|qemu|seabios|ovmf|ipxe)' <<<"$came"); fi
    here_now=$(apt-mark showmanual)
    # shellcheck disable=SC2086
    apt-mark auto $came >>"$log" 2>&1
    removable=$(apt-get -s autoremove 2>/dev/null | sed -n 's/^Remv \([^ :]*\).*/\1/p' | sort -u)
    # What only looked unneeded but had been chosen by hand, and is not ours to judge, is marked as it was.
    # shellcheck disable=SC2086
    apt-mark manual $here_now >>"$log" 2>&1
    comm -12 <(sort -u <<<"$came") <(printf '%s\n' "$removable")
}

foreign_domains() { [[ -n $(find /etc/libvirt/qemu -maxdepth 1 -name '*.xml' ! -name 'axle-*' 2>/dev/null) ]]; }

remove_data() {
    if [[ -z $purge_data ]]; then
        rm -f "$record"/packages-*
        return
    fi
    step "Destroying disks and state"
    if [[ -n $known_pool && $known_pool != "$state"* ]]; then
        rm -rf "$known_pool/volumes" "$known_pool/images" "$known_pool"/.axle* "$known_pool"/axle-pool*
        rmdir "$known_pool" 2>/dev/null || true
    fi
    local directory
    for directory in "$state" /run/axle /var/log/axle; do
        [[ ! -d $directory ]] || find "$directory" -mindepth 1 -delete
        rmdir "$directory" 2>/dev/null || true # it may be a mount point
    done
    rmdir /etc/axle 2>/dev/null || true
}
