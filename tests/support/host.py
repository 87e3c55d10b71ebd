"""Private hosts: machines for tests, made of namespaces, each with its own process 1, libvirt, network and directories.

A host is to a test what a computer is to a user: it has a disk (its directory), it can be switched off as by a power
cut (`crash`) and on again (`start`), and nothing that happens in it touches the machine below. Hosts hang on a `World`:
a namespace with a bridge, 10.200.0.0/24, where the test itself stands as the outside.
Also a program: see the end of the file.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PYTHON = "/usr/bin/python3"


class TestFailure(Exception):
    """Something that had to be true was not; the text says what, for a person."""


def wait_for(what, seconds, condition, between=0.1):
    """Polls until condition() is true and returns it; else fails naming what was waited for and what was seen last."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TestFailure(f"{what}: not within {seconds} s (last seen: {value!r})")
        time.sleep(between)


def run(command, check=True, timeout=60, **options):
    """Runs a program and returns its result with text output; a failure carries the program's own words."""
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, errors="replace",
                            timeout=timeout, **options)
    if check and result.returncode != 0:
        words = " ".join(map(str, command))
        said = (result.stderr or result.stdout).strip()[-2000:]
        raise TestFailure(f"{words} ended with {result.returncode}: {said}")
    return result


class World:
    """The network outside: a bridge that all hosts hang on. The test reaches hosts from here."""

    address = "10.200.0.254"

    def __init__(self):
        self.process = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo up; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.pid = self.process.pid
        for command in ("link set lo up", "link add ul type bridge", "link set ul up",
                        f"addr add {self.address}/24 dev ul", "addr add fd00:200::254/64 dev ul nodad"):
            self.run("ip", *command.split())

    def run(self, *command, **options):
        return run(["nsenter", "-t", self.pid, "-n", *command], **options)

    def spawn(self, *command, **options):
        return subprocess.Popen(["nsenter", "-t", str(self.pid), "-n", *map(str, command)], **options)

    def plug_in(self, host, number):
        """A cable from the bridge to the host's eth0."""
        end = f"h{number}"
        self.run("ip", "link", "del", end, check=False)
        self.run("ip", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", host.pid)
        self.run("ip", "link", "set", end, "master", "ul", "up")

    def stop(self):
        self.process.kill()
        self.process.wait()


class Host:
    """One private host. `own_root` gives it a file system of its own too (packages may be installed in it): what stands
    in that directory, "/" for this machine's, under an overlay. `disk_mib`: /var/lib/axle is a disk of that size."""

    def __init__(self, directory, number=1, world=None, libvirt=True, own_root=None, keep_visible=(), disk_mib=None):
        self.directory = Path(directory).resolve()
        self.number = number
        self.name = f"h{number}"
        self.world = world
        self.address = f"10.200.0.{number}"
        self.process = None
        self.config = {
            "name": self.name,
            "uuid": str(uuid.uuid4()),
            "cgroup": f"axle-test-{os.getpid()}-{number}",
            "libvirt": libvirt,
            "own_root": own_root,
            "disk_mib": disk_mib,
            "keep_visible": [str(path) for path in keep_visible],
            "peers": {f"h{n}": f"10.200.0.{n}" for n in range(1, 6) if n != number},
        }

    @property
    def pid(self):
        return int((self.directory / "pid").read_text())

    def start(self, stay=False):
        self.directory.mkdir(parents=True, exist_ok=True)
        for name in ("pid", "ready"):
            (self.directory / name).unlink(missing_ok=True)
        self.config["boot_id"] = str(uuid.uuid4())
        (self.directory / "host.json").write_text(json.dumps(self.config, indent=2))
        program = [PYTHON, str(HERE / "host_init.py"), str(self.directory), *(["--stay"] if stay else [])]
        with open(self.directory / "init.log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        wait_for(f"host {self.name} starts", 30, self._is_ready, 0.02)
        if self.world:
            self._connect()
        if self.config["libvirt"]:
            wait_for(f"libvirt on {self.name} answers", 30, self._libvirt_answers)
        return self

    def _is_ready(self):
        if self.process.poll() is not None:
            raise TestFailure(f"host {self.name} did not start: {(self.directory / 'init.log').read_text()[-2000:]}")
        return (self.directory / "ready").exists()

    def _libvirt_answers(self):
        return self.run("virsh", "-q", "uri", check=False).returncode == 0

    def _connect(self):
        self.world.plug_in(self, self.number)
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "addr", "add", f"fd00:200::{self.number}/64", "dev", "eth0", "nodad")
        self.run("ip", "route", "add", "default", "via", World.address)

    def enter(self, *command):
        """The command line that runs a command inside."""
        return ["nsenter", "-t", str(self.pid), "-m", "-n", "-p", "-u", "-i", "-C", "--", *map(str, command)]

    def run(self, *command, **options):
        return run(self.enter(*command), **options)

    def spawn(self, *command, **options):
        return subprocess.Popen(self.enter(*command), stdin=subprocess.DEVNULL, **options)

    def path(self, inside):
        """A file of the host as seen from outside."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def crash(self):
        """As if the plug were pulled, but for the page cache: every process of the host dies at once."""
        if self.process is None:
            os.kill(self.pid, signal.SIGKILL)
            return
        try:
            os.kill(self.pid, signal.SIGKILL)
        except (ProcessLookupError, FileNotFoundError):
            self.process.kill()
        self.process.wait()

    def freeze(self):
        """Every process of the host stands still, as under a hypervisor that pauses it; its lines stay up."""
        for _ in range(3):  # what was just being born is met by the next round
            self._signal_all(signal.SIGSTOP)

    def thaw(self):
        self._signal_all(signal.SIGCONT)
        own = os.getpid()  # what enters a host stops together with what it has started there
        for child in Path(f"/proc/{own}/task/{own}/children").read_text().split():
            os.kill(int(child), signal.SIGCONT)

    def _signal_all(self, number):
        mine = os.readlink(f"/proc/{self.pid}/ns/pid")
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(process / "ns/pid") == mine:
                    os.kill(int(process.name), number)
            except OSError:  # it has gone, or is of no concern of ours
                pass

    def stop(self, remove=True):
        self.crash()
        for group in Path("/sys/fs/cgroup").glob(f"*/{self.config['cgroup']}"):
            _remove_groups(group)
        if remove:
            shutil.rmtree(self.directory, ignore_errors=True)


def _remove_groups(top):
    """Kernel directories vanish by rmdir alone, the deepest first, and only once their last process has gone."""
    for _ in range(50):
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                pass
        if not top.exists():
            return
        time.sleep(0.1)


def main(arguments):
    usage = ("usage: host.py start DIRECTORY [--own-root] | exec DIRECTORY COMMAND... | crash DIRECTORY |"
             " stop DIRECTORY\n"
             "A host started here stays until it is stopped.")
    if len(arguments) < 2 or arguments[0] not in ("start", "exec", "crash", "stop"):
        print(usage, file=sys.stderr)
        return 2
    verb, directory, *rest = arguments
    host = Host(directory, own_root="/" if "--own-root" in rest else None, keep_visible=[ROOT])
    if verb == "start":
        host.start(stay=True)
        print(f"host {host.name} is up, process 1 is {host.pid}")
        return 0
    host.config = json.loads((host.directory / "host.json").read_text())
    if verb == "exec":
        os.execvp("nsenter", host.enter(*rest))
    if verb == "crash":
        host.crash()
    else:
        host.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
