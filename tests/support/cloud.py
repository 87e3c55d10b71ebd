"""An Axle on a private host, as a user has it: the service and the `axle` command, nothing of their insides.

    with lab() as cloud:                       # a world, a host, a running axle-allinone
        cloud.axle("vm", "create", "web1", ...)
        cloud.wait_phase("web1", "running")
"""
import contextlib
import json
import os
import re
import signal
import tempfile
from pathlib import Path

from host import ROOT, Host, TestFailure, World, wait_for

BINARIES = Path(os.environ.get("AXLE_BINARIES", ROOT / "build/release/bin"))
GUEST = Path(os.environ.get("AXLE_GUEST", ROOT / "build/guest"))
BOOT_SECONDS = 90  # for a tiny guest, on a machine that is busy and has no KVM


class Cloud:
    program = BINARIES / "axle"

    def __init__(self, host, world):
        self.host = host
        self.world = world
        self.service = None
        self.addresses = {}

    # The service.
    def start(self):
        self.start_without_api()
        wait_for("the API answers", 60, self._answers)
        return self

    def start_without_api(self):
        """Where the API may have reason not to answer."""
        with open(self.host.directory / "axle.log", "ab") as log:
            command = f"echo $$ >/run/axle.pid; exec {BINARIES}/axle-allinone"
            self.service = self.host.spawn("sh", "-c", command, stdout=log, stderr=log)

    def _answers(self):
        if self.service.poll() is not None:
            raise TestFailure(f"axle-allinone ended with {self.service.returncode}:\n{self.log_tail()}")
        return bool(self.axle("host", "list", "-o", "name", check=False).stdout.strip())

    def _signal(self, number):
        pid = self.host.path("/run/axle.pid").read_text().strip()
        self.host.run("kill", f"-{number}", pid, check=False)
        self.service.wait(timeout=60)

    def kill(self):
        self._signal(int(signal.SIGKILL))

    def stop(self):
        self._signal(int(signal.SIGTERM))

    def crash_libvirtd(self):
        """It dies, and somebody starts it anew."""
        pid = self.host.path("/run/libvirtd.pid").read_text().strip()
        self.host.run("kill", "-9", pid, check=False)
        self.host.run("libvirtd", "-d")

    def log_tail(self, lines=40):
        log = self.host.directory / "axle.log"
        if not log.exists():  # somebody else started it
            log = self.host.path("/var/log/axle/axle-allinone.log")
        text = log.read_text(errors="replace") if log.exists() else "there is no log"
        return "\n".join(text.splitlines()[-lines:])

    # The command line.
    def axle(self, *words, **options):
        return self.host.run(self.program, *words, **options)

    def refused(self, *words, **options):
        """The command must fail; returns what it said."""
        result = self.axle(*words, check=False, **options)
        if result.returncode == 0:
            raise TestFailure(f"axle {' '.join(map(str, words))} was to be refused and was not: {result.stdout}")
        return result.returncode, result.stderr + result.stdout

    def get(self, kind, name):
        return json.loads(self.axle(kind, "get", name, "-o", "json").stdout)

    def exists(self, kind, name):
        return self.axle(kind, "get", name, "-o", "json", check=False).returncode == 0

    def names(self, kind):
        return [name.split("/")[-1] for name in self.axle(kind, "list", "-o", "name").stdout.split()]

    # Guests.
    def import_tiny(self, name="tiny"):
        if not self.exists("image", name):
            self.axle("image", "create", name, "--file", GUEST / "tiny.qcow2", timeout=120)

    def create_vm(self, name, *words, image="tiny", network="default"):
        self.axle("vm", "create", name, "--image", image, "--cpus", "1", "--memory", "192MiB", "--network", network,
                  *words, timeout=180)

    def phase(self, name):
        return self.get("vm", name)["status"].get("phase")

    def wait_phase(self, name, phase, seconds=60):
        wait_for(f"vm {name} is {phase}", seconds, lambda: self.phase(name) == phase or None)

    def address(self, name):
        self.addresses[name] = self.get("vm", name)["status"]["addresses"][0]
        return self.addresses[name]

    def http(self, address, port=80, source=None):
        """What a GET of / answers, asked from the host or from the world outside; None if nobody answers."""
        ask = (source or self.host).run
        result = ask("curl", "-s", "-m", "3", f"http://{address}:{port}/", check=False)
        return result.stdout.strip() if result.returncode == 0 else None

    def wait_http(self, name, seconds=BOOT_SECONDS):
        address = self.address(name)
        return wait_for(f"vm {name} answers at {address}", seconds, lambda: self.http(address), 0.3)

    def serial(self, name):
        return self.axle("vm", "log", name, check=False).stdout

    def boots(self, name):
        """How often the disk of the tiny guest has been booted, by its own count on the serial line."""
        return [int(count) for count in re.findall(r"AXLE-GUEST: boot (\d+)", self.serial(name))]

    def wait_boot(self, name, count, seconds=BOOT_SECONDS):
        """Waits until the guest is ready in its count-th boot."""
        def ready():
            return re.search(rf"AXLE-GUEST: boot {count} .*AXLE-GUEST: ready", self.serial(name), re.S)
        wait_for(f"vm {name} is ready in boot {count}", seconds, ready, 0.3)

    def ssh(self, name, command, check=True, timeout=30):
        key = self.host.directory / "key"
        return self.host.run("ssh", "-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                             "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=3",
                             "-o", "LogLevel=ERROR", f"root@{self.address(name)}", command,
                             check=check, timeout=timeout)

    # What lies beneath, to compare with what is told.
    def domains(self, *words):
        return [name for name in self.host.run("virsh", "-q", "list", "--name", *words).stdout.split()
                if name.startswith("axle-")]

    def domain_of(self, name):
        return "axle-" + self.get("vm", name)["id"]

    def host_of(self, _name):
        """The private host that a guest is on."""
        return self.host

    def qemu_pid(self, name):
        return self.host_of(name).path(f"/run/libvirt/qemu/{self.domain_of(name)}.pid").read_text().strip()

    def disk_files(self):
        return sorted(path.name for path in (self.host.directory / "axle").rglob("volumes/*.qcow2"))

    def describe(self):
        """For a failed case: the state of all, in words."""
        parts = [("axle status", self.axle("status", check=False).stdout),
                 ("axle vm list", self.axle("vm", "list", "-o", "wide", check=False).stdout),
                 ("virsh list", self.host.run("virsh", "-q", "list", "--all", check=False).stdout),
                 ("links", self.host.run("ip", "-br", "addr", check=False).stdout),
                 ("log", self.log_tail())]
        for name in self.axle("vm", "list", "-o", "name", check=False).stdout.split():
            name = name.split("/")[-1]
            parts.append((f"serial of {name}", self.serial(name)[-1500:]))
        return "\n".join(f"--- {title}\n{text.strip()}" for title, text in parts)


@contextlib.contextmanager
def lab(start=True, **host_options):
    """A cloud on a host of its own; everything goes at the end, but for AXLE_KEEP=1 after a failure."""
    directory = tempfile.mkdtemp(prefix="axle-e2e-")
    world = World()
    host = Host(Path(directory) / "h1", 1, world, keep_visible=[ROOT, directory], **host_options)
    try:
        host.start()
        host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host.directory / "key", "-C", "test@lab")
        cloud = Cloud(host, world)
        yield cloud.start() if start else cloud
    finally:
        if os.environ.get("AXLE_KEEP"):
            print(f"kept: {directory}; the host's processes end with this program", flush=True)
            host.stop(remove=False)
        else:
            host.stop()
        world.stop()
        if not os.environ.get("AXLE_KEEP"):
            os.rmdir(directory)
