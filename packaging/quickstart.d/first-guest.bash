# shellcheck shell=bash
# The first guest: key, image, network, VM, each only if it was never made before; then waiting until it answers.
: "${record?}" "${log?}" "${image_source?}" "${image_from?}" "${here?}" "${state?}"

guest=first
network=default

make_first_guest() {
    step "Making the first guest"
    make_key
    make_image
    make_network
    make_vm
    wait_for_answer
}

# The keys of whoever called, also through sudo.
caller_home() { getent passwd "${SUDO_USER:-root}" | cut -d : -f 6; }

make_key() {
    key_name=''
    was_made "sshkey" && { key_name=$(<"$record/sshkey"); return 0; }
    local home file owner=${SUDO_USER:-root} name
    home=$(caller_home)
    if ! compgen -G "$home/.ssh/*.pub" >/dev/null; then
        fact "$owner has no ssh key: making $home/.ssh/id_ed25519"
        install -d -m 700 -o "$owner" "$home/.ssh"
        ssh-keygen -q -t ed25519 -N '' -f "$home/.ssh/id_ed25519" -C "$owner@$(hostname)" </dev/null
        chown "$owner" "$home"/.ssh/id_ed25519*
    fi
    for file in "$home"/.ssh/*.pub; do
        name=$(basename "$file" .pub | tr 'A-Z_.' 'a-z--')
        if axle sshkey create "$name" --file "$file" >>"$log" 2>&1 || axle sshkey get "$name" >>"$log" 2>&1; then
            key_name+="${key_name:+ }$name"
            fact "ssh key \"$name\" is $file"
        fi
    done
    if [[ -z $key_name ]]; then warn "no ssh key could be taken from $home/.ssh: nobody could log in to the guest (see $log)"; fi
    echo "$key_name" >"$record/sshkey"
    note_made sshkey
}

make_image() {
    image_name=debian-12
    case $image_source in
        catalogue) image_name=$image_from ;;
        address | file) image_name=$(basename "${image_from%%\?*}" | sed -E 's/\.(qcow2|img|raw|vmdk|xz|gz|zst)//g' | tr 'A-Z_' 'a-z-' | cut -c 1-60) ;;
        tiny) image_name=tiny ;;
    esac
    if was_made "image $image_name"; then return 0; fi
    axle image get "$image_name" >>"$log" 2>&1 && return 0
    case $image_source in
        catalogue | address) work "downloading the image $image_name" axle image create "$image_name" --url "$image_from" ;;
        file) work "importing the image $image_name" axle image create "$image_name" --file "$image_from" ;;
        tiny) make_tiny_image ;;
    esac || fail "the image could not be had (above)" "give another with --image URL|FILE|NAME"
    note_made "image $image_name"
}

make_tiny_image() {
    local builder=/usr/share/axle/guest/build directory=$state/quickstart/guest
    work "making a tiny guest of Debian's kernel and busybox" "$builder" "$directory" &&
        work "importing the image tiny" axle image create tiny --file "$directory/tiny.qcow2"
    local status=$?
    rm -rf "$directory"
    return $status
}

make_network() {
    was_made "network $network" && return 0
    if ! axle network get "$network" >>"$log" 2>&1; then
        work "making the network \"$network\"" axle network create "$network" --type nat || fail "the network could not be made (above)"
    fi
    note_made "network $network"
}

make_vm() {
    if was_made "vm $guest"; then
        axle vm get "$guest" >>"$log" 2>&1 || fact "the guest \"$guest\" was made before and deleted since: it stays so"
        return 0
    fi
    local memory=1GiB words=() name
    case $image_name in tiny*) memory=256MiB ;; esac
    for name in $key_name; do words+=(--ssh-key "$name"); done
    work "making the virtual machine \"$guest\" ($memory of memory)" \
        axle vm create "$guest" --image "$image_name" --cpus 1 --memory "$memory" --network "$network" "${words[@]}" ||
        fail "the guest could not be made (above)" "axle status"
    note_made "vm $guest"
}

guest_address() { axle vm get "$guest" -o json 2>>"$log" | tr -d ' \n' | sed -n 's/.*"addresses":\["\([0-9.]*\)".*/\1/p'; }
port_open() { timeout 2 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; }

# It answers when its ssh server (or, of the tiny guest, its page) takes a connection on the address that it has by DHCP.
wait_for_answer() {
    axle vm get "$guest" >>"$log" 2>&1 || return 0
    local deadline=$((SECONDS + 900)) last=$SECONDS started=$SECONDS
    guest_answers=''
    while ((SECONDS < deadline)); do
        address=$(guest_address)
        if [[ -n $address ]] && port_open "$address" 22; then
            guest_answers=yes
            fact "the guest answers at $address after $((SECONDS - started)) s"
            return 0
        fi
        if ((SECONDS - last >= 10)); then
            last=$SECONDS
            fact "waiting for the guest ... $((SECONDS - started)) s: $(axle vm log "$guest" 2>/dev/null | tr -d '\r' | grep -a '[[:print:]]' | tail -n 1 | cut -c 1-90)"
        fi
        sleep 0.5
    done
    warn "the guest did not answer within 15 minutes; what is known of it:"
    axle vm get "$guest" || true
}

tell_end() {
    local host
    host=$(hostname -I 2>/dev/null | cut -d ' ' -f 1)
    step "Axle is up"
    fact "the API            https://${host:-localhost}:7443, and the unix socket /run/axle/api.sock (root, group axle)"
    fact "from elsewhere     axle login https://${host:-localhost}:7443, with the token in $state/admin.token"
    if [[ -n ${guest_answers:-} ]]; then
        fact "the first guest    axle ssh $guest        (address $address, user $(guest_user))"
        fact "its screen         axle console $guest     (leave with Ctrl-])"
    fi
    fact "what to try next   axle status"
    fact "                   axle vm create second --image $image_name --network $network"
    fact "                   axle vm list; axle vm stop $guest; axle explain vm"
    fact "take it all back   packaging/quickstart --remove"
}

guest_user() { case $image_name in ubuntu*) echo ubuntu ;; tiny*) echo root ;; *) echo debian ;; esac; }
