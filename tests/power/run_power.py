"""tests/run power [CUTS [SEED]]: the plug of a whole node is pulled, and looked at what is left. See README.md.

run_power.py IMAGE-DIRECTORY PACKAGES-DIRECTORY one|two CUTS [SEED]: the half of it that the one or the other node does
"""
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from api import Unanswered
from checker import Checker
from host import TestFailure
from journal import Claim, Journal
from node import Node
from volatile_disk import POLICIES
from workload import GUESTS, keep_going, vm_spec

HERE = Path(__file__).resolve().parent
EXCHANGE = "mkdir -p /mnt/exchange; mountpoint -q /mnt/exchange || mount -o ro /dev/vdb /mnt/exchange || exit\n"
FAULT = EXCHANGE + """
mkdir -p /run/systemd/system/axle-allinone.service.d
cp /mnt/exchange/nosync.so /dev/shm/nosync.so
printf '[Service]\nEnvironment=LD_PRELOAD=/dev/shm/nosync.so\n' >/run/systemd/system/axle-allinone.service.d/fault.conf
systemctl daemon-reload && systemctl restart axle-allinone
grep -q nosync.so "/proc/$(systemctl show -P MainPID axle-allinone)/maps"
"""
STARTING = "until [[ $(systemctl show -P ActiveState axle-allinone) != inactive ]]; do sleep 0.1; done"
# The same packages once more: dpkg does all that it does with newer ones, and the service is started again.
UPGRADE = "(sleep 1; exec setsid dpkg -i /mnt/exchange/*.deb) >/dev/null 2>&1 </dev/null &"
FINISH_UPGRADE = "dpkg --configure -a && dpkg -i /mnt/exchange/*.deb && [[ -z $(dpkg --audit) ]]"


def build_files(work, packages):
    subprocess.run([HERE / "guest/build", work], check=True)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", work / "nosync.so", HERE / "nosync.c"], check=True)
    files = [*packages.glob("axle_*.deb"), *packages.glob("axle-cli_*.deb"), work / "beat.qcow2", work / "nosync.so"]
    if len(files) != 4:
        raise TestFailure(f"{packages} has not just the packages axle and axle-cli: {[file.name for file in files]}")
    return files


class Campaign:
    def __init__(self, node, seed):
        self.node, self.seed, self.chance = node, seed, random.Random(seed)
        self.journal = Journal()
        self.started = time.monotonic()
        self.passed = self.failed = self.cuts = self.beats = self.acknowledged = self.in_doubt = self.disks = 0
        self.flushed = {"pending": 0, "lost": 0, "torn": 0}

    def say(self, words):
        print(f"{time.monotonic() - self.started:.0f} s: {words}", flush=True)

    def case(self, name, complaints):
        for complaint in complaints[:20]:
            print(f"   {complaint}", flush=True)
        if complaints:
            self.failed += 1
            print(f"FAILED: {name}: {len(complaints)} violations, seed {self.seed}", flush=True)
            self.tell_log()
        else:
            self.passed += 1
            print(f"ok: {name}", flush=True)

    def tell_log(self):
        try:
            log = self.node.shell("journalctl -b --no-pager -q -n 60 -u 'axle*' -u libvirtd", check=False)[1]
            print(log, flush=True)
        except (TestFailure, OSError, AttributeError) as error:
            print(error, flush=True)

    # The steps.
    def pull(self, words, policy=None):
        policy = policy or self.chance.choice(POLICIES)
        at_flush = self.chance.random() < 0.75
        counts = self.node.cut(policy, self.chance.randrange(1 << 30), at_flush)
        self.cuts += 1
        for key in self.flushed:
            self.flushed[key] += counts[key]
        self.say(f"cut {words}: {policy}{' at a flush' if at_flush else ''}, {counts}")

    def first_start(self, cut):
        """The packages are installed, nothing has run yet. With cut: the plug goes in the service's first seconds."""
        self.node.boot()
        if cut:
            self.node.shell(STARTING)
            time.sleep(self.chance.uniform(0, 5))
            self.pull("in the first start")
            self.node.boot()
        self.node.shell("until axle host list -o name 2>/dev/null | grep -q .; do sleep 1; done")
        self.node.authority = self.node.shell("cat /var/lib/axle/identity/ca.pem")[1]
        secret = self.node.shell("axle token create power --role admin 2>/dev/null")[1].split()[-1]
        self.node.token = secret
        if cut:
            self.case("a cut in the first start: it comes up, whole", Checker(self.node, self.journal).all())

    def furnish(self):
        """The image, the network and the guests that are there all the time."""
        self.node.shell(EXCHANGE + "axle image create beat --file /mnt/exchange/beat.qcow2")
        api = self.node.api()
        self.journal.create(api, "networks", "blue", {"type": "nat"})
        for name in GUESTS:
            if not self.journal.create(api, "vms", name, vm_spec("running")):
                raise TestFailure(f"no guest: {self.journal.refused}")
            self.journal.beat(name, 0)
        checker = Checker(self.node, self.journal)
        complaints = checker.power() + checker.beats()
        if complaints:
            raise TestFailure(f"the guests don't run: {complaints}")
        self.say("furnished")

    def work_and_cut(self, number, policy=None, words="under load"):
        seconds = self.chance.uniform(2, 10)
        workload = keep_going(self.node, self.journal, seconds, f"{self.seed} {number}", f"w{number}")
        try:
            self.pull(f"after {seconds:.1f} s {words}", policy)
        finally:
            workload.stop()

    def cut(self, number):
        before = self.journal.acknowledged
        upgrade = number % 5 == 4
        if upgrade:
            self.node.shell(EXCHANGE + UPGRADE)
        self.work_and_cut(number, words="in an upgrade" if upgrade else "under load")
        self.acknowledged += self.journal.acknowledged - before
        self.in_doubt += len(self.journal.open)
        self.node.boot()
        while number % 3 == 0 and self.chance.random() < 0.6:
            time.sleep(self.chance.uniform(5, 35))
            self.pull("while it came up")
            self.node.boot()
        checker = Checker(self.node, self.journal)
        complaints = checker.all() + [f"refused: {words}" for words in self.journal.refused]
        if upgrade:
            self.node.shell_long(EXCHANGE + FINISH_UPGRADE)
        self.journal.refused.clear()
        self.disks += checker.disks
        self.say(f"{self.journal.acknowledged - before} answers, records {self.journal.beats}, ready after "
                 f"{checker.seconds_to_ready:.0f} s, {checker.disks} disks checked")
        self.case(f"cut {number}: what was acknowledged is there, guests run, disks are whole", complaints)

    def control(self, name, prepare):
        """Something that is wrong, and must be found out."""
        prepare()
        self.work_and_cut(name.replace(" ", "-"), "drop", name)
        self.node.boot()
        complaints = Checker(self.node, self.journal, patience=300).acknowledged()
        for complaint in complaints[:3]:
            self.say(f"found out: {complaint}")
        # That the machine was too slow to answer would prove nothing.
        found = [words for words in complaints if "acknowledged" in words or "deleted" in words or "started" in words]
        self.case(f"control: {name} is found out", [] if found else [f"it was not: {complaints}"])

    def begin_anew(self):
        """What is there now is what is claimed from now on."""
        self.journal = Journal()
        api = self.node.api()
        for kind in ("sshkeys", "networks", "volumes", "vms"):
            for name, item in api.names(kind).items():
                claim = self.journal.claims[kind, name] = Claim(kind, name)
                claim.take(item)

    def run_one(self, cuts):
        self.first_start(cut=True)
        self.furnish()
        for number in range(1, cuts, 2):
            self.cut(number)

    def run_two(self, cuts):
        self.first_start(cut=False)
        self.furnish()
        for number in range(2, cuts, 2):
            self.cut(number)
        self.control("a disk that lies about flushes", self.node.disk.lie)
        self.begin_anew()
        self.control("a build that leaves out its syncs", lambda: self.node.shell(FAULT))


def main():
    image, packages = (Path(word).resolve() for word in sys.argv[1:3])
    half, cuts = sys.argv[3], int(sys.argv[4])
    seed = int(sys.argv[5]) if len(sys.argv) > 5 else random.SystemRandom().randrange(1 << 30)
    print(f"{cuts} cuts on two nodes, this is node {half}, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="power-") as directory:
        work = Path(directory)
        campaign = Campaign(Node(image, work, build_files(work, packages)), seed)
        try:
            (campaign.run_one if half == "one" else campaign.run_two)(cuts)
        except (TestFailure, Unanswered, OSError) as error:
            campaign.case("the campaign", [str(error)])
        finally:
            if os.environ.get("AXLE_KEEP") and campaign.failed:
                kept = tempfile.mkdtemp(prefix="power-kept-")
                campaign.node.disk.export(f"{kept}/disk.ext4")
                print(f"the disk's durable state is in {kept}", flush=True)
            campaign.node.stop()
            campaign.node.disk.stop()
    print(f"{campaign.cuts} cuts, {campaign.acknowledged} answers and {campaign.in_doubt} unanswered requests, "
          f"{campaign.flushed['pending']} unflushed writes of which {campaign.flushed['lost']} lost and "
          f"{campaign.flushed['torn']} torn, {campaign.disks} disks checked: {campaign.failed} violated, seed {seed}")
    print(f"tally: {campaign.passed} passed, {campaign.failed} failed, 0 skipped", flush=True)
    return 1 if campaign.failed else 0


sys.exit(main())
