# shellcheck shell=bash disable=SC2034  # end.bash tells what is found out here
# The first guest: key, image, network, VM, each only if it was never made before; then waiting until it answers.
: "${record?}" "${log?}" "${packages?}" "${image?}" "${image_source?}" "${image_from?}" "${here?}" "${state?}"

guest=first
network=default
caller=${SUDO_USER:-root}

make_first_guest() {
    step "Making the first guest"
    make_keys
    make_image
    make_network
    make_vm
    wait_for_answer
}

have() { axle "$1" get "$2" >>"$log" 2>&1; }

# The keys of whoever called, also through sudo.
make_keys() {
    key_names=''
    home=$(getent passwd "$caller" | cut -d : -f 6)
    if was_made sshkey; then
        key_names=$(<"$record/sshkey")
        return 0
    fi
    if ! compgen -G "$home/.ssh/*.pub" >/dev/null; then make_new_key; fi
    local file
    for file in "$home"/.ssh/*.pub; do take_key "$file"; done
    if [[ -z $key_names ]]; then
        warn "no ssh key could be taken from $home/.ssh: nobody could log in to the guest (why: $log). Make one with"
        warn "ssh-keygen, then: axle sshkey create me --file FILE.pub; axle vm create NAME --ssh-key me ..."
    fi
    echo "$key_names" >"$record/sshkey"
    note_made sshkey
}

make_new_key() {
    local file=$home/.ssh/id_ed25519
    fact "$caller has no ssh key: making $file"
    install -d -m 700 -o "$caller" -g "$(id -g "$caller")" "$home/.ssh"
    ssh-keygen -q -t ed25519 -N '' -f "$file" -C "$caller@$(hostname)" </dev/null >>"$log" 2>&1
    chown "$caller:$(id -g "$caller")" "$file" "$file.pub"
}

take_key() {
    local name
    name=$(basename "$1" .pub | tr 'A-Z_.' 'a-z--' | sed 's/[^a-z0-9-]//g; s/^-*//; s/-*$//')
    if have sshkey "${name:=key}" || axle sshkey create "$name" --file "$1" >>"$log" 2>&1; then
        key_names+="${key_names:+ }$name"
        fact "ssh key \"$name\" is $1"
    else
        warn "$1 was not taken: $(tail -n 1 "$log")"
    fi
}

make_image() {
    name_image
    if was_made "image $image_name" || have image "$image_name"; then return 0; fi
    # Nothing is downloaded for a guest that was made before.
    if was_made "vm $guest"; then return 0; fi
    if ! get_image; then
        if [[ -n $image || $image_source == tiny ]]; then
            fail "the image could not be had (above)" "give another with --image URL|FILE|NAME"
        fi
        warn "the image $image_name could not be had (above): making a tiny guest of Debian's kernel and busybox instead"
        axle image delete "$image_name" --now >>"$log" 2>&1 || true
        image_source=tiny image_from=''
        name_image
        get_image || fail "nor could that (above)" "give an image with --image FILE"
    fi
    note_made "image $image_name"
}

name_image() {
    case $image_source in
        catalogue) image_name=$image_from ;;
        tiny) image_name=tiny ;;
        *) image_name=$(basename "${image_from%%\?*}" | sed -E 's/\.(qcow2|img|raw|vmdk|xz|gz|zst)//g' | tr 'A-Z_' 'a-z-' | cut -c 1-60) ;;
    esac
}

get_image() {
    case $image_source in
        catalogue | address) work "downloading the image $image_name" axle image create "$image_name" --url "$image_from" ;;
        file) work "importing the image $image_name" axle image create "$image_name" --file "$image_from" ;;
        tiny) make_tiny_image ;;
    esac
}

make_tiny_image() {
    local builder=/usr/share/axle/guest/build directory=$state/quickstart/guest status=0 missing
    missing=$(comm -13 <(installed) <("$here/list-packages" guest | sort -u))
    if [[ -n $missing ]]; then
        # shellcheck disable=SC2086
        apt "installing what makes a tiny guest" apt-get install -y --no-install-recommends $missing || return 1
        note_packages
    fi
    work "making a tiny guest of Debian's kernel and busybox" "$builder" "$directory" &&
        work "importing the image tiny" axle image create tiny --file "$directory/tiny.qcow2" || status=1
    rm -rf "$directory"
    return $status
}

make_network() {
    if was_made "network $network"; then return 0; fi
    if ! have network "$network"; then
        work "making the network \"$network\"" axle network create "$network" --type nat || fail "the network could not be made (above)"
    fi
    note_made "network $network"
}

make_vm() {
    if was_made "vm $guest"; then
        have vm "$guest" || fact "the guest \"$guest\" was made before and deleted since: it stays so"
        return 0
    fi
    if ! have vm "$guest"; then create_vm; fi
    note_made "vm $guest"
}

create_vm() {
    local memory=1GiB words=() name
    case $image_name in tiny*) memory=256MiB ;; esac
    for name in $key_names; do words+=(--ssh-key "$name"); done
    work "making the virtual machine \"$guest\" ($memory of memory)" \
        axle vm create "$guest" --image "$image_name" --cpus 1 --memory "$memory" --network "$network" "${words[@]}" ||
        fail "the guest could not be made (above)" "axle status"
}

# vm_field NAME: of the first guest, a text or the first of a list.
vm_field() { axle vm get "$guest" -o json 2>>"$log" | tr -d ' \n' | sed -n "s/.*\"$1\":\[\{0,1\}\"\([^\"]*\)\".*/\1/p"; }
port_open() { timeout 2 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; }

# It answers when its ssh server takes a connection on the address that it has by DHCP, and lets in who has the key.
wait_for_answer() {
    guest_answers='' address=''
    have vm "$guest" || return 0
    if [[ $(vm_field power) != running ]]; then
        fact "the guest \"$guest\" is off: axle vm start $guest"
        return 0
    fi
    local patience=900 last=$SECONDS started=$SECONDS
    # Where a firewall is in the way it most likely never will: what is learnt by waiting is soon learnt.
    if [[ -n ${blocked_by:-} ]]; then patience=30; fi
    while ((SECONDS - started < patience)); do
        address=$(vm_field addresses)
        if [[ -n $address ]] && port_open "$address" 22; then
            guest_answers=yes
            fact "the guest answers at $address after $((SECONDS - started)) s"
            try_login
            return 0
        fi
        if ((SECONDS - last >= 10)); then
            last=$SECONDS
            fact "waiting for the guest ... $((SECONDS - started)) s: $(last_word_of_guest)"
        fi
        sleep 0.5
    done
    if [[ -n ${blocked_by:-} ]]; then
        warn "the guest does not answer: the firewall of $blocked_by cuts it off (quickstart --open-firewall)"
        return 0
    fi
    warn "the guest did not answer within 15 minutes; what is known of it (its log: axle vm log $guest):"
    axle vm get "$guest" || true
}

last_word_of_guest() {
    local words
    words=$(axle vm log "$guest" 2>/dev/null | tr -d '\r' | grep -a '[[:print:]]' | tail -n 1 | cut -c 1-90)
    echo "${words:-nothing on its serial line yet}"
}

# The private key of the caller's that the guest knows and that needs no passphrase; fails if there is none.
usable_key() {
    local file
    for file in "$home"/.ssh/*.pub; do
        if [[ -f ${file%.pub} ]] && ssh-keygen -y -P '' -f "${file%.pub}" >/dev/null 2>&1; then
            echo "${file%.pub}"
            return 0
        fi
    done
    return 1
}

# What is printed as the way in has been gone once.
try_login() {
    local key deadline=$((SECONDS + 60))
    [[ -n $key_names ]] && key=$(usable_key) || return 0
    while ((SECONDS < deadline)); do
        if ssh -i "$key" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5 \
            "$(guest_user)@$address" true >>"$log" 2>&1 </dev/null; then
            fact "logging in as $(guest_user) with $key works"
            return 0
        fi
        sleep 1
    done
    warn "logging in as $(guest_user) with $key did not work yet (see $log)"
}

# As the command line has it.
guest_user() {
    local of name
    of=$(vm_field image)
    for name in debian ubuntu fedora almalinux rocky centos arch alpine; do
        if [[ $of == *"$name"* ]]; then
            echo "$name"
            return 0
        fi
    done
    echo root
}
