"""What people do with the cloud while its plug is pulled: keys, networks, volumes and VMs come, change and go."""
import base64
import random
import re
import struct
import threading
import time

from api import Unanswered
from host import TestFailure
from journal import PROJECT

GUEST_MEMORY = 32 << 20
GUESTS = ("beat1", "beat2")  # run all the time, and count


def public_key(chance):
    blob = b"".join(struct.pack(">I", len(part)) + part for part in (b"ssh-ed25519", chance.randbytes(32)))
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} power"


def vm_spec(power):
    return {"cpus": 1, "memory": GUEST_MEMORY, "power": power, "disks": {"root": {"image": "beat"}},
            "nics": {"eth0": {"network": "blue"}}}


class Workload:
    """Runs from start() to stop(), which is called when the power has gone: then all its threads end by themselves."""

    def __init__(self, node, journal, seed, prefix):
        self._node, self._journal, self._seed, self._prefix = node, journal, seed, prefix
        self._over = threading.Event()
        self._threads = []
        self._failed = []
        self._made = 0

    def start(self):
        for turn in (self._objects, self._vms, self._beats):
            thread = threading.Thread(target=self._run, args=(turn,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self):
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=60)
            if thread.is_alive():
                raise TestFailure("a request was neither answered nor broken off within 60 s of the cut")
        if self._failed:
            raise self._failed[0]

    def _run(self, turn):
        api = self._node.api()
        chance = random.Random(f"{self._seed} {turn.__name__}")
        try:
            while not self._over.is_set():
                turn(api, chance)
        except Unanswered:
            return
        except Exception as error:  # pylint: disable=broad-except
            self._failed.append(error)

    def _name(self, what):
        self._made += 1
        return f"{self._prefix}-{what}-{self._made}"

    def _objects(self, api, chance):
        journal = self._journal
        living = [claim for kind in ("sshkeys", "networks", "volumes") for claim in journal.living(kind, self._prefix)]
        deed = chance.random()
        if living and deed < 0.3:
            journal.label(api, chance.choice(living), turn=str(chance.randrange(1 << 30)))
        elif len(living) > 20 or (living and deed < 0.55):
            journal.delete(api, chance.choice(living))
        elif deed < 0.9:
            journal.create(api, "sshkeys", self._name("key"), {"publicKey": public_key(chance)})
        elif deed < 0.95:
            journal.create(api, "volumes", self._name("disk"), {"size": 1 << 20})
        else:
            number = chance.randrange(1 << 12)
            journal.create(api, "networks", self._name("net"),
                           {"type": "nat", "cidr": f"10.{96 + number // 256}.{number % 256}.0/24"})

    def _vms(self, api, chance):
        journal = self._journal
        living = journal.living("vms", self._prefix)
        if len(living) < 2:
            journal.create(api, "vms", self._name("vm"), vm_spec(chance.choice(("running", "stopped"))))
        else:
            claim, deed = chance.choice(living), chance.random()
            if deed < 0.3:
                journal.delete(api, claim)
            elif claim.power == "running":
                journal.act(api, claim, "stop", force=True)
            else:
                journal.act(api, claim, "start")
        self._over.wait(chance.uniform(0, 4))

    def _beats(self, api, _):
        for name in GUESTS:
            status, log = api.get(f"{PROJECT}/vms/{name}/log?tail=200")
            if status == 200:
                for record in re.findall(r"#(\d+)\.", log):
                    self._journal.beat(name, int(record))
        self._over.wait(1)


def keep_going(node, journal, seconds, seed, prefix):
    """A workload that has worked for some seconds, all its threads for sure."""
    workload = Workload(node, journal, seed, prefix)
    before = journal.acknowledged
    workload.start()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or (journal.acknowledged < before + 8 and time.monotonic() < deadline + 30):
        time.sleep(0.02)
    return workload
