"""Several private hosts as a cloud: an orchestrator on one, agents on the others, and faults of the line between them.

    with cluster(hosts=2) as cluster:
        cluster.axle("vm", "list")             # on the orchestrator's host
        cluster.join(1)                        # by a token
        cluster.agents[1].kill()
"""
import contextlib
import json
import os
import re
import signal
import tempfile
from pathlib import Path

from cases import check, check_equal
from cloud import BINARIES, Cloud
from host import ROOT, Host, TestFailure, World, wait_for


class Agent:
    """axle-agent on a private host."""

    program = BINARIES / "axle-agent"

    def __init__(self, host):
        self.host = host
        self.process = None

    def start(self):
        with open(self.host.directory / "agent.log", "ab") as log:
            command = f"echo $$ >/run/axle-agent.pid; exec {self.program}"
            self.process = self.host.spawn("sh", "-c", command, stdout=log, stderr=log)
        wait_for(f"the agent of {self.host.name} answers", 30, self._answers)

    def _answers(self):
        if self.process.poll() is not None:
            raise TestFailure(f"axle-agent ended with {self.process.returncode}:\n{self.log_tail()}")
        return self.run("status", "-o", "json", check=False).returncode == 0

    def run(self, *words, **options):
        return self.host.run(self.program, *words, **options)

    def status(self):
        return json.loads(self.run("status", "-o", "json").stdout)

    def _signal(self, number):
        pid = self.host.path("/run/axle-agent.pid").read_text().strip()
        self.host.run("kill", f"-{number}", pid, check=False)
        self.process.wait(timeout=60)

    def kill(self):
        self._signal(int(signal.SIGKILL))

    def stop(self):
        self._signal(int(signal.SIGTERM))

    def running_guests(self):
        return self.host.run("virsh", "-q", "list", "--name", check=False).stdout.split()

    def domains(self):
        return self.host.run("virsh", "-q", "list", "--all", "--uuid").stdout.split()

    def volume_file(self, volume):
        return self.host.path(f"/var/lib/axle/pools/main/volumes/{volume}.qcow2")

    def check_disk(self, path):
        """A disk that nobody has open: clusters that leaked are allowed, anything else is damage."""
        said = self.host.run("qemu-img", "check", path, check=False)
        if said.returncode not in (0, 3):
            raise TestFailure(f"{path}: {said.stdout}{said.stderr}")

    def log(self):
        path = self.host.directory / "agent.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def log_tail(self, lines=30):
        return "\n".join(self.log().splitlines()[-lines:])


class Cluster(Cloud):
    """An orchestrator on host 1 (without an agent), agents on the hosts 2, 3, ..."""

    def __init__(self, world, hosts):
        super().__init__(hosts[0], world)
        self.agents = {number: Agent(host) for number, host in enumerate(hosts[1:], start=1)}

    def start_without_api(self):
        with open(self.host.directory / "axle.log", "ab") as log:
            command = f"echo $$ >/run/axle.pid; exec {BINARIES}/axle-orchestrator"
            self.service = self.host.spawn("sh", "-c", command, stdout=log, stderr=log)

    def _answers(self):
        if self.service.poll() is not None:
            raise TestFailure(f"axle-orchestrator ended with {self.service.returncode}:\n{self.log_tail()}")
        return self.axle("project", "list", "-o", "name", check=False).returncode == 0

    def token(self, *words):
        """The word that a new host is given."""
        return json.loads(self.axle("host", "token", "create", *words, "-o", "json").stdout)["joinString"]

    def join(self, number, *words):
        agent = self.agents[number]
        agent.run("join", self.token(*words))
        if agent.process is None or agent.process.poll() is not None:
            agent.start()
        self.wait_connected(agent.host.name)

    def join_all(self):
        """Every machine is a host, and guests can move to it."""
        for number, agent in self.agents.items():
            self.join(number)
            self.wait_data_port(agent.host.name)

    def wait_data_port(self, name):
        wait_for(f"{name} tells its data port", 60,
                 lambda: self.get("host", name)["status"]["facts"].get("dataPort"))

    def connected(self, name):
        return self.exists("host", name) and self.get("host", name)["status"].get("connected", False)

    def wait_connected(self, name, wanted=True, seconds=60):
        wait_for(f"host {name} is {'' if wanted else 'not '}connected", seconds,
                 lambda: self.connected(name) == wanted or None)

    def agent_of(self, vm):
        """The agent on whose host a VM is placed."""
        name = self.get("vm", vm)["status"]["placement"]["host"]
        return next(agent for agent in self.agents.values() if agent.host.name == name)

    def host_of(self, name):
        return self.agent_of(name).host

    def other(self, vm):
        """Of two agents the one that a VM is not with."""
        return next(agent for agent in self.agents.values() if agent is not self.agent_of(vm))

    def check_only_there(self, name, agent):
        """The guest, its definition and its disk are on this host, and nothing of it on the other one."""
        vm = self.get("vm", name)
        volume = self.get("volume", f"{name}-root")["id"]
        check_equal(vm["status"]["placement"]["host"], agent.host.name, f"place of {name}")
        check(vm["id"] in agent.domains(), f"{name} is no domain of {agent.host.name}")
        check(agent.volume_file(volume).exists(), f"the disk of {name} is not on {agent.host.name}")
        left = self.other(name)
        wait_for(f"nothing of {name} is left on {left.host.name}", 60,
                 lambda: vm["id"] not in left.domains() and not left.volume_file(volume).exists())

    # The line between a host and all others: cut without a word to anybody, as by a pulled cable.
    def cut(self, host):
        self.world.run("ip", "link", "set", f"h{host.number}", "down")

    def heal(self, host):
        self.world.run("ip", "link", "set", f"h{host.number}", "up")

    # One way only: what the host says is heard, it hears nothing itself.
    def deafen(self, host):
        host.run("nft", "add table netdev test; add chain netdev test deaf "
                 "{ type filter hook ingress device eth0 priority 0; policy drop; }")

    def undeafen(self, host):
        host.run("nft", "delete table netdev test")

    def slow_down(self, host, delay_ms, loss_percent):
        """The line of a host takes its time and loses frames, both ways, until the slow line is stopped."""
        return SlowLine(self.world, host, delay_ms, loss_percent)

    def beats(self, agent, vm):
        """How often the tiny guest has told that it is alive: it goes on whatever happens to us."""
        path = agent.host.path(f"/var/log/axle/guests/{self.get('vm', vm)['id']}.log")
        return len(re.findall(r"AXLE-GUEST", path.read_text(errors="replace")))

    # Logins into guests, as from the orchestrator's machine.
    def make_key(self):
        """A key of its own, known to the cloud as "mine"."""
        self.host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.host.directory / "key")
        self.axle("sshkey", "create", "mine", "--file", self.host.directory / "key.pub")

    def inside(self, name, command, check=True, timeout=60):
        """What a command in the guest says. It has another host key at each boot, which `axle ssh` would not take."""
        return self.host.run("ssh", "-i", self.host.directory / "key", "-o", "StrictHostKeyChecking=no", "-o",
                             "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10", "-o",
                             f"ProxyCommand={self.program} forward --stdio {name} 22", f"root@{name}", command,
                             check=check, timeout=timeout).stdout.strip()

    def wait_login(self, name, seconds=90):
        wait_for(f"{name} takes a login", seconds, lambda: self.inside(name, "echo in", check=False) == "in")

    def describe(self):
        parts = [("axle status", self.axle("status", check=False).stdout),
                 ("hosts", self.axle("host", "list", "-o", "wide", check=False).stdout),
                 ("vms", self.axle("vm", "list", "-o", "wide", check=False).stdout),
                 ("orchestrator's log", self.log_tail())]
        for agent in self.agents.values():
            parts.append((f"virsh list on {agent.host.name}",
                          agent.host.run("virsh", "-q", "list", "--all", check=False).stdout))
            parts.append((f"agent of {agent.host.name}", agent.log_tail()))
        return "\n".join(f"--- {title}\n{text.strip()}" for title, text in parts)


class Node(Cluster):
    """An all-in-one on host 1, whose guests are there as well; agents on the hosts 2, 3, ... A split makes an
    orchestrator and an agent of it."""

    def __init__(self, world, hosts):
        super().__init__(world, hosts)
        self.agents[0] = Agent(hosts[0])

    def start_without_api(self):
        Cloud.start_without_api(self)

    def _answers(self):
        return Cloud._answers(self)

    def join_all(self):
        for number, agent in self.agents.items():
            if number != 0:
                self.join(number)
        for agent in self.agents.values():
            self.wait_data_port(agent.host.name)


class SlowLine:
    """A program in the middle of a host's cable (slow_line.py)."""

    program = ("/usr/bin/python3", ROOT / "tests/support/slow_line.py")

    def __init__(self, world, host, delay_ms, loss_percent):
        self.world, self.end = world, f"h{host.number}"
        world.run("ip", "link", "add", "slow", "type", "veth", "peer", "name", "slowed")
        world.run("ip", "link", "set", self.end, "nomaster")
        world.run("ip", "link", "set", "slowed", "master", "ul", "up")
        world.run("ip", "link", "set", "slow", "up")
        world.run(*self.program, "plain", "slowed")
        host.run(*self.program, "plain", "eth0")
        self.relay = world.spawn(*self.program, "relay", self.end, "slow", delay_ms, loss_percent)

    def stop(self):
        self.relay.kill()
        self.relay.wait()
        self.world.run("ip", "link", "del", "slow")
        self.world.run("ip", "link", "set", self.end, "master", "ul")


@contextlib.contextmanager
def cluster(hosts=2, start=True, kind=Cluster, **host_options):
    """`hosts` machines beside the first. All of it goes at the end, but for AXLE_KEEP=1 after a failure."""
    directory = tempfile.mkdtemp(prefix="axle-lab-")
    world = World()
    made = []
    for n in range(1, hosts + 2):
        has_agent = n > 1 or issubclass(kind, Node)
        options = {"libvirt": has_agent, **(host_options if has_agent else {})}
        made.append(Host(Path(directory) / f"h{n}", n, world, keep_visible=[ROOT, directory], **options))
    try:
        for host in made:
            host.start()
        lab = kind(world, made)
        yield lab.start() if start else lab
    finally:
        keep = bool(os.environ.get("AXLE_KEEP"))
        if keep:
            print(f"kept: {directory}; the hosts' processes end with this program", flush=True)
        for host in reversed(made):
            if host.process is not None:
                host.stop(remove=not keep)
        world.stop()
        if not keep:
            os.rmdir(directory)
