"""A node that grows: quickstart makes it, another machine joins by the printed line, its orchestrator leaves it for a
process of its own and then for a machine of its own; guests, ids, tokens and hosts stay. With the ready packages, on
machines without systemd."""
import re
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cases import case, check, check_equal, run_cases
from cloud import BINARIES, Cloud
from host import ROOT, wait_for
from hosts import Agent, Node, cluster

PACKAGES = ROOT / "build/release/packages"
SUPERVISE = "/usr/lib/axle/supervise"
ARCHIVE = "/var/lib/axle/cloud.tar"
# Kills the script, or the supervisor that it calls, right before a command that begins like this.
KILL_BEFORE = """
if [[ $0 == */$AXLE_TEST_SCRIPT ]]; then
    set -T
    trap '[[ $BASH_COMMAND == "$AXLE_TEST_BEFORE"* && $BASHPID == "$$" ]] && kill -9 $$' DEBUG
fi
"""


def split(lab, *words, **options):
    return lab.host.run("axle", "node", "split", *words, timeout=300, **options)


def split_killed(lab, script, before, *words):
    """The split ends as by a power cut right before this command."""
    lab.host.path("/run/kill-before").write_text(KILL_BEFORE)
    ended = lab.host.run("env", "BASH_ENV=/run/kill-before", f"AXLE_TEST_SCRIPT={script}",
                         f"AXLE_TEST_BEFORE={before}", "axle", "node", "split", *words, check=False, timeout=300)
    check(ended.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL) or "Killed" in ended.stderr,
          f"it never came to {before!r}: {ended.returncode} {ended.stdout}{ended.stderr}")


def programs(host):
    said = host.run("ps", "-e", "-o", "args=").stdout  # the name of one that began again is another
    return sorted(Path(line).name for line in said.splitlines() if re.fullmatch(r"/usr/bin/axle-[a-z]+", line))


def log_in(lab, endpoint):
    """As from a machine that is none of the cloud's, with the token of the first day; `axle` there."""
    home = lab.host.directory / "elsewhere"
    home.mkdir(exist_ok=True)
    (home / "token").write_text(lab.token_of_first_day)

    def axle(*words, **options):
        return lab.world.run("env", f"HOME={home}", BINARIES / "axle", *words, **options)
    axle("login", endpoint, "--fingerprint", lab.fingerprint, "--token-file", home / "token")
    return axle


def guests(lab):
    """Of each its process, as libvirt notes it, and the boot that it is in."""
    return {name: (lab.host_of(name).path(f"/run/libvirt/qemu/{lab.domain_of(name)}.pid"), lab.qemu_pid(name),
                   lab.inside(name, "cat /proc/sys/kernel/random/boot_id")) for name in ("first", "second")}


def check_undisturbed(lab):
    """Needs no orchestrator."""
    for name, (note, pid, _) in lab.guests.items():
        check_equal(note.read_text().strip(), pid, f"process of {name}")


def check_all_works(lab):
    """Hosts are the same and connected, guests have not noticed anything, and what is asked is done."""
    ids = {name: lab.get("host", name)["id"] for name in ("h1", "h2")}
    check_equal(ids, lab.host_ids, "ids of the hosts")
    for name in ("h1", "h2"):
        lab.wait_connected(name, seconds=120)
    check_undisturbed(lab)
    check_equal(guests(lab), lab.guests, "guests, seen from inside")
    for agent in lab.agents.values():
        name = f"on-{agent.host.name}"
        other = "h2" if agent.host.name == "h1" else "h1"
        lab.axle("host", "cordon", other)
        lab.create_vm(name)
        lab.axle("host", "uncordon", other)
        lab.wait_phase(name, "running")
        check_equal(lab.agent_of(name).host.name, agent.host.name, f"place of {name}")
        lab.axle("vm", "stop", name, "--force", timeout=120)
        lab.axle("vm", "start", name, timeout=120)
        lab.wait_phase(name, "running")
        lab.axle("vm", "delete", name, "--now", timeout=120)


def check_other_systems_are_refused(host, line):
    """The line on a machine that is told to be another system: a sentence, and nothing was fetched or installed."""
    words = "echo 'ID=ubuntu VERSION_ID=24.04' >/run/other; mount --bind /run/other /etc/os-release"
    said = host.run("unshare", "-m", "sh", "-c", f"{words} && cd /root && {line}", check=False, timeout=60)
    check(said.returncode != 0 and "this is ubuntu 24.04; Axle" in said.stderr, f"it says {said.stdout}{said.stderr}")
    check("fetching" not in said.stdout, f"it went on: {said.stdout}")
    check(host.run("dpkg-query", "-s", "axle-agent", check=False).returncode != 0, "an agent was installed")


@case("a machine joins by the line that a new all-in-one prints, and its agent runs without systemd")
def join(lab):
    lab.host.run(ROOT / "packaging/quickstart", "--packages", PACKAGES, timeout=600)
    lab.make_key()
    lab.axle("vm", "delete", "first", "--now", timeout=120)
    line = lab.axle("host", "token", "create").stdout.strip().splitlines()[-1]
    check("curl " in line and "sha256sum" in line, f"the line: {line}")
    check_other_systems_are_refused(lab.agents[1].host, line)
    lab.agents[1].host.run("sh", "-c", f"cd /root && {line}", timeout=180)
    lab.wait_connected("h2")
    for name, other in (("first", "h2"), ("second", "h1")):
        lab.axle("host", "cordon", other)
        lab.create_vm(name, "--ssh-key", "mine")
        lab.axle("host", "uncordon", other)
        lab.wait_boot(name, 1)
        lab.wait_login(name)
    lab.guests = guests(lab)
    lab.host_ids = {name: lab.get("host", name)["id"] for name in ("h1", "h2")}
    lab.token_of_first_day = lab.host.path("/var/lib/axle/admin.token").read_text()
    said = lab.host.run("openssl", "x509", "-in", "/var/lib/axle/identity/ca.pem", "-noout", "-fingerprint", "-sha256")
    lab.fingerprint = said.stdout.strip().split("=")[1]
    log_in(lab, "https://10.200.0.1:7443")("vm", "list")


@case("a split that nobody agrees to, or of a machine that is no all-in-one, changes nothing")
def refused(lab):
    said = split(lab, check=False)
    check(said.returncode == 1 and "add --yes" in said.stderr, f"unasked: {said.stderr}")
    said = split(lab, "--export", ARCHIVE, check=False)
    check(said.returncode == 1 and "go together" in said.stderr, f"without a place: {said.stderr}")
    said = lab.agents[1].host.run("axle", "node", "split", "--yes", check=False)
    check(said.returncode == 1 and "what to do: " in said.stderr, f"on another machine: {said.stderr}")
    check_equal(programs(lab.host), ["axle-allinone"], "programs")
    check_undisturbed(lab)


@case("killed at any of its steps a split leaves one orchestrator, and no guest notices; run again it completes")
def killed(lab):
    for script, before in (("node-split", "choose axle-orchestrator"), ("supervise", "mv "),
                           ("supervise", "sync \"$(dirname"), ("supervise", "end \"$(keeper_of"),
                           ("supervise", "begin"),
                           ("node-split", "wait_for_api"), ("node-split", "string="),
                           ("node-split", "axle-agent join"), ("node-split", "until_true 60 host_is")):
        split_killed(lab, script, before, "--yes")
        wait_for(f"killed before {before!r}: one orchestrator serves, or will again", 60,
                 lambda: len({"axle-allinone", "axle-orchestrator"} & set(programs(lab.host))) <= 1)
        check_undisturbed(lab)
    split(lab, "--yes")
    check_equal(programs(lab.host), ["axle-agent", "axle-orchestrator"], "programs")
    check_all_works(lab)


@case("after the split the API, its certificate and tokens are as before, and run again it has nothing to do")
def same_cloud(lab):
    elsewhere = log_in(lab, "https://10.200.0.1:7443")
    check_equal(sorted(elsewhere("vm", "list", "-o", "name").stdout.split()), ["vm/first", "vm/second"], "guests")
    facts = lab.get("host", "h1")["status"]["facts"]
    check_equal(facts["orchestrator"][0], "https://127.0.0.1:7443", "where the node's own agent looks for it")
    check_equal(facts["underlay"], "10.200.0.1", "address of the node to other hosts")
    pids = lab.host.run("pgrep", "-f", "^/usr/bin/axle-").stdout
    split(lab, "--yes")
    check_equal(lab.host.run("pgrep", "-f", "^/usr/bin/axle-").stdout, pids, "processes after another split")


@case("guests move between the machines after the split, too")
def moves(lab):
    for target in ("h2", "h1"):
        lab.axle("vm", "migrate", "first", "--host", target, timeout=240)
        check_equal(lab.agent_of("first").host.name, target, "place")
        check_equal(lab.inside("first", "cat /proc/sys/kernel/random/boot_id"), lab.guests["first"][-1], "its boot")
    lab.guests = guests(lab)


@case("orchestrator and agent become one program again, and two")
def there_and_back(lab):
    split(lab, "--back", "--yes")
    check_equal(programs(lab.host), ["axle-allinone"], "programs")
    check_all_works(lab)
    split(lab, "--yes")
    check_equal(programs(lab.host), ["axle-agent", "axle-orchestrator"], "programs")


@case("an upgrade of a split node disturbs nothing and leaves it split")
def upgrade(lab):
    lab.host.run(ROOT / "packaging/quickstart", "--packages", PACKAGES, timeout=600)
    check_equal(programs(lab.host), ["axle-agent", "axle-orchestrator"], "programs")
    check_undisturbed(lab)


@case("a split node that loses its power comes back split, with its guests")
def power_cut(lab):
    boots = max(lab.boots("first"), default=1)
    lab.host.crash()
    lab.host.start()
    lab.host.run(SUPERVISE)
    for name in ("h1", "h2"):
        lab.wait_connected(name, seconds=120)
    check_equal(programs(lab.host), ["axle-agent", "axle-orchestrator"], "programs")
    lab.wait_boot("first", boots + 1)
    lab.wait_login("first")
    lab.guests = guests(lab)


@case("the orchestrator goes nowhere while a host is away that would not find it")
def host_is_away(lab):
    lab.agents[1].host.run(SUPERVISE, "stop", "axle-agent")
    lab.wait_connected("h2", wanted=False, seconds=60)
    said = split(lab, "--export", ARCHIVE, "--to", "10.200.0.3", "--yes", check=False)
    check(said.returncode == 1 and "h2" in said.stderr and "--leave-hosts" in said.stderr, f"it says: {said.stderr}")
    check(lab.axle("vm", "list").returncode == 0, "the orchestrator serves on")
    lab.agents[1].host.run(SUPERVISE, "keep", "axle-agent")
    lab.wait_connected("h2", seconds=120)


@case("killed on its way to another machine it serves here or is packed, never both; run again it completes")
def leaves(lab):
    export = ("--export", ARCHIVE, "--to", "10.200.0.3", "--yes")
    for before in ("tell_hosts", "said=$(axle-orchestrator export", "choose axle-agent", "tell_next"):
        split_killed(lab, "node-split", before, *export)
        check_undisturbed(lab)
    said = split(lab, *export).stdout
    for words in ("axle-orchestrator import cloud.tar", "axle login https://10.200.0.3:7443"):
        check(words in said, f"{words!r} is not in {said}")
    check_equal(programs(lab.host), ["axle-agent"], "programs of the old machine")
    for program in ("axle-allinone", "axle-orchestrator"):
        said = lab.host.run(program, check=False, timeout=60)
        check(said.returncode == 1 and "has moved to https://10.200.0.3" in said.stderr, f"it says: {said.stderr}")
    said = split(lab, "--yes", check=False)
    check(said.returncode == 1 and "has moved to" in said.stderr, f"it says: {said.stderr}")
    mode = lab.host.run("stat", "-c", "%a %U", ARCHIVE).stdout.strip()
    check_equal(mode, "600 root", "who may read the file")
    check_undisturbed(lab)


@case("on the other machine it is the same cloud: hosts find it, tokens hold, guests never noticed")
def arrives(lab):
    new = lab.new
    new.run("sh", "-c", f"dpkg -i {PACKAGES}/axle-cli_*.deb {PACKAGES}/axle-orchestrator_*.deb", timeout=120)
    (new.path("/root") / "cloud.tar").write_bytes(lab.host.path(ARCHIVE).read_bytes())
    damaged = new.path("/root") / "damaged.tar"
    damaged.write_bytes(lab.host.path(ARCHIVE).read_bytes()[:-3000])
    said = new.run("axle-orchestrator", "import", "/root/damaged.tar", check=False)
    check(said.returncode == 1 and "is not whole" in said.stderr, f"it says: {said.stderr}")
    new.run("axle-orchestrator", "import", "/root/cloud.tar")
    said = new.run("axle-orchestrator", "import", "/root/cloud.tar", check=False)
    check(said.returncode == 1 and "is served from" in said.stderr, f"again it says: {said.stderr}")
    lab.move_to(new)
    for name in ("h1", "h2"):
        lab.wait_connected(name, seconds=180)
    check_all_works(lab)
    elsewhere = log_in(lab, "https://10.200.0.3:7443")
    check_equal(sorted(elsewhere("vm", "list", "-o", "name").stdout.split()), ["vm/first", "vm/second"], "guests")


@case("the old machine's copy stays shut, also after a power cut; its guests come back by the new orchestrator")
def old_one_stays_shut(lab):
    old = lab.agents[0].host
    boots = max(lab.boots("first"), default=1)
    old.crash()
    old.start()
    old.run(SUPERVISE)
    lab.wait_connected("h1", seconds=180)
    check_equal(programs(old), ["axle-agent"], "programs of the old machine")
    lab.wait_boot("first", boots + 1)


class GrowingNode(Node):
    """quickstart and the supervisors run the programs; the third machine waits for an orchestrator."""

    def __init__(self, world, hosts):
        super().__init__(world, hosts[:2])
        self.new = hosts[2]

    def move_to(self, host):
        (host.directory / "key").write_bytes((self.host.directory / "key").read_bytes())
        (host.directory / "key").chmod(0o600)
        self.host = host
        with open(host.directory / "axle.log", "ab") as log:
            self.service = host.spawn("axle-orchestrator", stdout=log, stderr=log)
        wait_for("the API answers", 60, lambda: self.axle("project", "list", check=False).returncode == 0)


if __name__ == "__main__":
    Cloud.program = "/usr/bin/axle"
    Agent.program = "/usr/bin/axle-agent"
    run_cases(lambda: cluster(hosts=2, start=False, kind=GrowingNode, libvirt=False, own_root="/"))
