"""All of a host that is not Axle's own, in a form that changes only if something was changed: what --remove has to
leave as it was, and what is not touched while Axle is there."""
import re

from cases import check
from host import wait_for

OURS = re.compile(r"^ax[btv]|^vnet")


def lines(host, *command):
    return sorted(host.run(*command, check=False).stdout.splitlines())


def surroundings(host):
    processes = host.run("ps", "-e", "-o", "args=").stdout.splitlines()
    settings = lines(host, "sysctl", "-a", "--pattern", r"^net\.(ipv4|ipv6|bridge)\.")
    rules = [line for family in ("iptables-save", "ip6tables-save")
             for line in host.run(family, check=False).stdout.splitlines()]
    definitions = lines(host, "sh", "-c", "ls /etc/libvirt/qemu/*.xml /run/libvirt/qemu/*.xml 2>/dev/null")
    return {
        "links": sorted(name for name in (line.split()[0] for line in lines(host, "ip", "-br", "link"))
                        if not OURS.match(name)),
        "addresses": [" ".join(line.split()) for line in lines(host, "ip", "-br", "-4", "addr")
                      if not OURS.match(line)],
        "routes": [line for line in lines(host, "ip", "route") if " dev ax" not in line],
        "tables": [line for line in lines(host, "nft", "list", "tables") if not line.endswith(" axle")],
        "rules": [re.sub(r"\[[0-9:]*\]", "", line) for line in rules if not line.startswith("#")],
        "settings": [line for line in settings
                     if not re.search(r"random|route|fs|conntrack|fastopen_key|\.(ax[btv]|vnet)", line)],
        "processes": sorted({line.split()[0] for line in processes
                             if re.search("axle|qemu|libvirt|virtlog|dnsmasq", line)}),
        "packages": lines(host, "dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\\n"),
        "domains": [path for path in definitions if "/axle-" not in path],
        "guests of ours": [path for path in definitions if "/axle-" in path],
        "units": lines(host, "find", "/etc/systemd", "/usr/lib/systemd", "/lib/systemd", "-name", "*axle*"),
        "configuration": lines(host, "sh", "-c", "find /etc -xdev -type f ! -path '/etc/axle/*'"
                                                 " ! -path '/etc/libvirt/*' ! -name '*-' ! -name ld.so.cache"
                                                 " | xargs -r sha256sum"),
    }


def check_same(host, before, parts=None, but=(), except_packages="none"):
    """The same as `before`: all of it, the parts named, or all but some."""
    wait_for("no guest's process is left but those that were there", 20,
             lambda: parts or surroundings(host)["processes"] == before["processes"])
    after = surroundings(host)
    after["packages"] = [line for line in after["packages"] if not line.startswith(except_packages)]
    for what in parts or [part for part in before if part not in but]:
        gone, new = sorted(set(before[what]) - set(after[what])), sorted(set(after[what]) - set(before[what]))
        check(after[what] == before[what], f"{what} changed: gone {gone}, new {new}")
