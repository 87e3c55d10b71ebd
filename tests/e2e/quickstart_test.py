"""The two commands, on a machine without systemd: a host with a root file system of its own and the ready packages."""
import re
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cases import case, check, check_equal, run_cases
from cloud import BINARIES, Cloud, lab
from host import ROOT, run
from surroundings import check_same, surroundings

PACKAGES = ROOT / "build/release/packages"
QUICKSTART = ROOT / "packaging/quickstart"
POOL = "/srv/disks"


def quickstart(cloud, *words, **options):
    return cloud.host.run(QUICKSTART, *words, timeout=900, **options)


def printed(said, pattern):
    found = re.search(pattern, said)
    check(found, f"it does not say {pattern!r}:\n{said}")
    return found.group(1).strip()


@case("the packages hold what they should, and nothing else")
def packages(_):
    libraries = r"lib/(axle|systemd|sysusers\.d|tmpfiles\.d|NetworkManager/conf\.d)"
    allowed = rf"\./(etc/axle|usr/(bin/axle|{libraries}|share/(axle|doc|man|bash-completion|zsh)))"
    for package in PACKAGES.glob("*.deb"):
        content = run(["dpkg-deb", "-c", package]).stdout.splitlines()
        files = [line.split()[5] for line in content if not line.startswith("d")]
        check(files and all(re.match(allowed, file) for file in files), f"{package.name}: {files}")
        check(all(" root/root " in line for line in content), f"{package.name} has files of others")
        control = run(["dpkg-deb", "-f", package]).stdout
        for field in ("Depends", "Description", "Section", "Installed-Size"):
            check(f"{field}: " in control, f"{package.name} has no {field}:\n{control}")
        check("/usr/share/doc/" in str(files) and "copyright" in str(files), f"{package.name} has no copyright")
    for name in ("axle-cli", "axle"):
        check(list(PACKAGES.glob(f"{name}_*.deb")), f"there is no package {name}")
    content = run(["dpkg-deb", "-c", next(PACKAGES.glob("axle-cli_*.deb"))]).stdout
    for file in ("man1/axle.1.gz", "man1/axle-vm.1.gz", "bash-completion/completions/axle", "vendor-completions/_axle"):
        check(f"/usr/share/man/{file}" in content or f"/usr/share/{file}" in content.replace("zsh/", ""), f"no {file}")
    cli = run(["dpkg-deb", "-I", next(PACKAGES.glob("axle-cli_*.deb")), "conffiles"]).stdout
    check_equal(cli.split(), ["/etc/axle/axle.yaml"], "configuration files")


@case("quickstart refuses another system and another user in a sentence")
def refuses(cloud):
    elsewhere = ("sed 's/^VERSION_ID=.*/VERSION_ID=11/' /etc/os-release >/run/os-release"
                 " && mount --bind /run/os-release /usr/lib/os-release")
    result = cloud.host.run("unshare", "-m", "sh", "-c", f"{elsewhere} && {QUICKSTART} --packages {PACKAGES}",
                            check=False)
    check(result.returncode == 1 and "made and tested for Debian 12" in result.stderr, f"on Debian 11: {result.stderr}")
    result = cloud.host.run("setpriv", "--reuid=nobody", "--clear-groups", QUICKSTART, check=False)
    check(result.returncode == 1 and "sudo" in result.stderr, f"as nobody: {result.stderr}")


@case("quickstart refuses a pool that QEMU could not reach, and one in memory")
def refuses_pools(cloud):
    cloud.host.run("install", "-d", "-m", "700", "/srv/closed")
    for pool, why in (("/srv/closed/pool", "lets only its owner in"), ("/run/pool", "lies in memory")):
        result = quickstart(cloud, "--packages", PACKAGES, "--pool", pool, check=False)
        check(result.returncode == 1 and why in result.stderr, f"pool {pool}: {result.stderr}")


@case("quickstart ends with a guest that answers, its disk in the pool that was asked for")
def installs(cloud):
    cloud.before = surroundings(cloud.host)
    cloud.said = quickstart(cloud, "--packages", PACKAGES, "--pool", POOL).stdout
    check("the guest answers at" in cloud.said and "works" in cloud.said, f"it said:\n{cloud.said}")
    check("systemd is not process 1" in cloud.said, "it says who starts the programs")
    check_equal(cloud.wait_http("first"), "hello from first", "the page")
    check_equal(cloud.names("pool"), ["main"], "pools")
    check(list(cloud.host.path(f"{POOL}/volumes").glob("*.qcow2")), "the guest's disk is not in the pool")


@case("the printed ssh command logs in to the guest, and so does axle ssh")
def logs_in(cloud):
    command = printed(cloud.said, r"as root on this machine: *(ssh .*)").split()
    said = cloud.host.run(*command, "-o", "StrictHostKeyChecking=accept-new", "hostname", timeout=60).stdout
    check_equal(said.strip(), "first", f"host name by {command}")
    command = printed(cloud.said, r"as root or a member of axle: *(axle ssh .*)").split()
    check_equal(cloud.axle(*command[1:], "--", "hostname", timeout=60).stdout.strip(), "first", "host name by axle ssh")


@case("another machine logs in to the API and to the guest as it was told to")
def from_elsewhere(cloud):
    home = cloud.host.directory / "elsewhere"
    (home / ".ssh").mkdir(parents=True)
    shutil.copy(cloud.host.path("/root/.ssh/id_ed25519"), home / ".ssh")
    shutil.copy(cloud.host.path(printed(cloud.said, r"the token that it asks for is in (\S+)")), home / "token")
    endpoint = printed(cloud.said, r"then: axle login (https://\S+)")
    fingerprint = printed(cloud.said, r"the fingerprint that it shows has to be\s+(\S+)")

    def axle(*words, **options):
        return cloud.world.run("env", f"HOME={home}", BINARIES / "axle", *words, **options)
    refused = axle("login", endpoint, "--fingerprint", "00" + fingerprint[2:], "--token-file", home / "token",
                   check=False)
    check(refused.returncode != 0 and "another certificate" in refused.stderr, f"a wrong fingerprint: {refused.stderr}")
    axle("login", endpoint, "--fingerprint", fingerprint, "--token-file", home / "token")
    check_equal(axle("vm", "list", "-o", "name").stdout.split(), ["vm/first"], "guests")
    # ssh takes the home from the user's entry, not from HOME.
    said = axle("ssh", "first", "--", "-i", home / ".ssh/id_ed25519", "hostname", timeout=60, check=False)
    check_equal(said.stdout.strip(), "first", f"host name from elsewhere ({said.stderr})")


@case("what it says to try next works")
def tries_next(cloud):
    for command in re.findall(r"^     (axle (?:status|vm list|explain|vm create)\b.*?)(?:   .*)?$", cloud.said, re.M):
        result = cloud.host.run(*command.split(), timeout=120, check=False)
        # The host lies on an overlay, of which axle status warns.
        check(result.returncode == 0 or "NotDurable" in result.stdout, f"{command}: {result.stdout}{result.stderr}")
        check("1 thing wants" in result.stdout or result.returncode == 0, f"{command}: {result.stdout}")
    # What a further machine fetches is there, so the line needs nothing from outside.
    said = cloud.host.run("axle", "host", "token", "create").stdout
    check("curl " in said and "sha256sum -c" in said, f"axle host token create: {said}")
    cloud.wait_http("second")
    cloud.axle("vm", "delete", "second", "--now", timeout=120)


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
    cloud.wait_http("kept")  # before it is up it would not see its power button


@case("--remove takes all away but disks and state, and needs the host's name")
def remove(cloud):
    result = quickstart(cloud, "--remove", check=False)
    check(result.returncode == 1 and "--yes" in result.stderr, f"unasked: {result.stderr}")
    result = cloud.host.run("sh", "-c", f"echo wrong | script -qec '{QUICKSTART} --remove' /dev/null", check=False)
    check(cloud.names("vm") == ["kept"] and "kept-root" in result.stdout, f"with a wrong name: {result.stdout}")
    volume = cloud.get("vm", "kept")["spec"]["disks"]["root"]
    said = quickstart(cloud, "--remove", "--yes").stdout
    check(f"on disk in {POOL}" in said and "kept-root" in said, f"it does not tell what it keeps:\n{said}")
    # The group stays with the state: its members are administrators.
    check_same(cloud.host, cloud.before, but=["configuration"], except_packages="config-files axle")
    check(list(cloud.host.path(f"{POOL}/volumes").glob("*.qcow2")), f"the disk was not kept: {volume}")
    check(not cloud.host.path("/usr/bin/axle").exists(), "the command line is left")


@case("--remove names the machines that lose their orchestrator, and not this one")
def names_the_joined(cloud):
    pieces = " ".join(f"source {ROOT}/packaging/quickstart.d/{piece}.bash;" for piece in ("say", "remove"))
    told = {}
    for hosts in ("here", "here h2 h3"):
        script = ("set -euo pipefail; top=. record=/tmp log=/dev/null offered= state=/tmp purge_data= yes=;"
                  f"{pieces} axle() {{ printf 'host/%s\\n' {hosts}; }}; own_host() {{ echo here; }};"
                  "tell_of_joined_hosts")
        told[hosts] = cloud.host.run("bash", "-c", script).stdout
    check_equal(told["here"], "", "what is told where no other machine has joined")
    check("lose their orchestrator: h2, h3\n" in told["here h2 h3"], f"with two others: {told['here h2 h3']}")


@case("installed again after --remove, what was kept is there again")
def comes_back(cloud):
    quickstart(cloud, "--packages", PACKAGES)
    check_equal(cloud.names("vm"), ["kept"], "guests")
    cloud.wait_http("kept")


@case("--remove --purge-data leaves nothing")
def purge(cloud):
    quickstart(cloud, "--remove", "--purge-data", "--yes")
    check_same(cloud.host, cloud.before)
    left = cloud.host.run("find", "/var/lib/axle", "/run/axle", "/etc/axle", "/var/log/axle", POOL, "-mindepth", "1",
                          check=False).stdout
    check_equal(left, "", "files left")
    check(cloud.host.run("getent", "group", "axle", check=False).returncode != 0, "the group axle is left")


def make_lab():
    return lab(start=False, libvirt=False, own_root="/")


if __name__ == "__main__":
    Cloud.program = "/usr/bin/axle"
    run_cases(make_lab)
