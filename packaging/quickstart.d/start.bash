# shellcheck shell=bash
# Starting: by systemd, or under our own supervisor where systemd is not process 1. Opening others' firewalls.
: "${record?}" "${state?}" "${pool?}" "${open_firewall?}" "${yes?}" "${log?}" "${service_manager?}"

configuration=/etc/axle/axle.yaml

# The very first start makes the pool "main"; where, is in the configuration, as a person would have written it there.
configure_first_pool() {
    if [[ ! -d $state/store ]] && ! grep -q '^firstPool:' "$configuration" && [[ $pool != "$state/pools/main" ]]; then
        local quoted=${pool//\\/\\\\}
        printf '\n# By quickstart:\nfirstPool: "%s"\n' "${quoted//\"/\\\"}" >>"$configuration"
        axle-allinone check-config >>"$log" 2>&1 || fail "$(axle-allinone check-config 2>&1)" "choose another place with --pool PATH"
    fi
    [[ -s $record/pool ]] || echo "$pool" >"$record/pool"
}

start_axle() {
    step "Starting Axle"
    if [[ $service_manager == systemd ]]; then
        start_units
    else
        fact "systemd is not process 1 here: virtlogd, libvirtd and Axle run under /usr/lib/axle/supervise"
        work "starting them" /usr/lib/axle/supervise restart-axle || fail "the supervisor did not start (above)" "see /var/log/axle"
    fi
    if [[ $(our_programs) == axle-agent ]]; then
        step "This machine is a host; its orchestrator has moved away"
        fact "axle-agent status tells where to, and whether it is connected"
        exit 0
    fi
    wait_for_api
    # After a quickstart --remove that kept data, guests that were running run again.
    axle-allinone host-stays-up >>"$log" 2>&1 || warn "guests that --remove had shut down may not start by themselves"
}

start_units() {
    local programs
    read -ra programs < <(our_programs)
    systemctl enable "${programs[@]/%/.service}" >>"$log" 2>&1
    work "starting ${programs[*]}" systemctl restart "${programs[@]/%/.service}" ||
        fail "${programs[*]} did not start (above)" "$(where_the_log_is)"
}

wait_for_api() {
    local deadline=$((SECONDS + 60)) started=$SECONDS
    until [[ -n $(axle host list -o name 2>>"$log") ]]; do
        ((SECONDS < deadline)) || fail "the API did not answer within 60 s, or knows no host" "$(where_the_log_is)"
        sleep 0.2
    done
    fact "the API answers after $((SECONDS - started)) s"
}

where_the_log_is() {
    local program
    program=$(our_programs)
    if [[ $service_manager == systemd ]]; then echo "journalctl -u ${program%% *}"; else echo "see /var/log/axle/${program%% *}.log"; fi
}

# Others' firewalls that drop what they don't know cut guests off. They are opened only with the user's word, for which
# --yes is not enough.
open_foreign_firewalls() {
    blocked_by=$(axle-allinone firewalls 2>>"$log" | sort | paste -sd , | sed 's/,/, /g')
    if [[ -z $blocked_by ]]; then return 0; fi
    if [[ -z $open_firewall && -z $yes && -t 0 ]]; then
        step "The firewall of $blocked_by drops what it doesn't know: guests would be cut off"
        if ask "Let them through there (--remove takes it back)? yes or no:" yes; then open_firewall=yes; fi
    fi
    if [[ -z $open_firewall ]]; then
        warn "the firewall of $blocked_by drops what it doesn't know: guests are cut off. To let them through, run"
        warn "packaging/quickstart --open-firewall (taken back by --remove)"
        return 0
    fi
    step "Opening the firewall of $blocked_by for guests, as you asked"
    work "opening" axle-allinone open-firewall || fail "the firewall could not be opened (above)" "axle doctor"
    if with_systemd; then work "keeping it open after a boot" systemctl enable --now axle-open-firewall.service; fi
    blocked_by=''
}
