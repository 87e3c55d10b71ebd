# shellcheck shell=bash
# The distribution's kernel for machines of tests, and modules for their initrd. A program sources this file and has
# `work`, a directory of its own.

# Sets `kernel` (a vmlinuz) and `module_tree` (its lib/modules/VERSION): those that are installed (the cloud kernel if
# there is one), else those of the cloud kernel's package, downloaded and unpacked but not installed.
find_kernel() {
    local candidate
    for candidate in $(ls -rv /boot/vmlinuz-*-cloud-amd64 2>/dev/null) $(ls -rv /boot/vmlinuz-*-amd64 2>/dev/null); do
        module_tree=/lib/modules/${candidate#/boot/vmlinuz-}
        if [[ -r $candidate && -f $module_tree/modules.dep ]]; then
            kernel=$candidate
            return
        fi
    done
    download_kernel
}

download_kernel() {
    local package
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: *\(linux-image-[0-9].*\)/\1/p' | head -n 1)
    [[ -n $package ]] || { echo "build: no kernel in /boot, and apt knows no linux-image-cloud-amd64: run apt-get update" >&2; exit 1; }
    # shellcheck disable=SC2154  # of whoever sources this
    (cd "$work" && apt-get -qq download "$package" >&2 && dpkg-deb -x linux-image-*.deb unpacked)
    # shellcheck disable=SC2034  # whoever sources this reads it
    kernel=$(echo "$work"/unpacked/boot/vmlinuz-*)
    module_tree=$(echo "$work"/unpacked/lib/modules/*)
    [[ -f $module_tree/modules.dep ]] || /sbin/depmod -b "$work/unpacked" "${module_tree##*/}"
}

# add_module ROOT NAME: to ROOT/modules, named in ROOT/modules/order after what it depends on; one that is built into the
# kernel is none.
add_module() {
    local line file name
    mkdir -p "$1/modules"
    line=$(grep -E "/${2//_/[_-]}\.ko(\.xz)?:" "$module_tree/modules.dep") || return 0
    for file in $(tr ' ' '\n' <<<"${line#*:}" | tac) "${line%%:*}"; do
        name=$(basename "${file%.xz}")
        grep -qx "$name" "$1/modules/order" 2>/dev/null && continue
        case $file in
            *.xz) xz -dc "$module_tree/$file" >"$1/modules/$name" ;;
            *) cp "$module_tree/$file" "$1/modules/$name" ;;
        esac
        echo "$name" >>"$1/modules/order"
    done
}

# pack_initrd ROOT: as cpio, to the output.
pack_initrd() { (cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0); }
