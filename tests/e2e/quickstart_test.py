"""The two commands, on a machine without systemd: a host with a root file system of its own and the ready packages."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cases import case, check, check_equal, run_cases
from cloud import Cloud, lab
from host import ROOT, wait_for

PACKAGES = ROOT / "build/release/packages"
QUICKSTART = ROOT / "packaging/quickstart"


def quickstart(cloud, *words, **options):
    return cloud.host.run(QUICKSTART, *words, timeout=900, **options)


def surroundings(cloud):
    """What a removal has to leave as it was."""
    run = cloud.host.run
    processes = run("ps", "-e", "-o", "args=").stdout.splitlines()
    return {
        "links": sorted(line.split()[0] for line in run("ip", "-br", "link").stdout.splitlines()),
        "rules": run("nft", "list", "ruleset").stdout,
        "settings": run("sysctl", "net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding").stdout,
        "processes": sorted({line.split()[0] for line in processes if "axle" in line or "qemu" in line}),
        "domains": run("virsh", "-q", "list", "--all", "--name", check=False).stdout.split(),
    }


@case("quickstart refuses another system and another user in a sentence")
def refuses(cloud):
    elsewhere = ("sed 's/^VERSION_ID=.*/VERSION_ID=11/' /etc/os-release >/run/os-release"
                 " && mount --bind /run/os-release /usr/lib/os-release")
    result = cloud.host.run("unshare", "-m", "sh", "-c", f"{elsewhere} && {QUICKSTART} --packages {PACKAGES}",
                            check=False)
    check(result.returncode == 1 and "made and tested for Debian 12" in result.stderr, f"on Debian 11: {result.stderr}")
    result = cloud.host.run("setpriv", "--reuid=nobody", "--clear-groups", QUICKSTART, check=False)
    check(result.returncode == 1 and "sudo" in result.stderr, f"as nobody: {result.stderr}")


@case("quickstart ends with a guest that answers")
def installs(cloud):
    cloud.before = surroundings(cloud)
    said = quickstart(cloud, "--packages", PACKAGES).stdout
    check("the guest answers at" in said and "axle ssh first" in said, f"it said:\n{said}")
    check("systemd is not process 1" in said, "it says who starts the programs")
    check_equal(cloud.wait_http("first"), "hello from first", "the page")


@case("a host's administrator logs in to the guest with axle ssh")
def logs_in(cloud):
    check_equal(cloud.axle("ssh", "first", "--", "hostname", timeout=60).stdout.strip(), "first", "host name")


@case("run again, it upgrades in place and disturbs no guest")
def again(cloud):
    pid = cloud.qemu_pid("first")
    quickstart(cloud, "--packages", PACKAGES)
    check_equal(cloud.qemu_pid("first"), pid, "process of the guest")
    check_equal(cloud.names("vm"), ["first"], "guests")


@case("run again, it brings nothing back that was deleted")
def deleted(cloud):
    cloud.axle("vm", "delete", "first", "--now", timeout=120)
    quickstart(cloud, "--packages", PACKAGES)
    check_equal(cloud.names("vm"), [], "guests")
    cloud.create_vm("kept")
    cloud.wait_phase("kept", "running")


@case("--remove takes all away but disks and state, and needs the host's name")
def remove(cloud):
    result = quickstart(cloud, "--remove", check=False)
    check(result.returncode == 1 and "--yes" in result.stderr, f"unasked: {result.stderr}")
    result = cloud.host.run("sh", "-c", f"echo wrong | script -qec '{QUICKSTART} --remove' /dev/null", check=False)
    check(cloud.names("vm") == ["kept"], f"with a wrong name: {result.stdout}")
    quickstart(cloud, "--remove", "--yes")
    _compare(cloud)
    check(cloud.host.path("/var/lib/axle").exists(), "the state was not kept")
    check(not cloud.host.path("/usr/bin/axle").exists(), "the command line is left")


@case("installed again after --remove, what was kept is there again")
def comes_back(cloud):
    quickstart(cloud, "--packages", PACKAGES)
    check_equal(cloud.names("vm"), ["kept"], "guests")
    cloud.wait_http("kept")


@case("--remove --purge-data leaves nothing")
def purge(cloud):
    quickstart(cloud, "--remove", "--purge-data", "--yes")
    _compare(cloud)
    left = cloud.host.run("find", "/var/lib/axle", "/run/axle", "/etc/axle", "-mindepth", "1", check=False).stdout
    check_equal(left, "", "files left")


def _compare(cloud):
    wait_for("libvirt's own processes are gone", 20, lambda: "qemu" not in str(surroundings(cloud)["processes"]))
    after = surroundings(cloud)
    for what, value in cloud.before.items():
        check_equal(after[what], value, what)


def make_lab():
    return lab(start=False, libvirt=False, own_root="/")


if __name__ == "__main__":
    Cloud.program = "/usr/bin/axle"
    run_cases(make_lab)
