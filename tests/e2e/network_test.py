"""Networks: out by NAT, in by port forwards, apart by anti-spoofing; and what belongs to others stays as it was."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cases import case, check, check_equal, run_cases
from cloud import lab
from host import wait_for

FOREIGN = """<domain type='qemu'><name>foreign</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<interface type='bridge'><source bridge='br0'/><target dev='foreign0'/><model type='virtio'/></interface>
</devices></domain>"""
FOREIGN_RULES = """table inet theirs {
  chain input { type filter hook input priority 10; policy accept; tcp dport 9 drop; }
}
table bridge theirs {
  chain f { type filter hook forward priority 10; policy accept; }
}"""


def others(cloud):
    """What belongs to others, in a form that changes only if something was changed."""
    run = cloud.host.run
    ours = ("axb", "axt", "axv")
    links = [line for line in run("ip", "-br", "addr").stdout.splitlines() if not line.startswith(ours)]
    return {
        # A fresh link is UNKNOWN until the kernel has looked: as good as UP.
        "links and addresses": [" ".join(line.replace("UNKNOWN", "UP").split()) for line in links],
        "routes": [line for line in run("ip", "route").stdout.splitlines() if " dev ax" not in line],
        "their rules": run("nft", "-s", "list", "table", "inet", "theirs").stdout
                       + run("nft", "-s", "list", "table", "bridge", "theirs").stdout,
        "iptables": [line for line in run("iptables-save").stdout.splitlines() if line[:1] in "-*"],
        "domain": run("virsh", "domstate", "foreign").stdout + run("virsh", "dumpxml", "foreign").stdout,
    }


def prepare(cloud):
    run = cloud.host.run
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "addr", "add", "192.168.77.1/24", "dev", "br0")
    run("ip", "link", "set", "br0", "up")
    run("nft", "-f", "-", input=FOREIGN_RULES)
    (cloud.host.directory / "etc-libvirt/foreign.xml").write_text(FOREIGN)
    run("virsh", "define", "/etc/libvirt/foreign.xml")
    run("virsh", "start", "foreign")


@case("guests of one network reach each other, the host, and by NAT the world outside")
def inside_and_out(cloud):
    prepare(cloud)
    cloud.before = others(cloud)
    cloud.import_tiny()
    cloud.axle("network", "create", "default", "--type", "nat")
    cloud.axle("sshkey", "create", "mine", "--file", cloud.host.directory / "key.pub")
    for name in ("net1", "net2"):
        cloud.create_vm(name, "--ssh-key", "mine")
    for name in ("net1", "net2"):
        cloud.wait_http(name, 180)
    second = cloud.address("net2")
    for target in (second, cloud.world.address):
        said = cloud.ssh("net1", f"ping -c 2 -W 3 {target}", check=False)
        check(said.returncode == 0, f"net1 to {target}: {said.stdout}")


@case("a port forward answers from outside, and not after it is deleted")
def port_forward(cloud):
    cloud.axle("portforward", "create", "web", "--vm", "net1", "--host-port", "8080", "--guest-port", "80")

    def from_outside():
        return cloud.http(cloud.host.address, 8080, cloud.world)

    wait_for("the port answers from outside", 20, lambda: from_outside() == "hello from net1")
    cloud.axle("portforward", "delete", "web")
    wait_for("the port is closed", 20, lambda: from_outside() is None)
    check_equal(cloud.http(cloud.address("net1")), "hello from net1", "the page from the host")


@case("a guest with another's address is not heard")
def spoofing(cloud):
    second = cloud.address("net2")
    cloud.ssh("net1", f"(ip addr add {second}/32 dev eth0; ping -c 2 -W 1 -I {second} {_gateway(cloud)}; "
                      f"arping -c 2 -w 2 -U -I eth0 {second}; ip addr del {second}/32 dev eth0) >/tmp/out 2>&1",
              check=False)
    said = cloud.ssh("net1", "cat /tmp/out").stdout
    check("0 packets received" in said or "100% packet loss" in said, f"it was answered: {said}")
    check_equal(cloud.http(second), "hello from net2", "the page of the guest whose address it took")


def _gateway(cloud):
    return cloud.ssh("net1", "ip route | sed -n 's/^default via \\([0-9.]*\\).*/\\1/p'").stdout.strip()


@case("names of guests are answered by their network's own resolver")
def names(cloud):
    said = cloud.ssh("net1", f"nslookup net2 {_gateway(cloud)}", check=False).stdout
    check(cloud.address("net2") in said, f"nslookup net2: {said}")


@case("a flush of all rules by somebody else is undone at once")
def flushed_rules(cloud):
    def tables():
        return cloud.host.run("nft", "list", "tables").stdout

    theirs = cloud.host.run("nft", "-s", "list", "ruleset").stdout
    cloud.host.run("nft", "flush", "ruleset")
    wait_for("our tables are back", 15, lambda: "inet axle" in tables() and "bridge axle" in tables())
    check_equal(cloud.http(cloud.address("net2")), "hello from net2", "the page of a guest")
    cloud.host.run("nft", "-f", "-", input=FOREIGN_RULES)
    check("table inet theirs" in theirs, "the others' rules were there before")


@case("a bridge of ours that somebody deletes is made again at once, and its guests answer")
def deleted_bridge(cloud):
    links = cloud.host.run("ip", "-br", "link").stdout.splitlines()
    bridge = next(line.split()[0] for line in links if line.startswith("axb"))
    cloud.host.run("ip", "link", "del", bridge)
    wait_for("the guest answers again", 20, lambda: cloud.http(cloud.address("net1")) == "hello from net1")


@case("a NIC comes to a running guest, gets its address there, and leaves it again")
def nic_hot_plug(cloud):
    cloud.axle("network", "create", "second", "--type", "nat")
    pid = cloud.qemu_pid("net1")
    cloud.axle("vm", "set", "net1", "nics.extra.network=second", timeout=60)

    def cards():
        return cloud.ssh("net1", "ls /sys/class/net", check=False).stdout.split()

    wait_for("the guest has a second card", 20, lambda: "eth1" in cards())
    address = cloud.get("vm", "net1")["status"]["nics"]["extra"]["address"]
    cloud.ssh("net1", "ip link set eth1 up; udhcpc -i eth1 -s /bin/dhcp-hook -t 8 -T 1 -n -q >/dev/null 2>&1",
              check=False)
    check(f" {address}/" in cloud.ssh("net1", "ip -4 addr show dev eth1").stdout, f"eth1 has {address}")
    check_equal(cloud.http(address), "hello from net1", "the page at the new address")
    check(not cloud.get("vm", "net1")["status"].get("needsReboot"), "it needs no reboot")
    taps = len(_taps(cloud))
    cloud.axle("vm", "set", "net1", "nics.extra=", timeout=60)
    wait_for("the card has left the guest", 30, lambda: "eth1" not in cards())
    wait_for("its tap is gone", 20, lambda: len(_taps(cloud)) == taps - 1)
    check_equal(cloud.qemu_pid("net1"), pid, "process of the guest")
    cloud.axle("network", "delete", "second", timeout=60)


def _taps(cloud):
    return [line for line in cloud.host.run("ip", "-br", "link").stdout.splitlines() if line.startswith("axt")]


@case("a range that the host has a route to is refused")
def overlap(cloud):
    _, said = cloud.refused("network", "create", "clash", "--type", "nat", "--cidr", "192.168.77.0/24")
    check("192.168.77" in said and "br0" in said, f"it said: {said}")


@case("a guest on an existing bridge, which stays as it is")
def bridged(cloud):
    cloud.axle("network", "create", "house", "--type", "bridged", "--bridge", "br0")
    cloud.create_vm("net3", network="house")
    cloud.wait_phase("net3", "running")
    ports = cloud.host.run("bridge", "link").stdout
    check(ports.count("master br0") == 2, f"ports of br0: {ports}")
    cloud.axle("vm", "delete", "net3", "--now", timeout=120)
    cloud.axle("network", "delete", "house")


@case("with Axle at work, what belongs to others is as it was")
def others_with(cloud):
    _compare(cloud)


@case("when all is deleted nothing is left, and others' things are as they were")
def nothing_left(cloud):
    for name in ("net1", "net2"):
        cloud.axle("vm", "delete", name, "--now", timeout=120)
    cloud.axle("network", "delete", "default", timeout=60)

    def our_links():
        return [line for line in cloud.host.run("ip", "-br", "link").stdout.splitlines() if line.startswith("ax")]

    wait_for("bridges and taps are gone", 30, lambda: not our_links())
    processes = cloud.host.run("ps", "-e", "-o", "args=").stdout
    check("axb" not in processes, f"a DHCP server is left:\n{processes}")
    _compare(cloud)


def _compare(cloud):
    now = others(cloud)
    for what, value in cloud.before.items():
        check_equal(now[what], value, what)


if __name__ == "__main__":
    run_cases(lab)
