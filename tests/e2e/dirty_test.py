"""quickstart on a machine that isn't empty, the half of it that namespaces can show (tests/run dirty has the other):
ufw is on, Docker's chains drop, libvirt runs a foreign guest, there are a bridge and a resolver."""
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cases import case, check, check_equal, run_cases
from cloud import Cloud, lab
from host import ROOT, wait_for
from surroundings import check_same, surroundings

PACKAGES = ROOT / "build/release/packages"
QUICKSTART = ROOT / "packaging/quickstart"
FOREIGN = """<domain type='qemu'><name>foreign</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<interface type='bridge'><source bridge='br0'/><target dev='foreign0'/><model type='virtio'/></interface>
</devices></domain>"""
NEIGHBOURS = """
set -e
ip link add br0 type bridge
ip addr add 192.168.77.1/24 dev br0
ip link set br0 up
printf '%s' "$FOREIGN" >/run/foreign.xml
virsh -q define /run/foreign.xml
virsh -q start foreign
dnsmasq --conf-file=/dev/null --no-resolv --bind-interfaces --interface=lo --address=/dirty.example/192.0.2.7
sed -i 's/^IPV6=.*/IPV6=no/' /etc/default/ufw
ufw --force enable
useradd -m -s /bin/sh ann
su ann -c 'mkdir ~/.ssh && ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/id_ed25519'
# As Docker does it.
iptables -N DOCKER-USER
iptables -A DOCKER-USER -j RETURN
iptables -N DOCKER
iptables -I FORWARD -o docker0 -j DOCKER
iptables -I FORWARD -j DOCKER-USER
"""
# What of others may not change while Axle is there; its own rules are no rules of iptables.
UNTOUCHED = ("links", "addresses", "routes", "tables", "domains")


def quickstart(cloud, *words, **options):
    """As ann has it, who may use sudo."""
    return cloud.host.run("env", "SUDO_USER=ann", QUICKSTART, *words, timeout=900, **options)


def check_neighbours(cloud):
    check_equal(cloud.host.run("virsh", "domstate", "foreign").stdout.strip(), "running", "the foreign guest")
    answer = cloud.host.run("busybox", "nslookup", "dirty.example", "127.0.0.1", check=False).stdout
    check("192.0.2.7" in answer, f"the resolver says {answer}")


@case("without consent, quickstart names the firewalls that are in the way, and touches nothing of others")
def asks(cloud):
    cloud.host.run("env", f"FOREIGN={FOREIGN}", "bash", "-c", NEIGHBOURS)
    cloud.before = surroundings(cloud.host)
    said = quickstart(cloud, "--packages", PACKAGES, "--yes").stdout
    check("the firewall of docker, ufw drops" in said and "quickstart --open-firewall" in said, f"it said:\n{said}")
    check("the guest answers" not in said, f"what is cut off can't answer:\n{said}")
    wait_for("the network's condition names the firewall", 30,
             lambda: "ufw" in cloud.axle("network", "get", "default").stdout)
    check_same(cloud.host, cloud.before, (*UNTOUCHED, "rules"))
    check_neighbours(cloud)


@case("with consent they are opened: the guest answers, lets in who called sudo, and reaches the world")
def opens(cloud):
    said = quickstart(cloud, "--packages", PACKAGES, "--open-firewall", "--yes").stdout
    check("Opening the firewall of docker, ufw" in said and "the guest answers at" in said, f"it said:\n{said}")
    check_equal(cloud.wait_http("first"), "hello from first", "the page")
    command = re.search(r"as ann on this machine: *(ssh .*)", said).group(1)
    cloud.host.run("su", "ann", "-c", f"{command} -o StrictHostKeyChecking=accept-new ping -c 1 -W 5"
                                      f" {cloud.world.address}", timeout=60)
    check_same(cloud.host, cloud.before, UNTOUCHED)
    check_neighbours(cloud)


@case("after --remove, all that belongs to others is as it was")
def removes(cloud):
    quickstart(cloud, "--remove", "--purge-data", "--yes")
    check_same(cloud.host, cloud.before)
    check_neighbours(cloud)


def make_lab():
    return lab(start=False, own_root="/")


if __name__ == "__main__":
    Cloud.program = "/usr/bin/axle"
    run_cases(make_lab)
