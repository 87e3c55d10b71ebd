# shellcheck shell=bash disable=SC2154  # first-guest.bash has set what is read here
# What is told at the end: where the API is, how to log in to it and to the guest, also from elsewhere, what to try next.
: "${state?}" "${here?}" "${packages?}"

# The address that other machines reach this one by.
own_address() {
    local address
    address=$(ip -4 -o route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p')
    echo "${address:-$(hostname)}"
}

# What the API listens on: the port, or nothing if only the socket.
api_port() { axle-allinone check-config 2>/dev/null | sed -n 's/.*"listen":"[^"]*:\([0-9]*\)".*/\1/p'; }

tell_end() {
    local port
    port=$(api_port)
    step "Axle is up"
    tell_api "$port"
    if [[ -n ${guest_answers:-} ]]; then tell_guest "$port"; fi
    fact ""
    fact "What to try next"
    fact "  axle status                            is all well? what isn't, and what to do"
    fact "  axle vm list"
    if [[ -n ${guest_answers:-} ]]; then fact "  axle console $guest                     its serial line; Ctrl-] leaves it"; fi
    fact "  axle vm create second --image $image_name --memory 256MiB${key_names:+ --ssh-key ${key_names%% *}}"
    fact "  axle explain vm.spec                   every field, with its unit, bounds and default"
    fact "  axle host token create                 a further machine joins with the line that this prints"
    fact "Take it all back with: $here/quickstart --remove"
}

tell_api() {
    fact "The API"
    fact "  on this machine: axle needs no set-up for root and members of the group axle (/run/axle/api.sock)"
    if [[ $caller != root ]]; then fact "  to make $caller one: adduser $caller axle, then log in anew"; fi
    if [[ -z $1 ]]; then
        fact "  from others: not, the configuration says \"listen: none\""
        return
    fi
    fact "  from others: https://$(own_address):$1"
    fact "    install ${packages}/axle-cli_*.deb there, then: axle login https://$(own_address):$1"
    fact "    the token that it asks for is in $state/admin.token (an administrator's: keep it safe)"
    fact "    the fingerprint that it shows has to be"
    fact "    $(authority_fingerprint)"
}

# As "axle login" shows it: of the last certificate that the server shows.
authority_fingerprint() {
    tac "$state/tls/server.pem" 2>/dev/null | sed '/BEGIN CERTIFICATE/q' | tac |
        openssl x509 -noout -fingerprint -sha256 2>/dev/null | sed 's/.*=//' || echo "(see journalctl -u 'axle*')"
}

tell_guest() {
    fact ""
    fact "The first guest, \"$guest\": $address, $(vm_field image)"
    if [[ -z $key_names ]]; then
        warn "nobody can log in to it: no ssh key was given"
        return
    fi
    fact "  as $caller on this machine:           ssh $(guest_user)@$address"
    fact "  as root or a member of axle:       axle ssh $guest"
    if [[ -n $1 ]]; then fact "  on another machine, logged in:     axle ssh $guest   (its user needs the private key of an ssh key above)"; fi
}
