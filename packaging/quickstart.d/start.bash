# shellcheck shell=bash
# Starting: by systemd, or under our own supervisor where systemd is not process 1. Opening others' firewalls.
: "${record?}" "${pool?}" "${open_firewall?}" "${log?}" "${service_manager?}"

start_axle() {
    step "Starting Axle"
    if [[ $service_manager == systemd ]]; then
        work "starting the service" systemctl enable --now axle-allinone.service ||
            fail "axle-allinone.service did not start (above)" "journalctl -u axle-allinone"
    else
        fact "systemd is not process 1 here: starting virtlogd, libvirtd and Axle under /usr/lib/axle/supervise"
        /usr/lib/axle/supervise stop
        /usr/lib/axle/supervise start || fail "the supervisor did not start" "see /var/log/axle"
    fi
    wait_for_api
    make_pool
}

wait_for_api() {
    local deadline=$((SECONDS + 60))
    until [[ -n $(axle host list -o name 2>>"$log") ]]; do
        ((SECONDS < deadline)) || fail "the API did not answer within 60 s, or knows no host" "$(where_the_log_is)"
        sleep 0.2
    done
    fact "the API answers"
}

where_the_log_is() {
    if [[ $service_manager == systemd ]]; then echo "journalctl -u axle-allinone"; else echo "see /var/log/axle/axle-allinone.log"; fi
}

make_pool() {
    was_made "pool default" && return 0
    if ! axle pool get default >>"$log" 2>&1; then
        axle pool delete main >>"$log" 2>&1 || true # the one that a first start makes, still empty
        work "making the pool \"default\" at $pool" axle pool create default --path "$pool" || fail "the pool could not be made (above)"
    fi
    echo "$pool" >"$record/pool"
    note_made "pool default"
}

# Others' firewalls that drop what they don't know cut guests off. They are opened only with the user's word.
open_foreign_firewalls() {
    local found
    found=$(/usr/lib/axle/open-firewall list)
    [[ -n $found ]] || return 0
    if [[ -z $open_firewall ]]; then
        warn "the firewall of ${found//$'\n'/, } drops what it doesn't know: guests are cut off. To let them through, run"
        warn "packaging/quickstart --open-firewall (taken back by --remove)"
        return 0
    fi
    step "Opening the firewall of ${found//$'\n'/, } for guests, as you asked"
    work "opening" /usr/lib/axle/open-firewall open || fail "the firewall could not be opened (above)" "axle doctor"
    if with_systemd; then work "keeping it open after a boot" systemctl enable axle-open-firewall.service; fi
}
