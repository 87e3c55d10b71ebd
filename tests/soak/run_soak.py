"""tests/run soak [MINUTES] [--seed S]: does what minutes allow on the real thing: memory, open files, files, rules,
processes stay level. See the README of this folder."""
import random
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cloud import lab
from host import TestFailure, wait_for
from levels import Levels, difference
from person import Gate, Person
from stories import booted_guest, desk, hasty_guest

WARM_UP = 2            # rounds, after which all must be level
SETTLE_SECONDS = 90    # until what a round made has gone
FDS_MORE, THREADS_MORE = 3, 4
MEMORY_MORE = 16       # MiB, median of the last third of the rounds over that of the first
LIBVIRTD_MORE = 64     # MiB; its memory is told, and judged loosely
ROUNDS_MIN = WARM_UP + 3


class Soak:
    def __init__(self, cloud, minutes, seed):
        self.cloud, self.seed = cloud, seed
        self.gate, self.levels = Gate(), Levels(cloud)
        self.half = time.monotonic() + minutes * 30
        self.end = time.monotonic() + minutes * 60
        self.violations, self.figures = [], []
        self.level = None  # things after the warm-up
        self.round = 0

    def violation(self, sentence):
        print(f"   round {self.round}: {sentence}", flush=True)
        self.violations.append(sentence)

    def furnish(self):
        """What stays through all rounds: a guest that nothing may disturb, with its network, port and image."""
        cloud = self.cloud
        cloud.import_tiny()
        cloud.axle("network", "create", "home", "--type", "nat")
        cloud.create_vm("stays", network="home")
        cloud.axle("portforward", "create", "home", "--vm", "stays", "--host-port", "8080", "--guest-port", "80")
        cloud.wait_http("stays", 240)
        self.pid = cloud.qemu_pid("stays")

    def run(self):
        self.furnish()
        while time.monotonic() < self.end or self.round < ROUNDS_MIN:
            if not self.play_round():
                return  # what a story left that was not told to its end is nobody's leak
            self.take_levels()
        self.judge()

    def play_round(self):
        self.round += 1
        before = len(self.violations)
        people = [threading.Thread(target=self.work, args=("ann", booted_guest)),
                  threading.Thread(target=self.work, args=("bob", hasty_guest, desk))]
        for person in people:
            person.start()
        self.disturb(random.Random(f"{self.seed} {self.round}"))
        for person in people:
            person.join()
        return len(self.violations) == before

    def work(self, name, *stories):
        person = Person(self.cloud, self.gate, f"{name}{self.round}", random.Random(f"{self.seed} {self.round} {name}"))
        for story in stories:
            try:
                story(person)
            except Exception as error:  # pylint: disable=broad-except
                self.violation(f"{story.__name__} of {name}: {type(error).__name__}: {error}")

    def disturb(self, chance):
        """Every third round Axle is killed amid the work, in the next one libvirtd. In the second half Axle lives on: a
        leak that is only of a process shows there."""
        victim = {0: "axle", 1: "libvirtd"}.get(self.round % 3) if self.round > 1 else "axle"
        if victim == "axle" and time.monotonic() > self.half and self.round > WARM_UP:
            return
        if victim:
            time.sleep(chance.uniform(5, 30))
            with self.gate.lock:
                self.gate.kills[victim] += 1
                if victim == "axle":
                    self.cloud.kill()
                    self.cloud.start()
                else:
                    self.cloud.crash_libvirtd()

    def take_levels(self):
        """Waits until all is as it was after the warm-up, or, in that, twice the same."""
        before = self.level

        def settled():
            nonlocal before
            self.now = self.levels.things()
            same = before is not None and not difference(before, self.now) and not self.levels.unended_tasks()
            before = self.level or self.now
            return same

        try:
            wait_for("all is as it was", SETTLE_SECONDS, settled, 1)
        except TestFailure:
            for sentence in difference(before, self.now) + self.levels.unended_tasks():
                self.violation(f"{SETTLE_SECONDS} s after the round: {sentence}")
        for what in ("unclaimed", "leftovers"):
            if self.now[what]:
                self.violation(f"{what}: {self.now[what]}")
        if self.cloud.qemu_pid("stays") != self.pid or not self.cloud.http(self.cloud.addresses["stays"]):
            self.violation("the guest that stays was disturbed")
        self.open_files = self.levels.open_files()
        if self.round >= WARM_UP:
            self.level = self.now  # what is told once is not told again
            self.figures.append(self.levels.figures())
            print(f"   {self.round}: {self.figures[-1]}", flush=True)

    def judge(self):
        first, last = self.figures[0], self.figures[-1]
        third = max(1, len(self.figures) // 3)

        def growth(what):
            values = [each[what] for each in self.figures]
            return statistics.median(values[-third:]) - statistics.median(values[:third])

        for what, more in (("fds", FDS_MORE), ("threads", THREADS_MORE), ("memory", MEMORY_MORE),
                           ("libvirtd", LIBVIRTD_MORE)):
            if growth(what) > more:
                self.violation(f"{what}: {growth(what):.1f} more in the last third than in the first, {more} may be; "
                               f"{[round(each[what], 1) for each in self.figures]}; open: {self.open_files}")
        grown = ", ".join(f"{count} {what}" for what, count in sorted(last["grown"].items()))
        print(f"{self.round} rounds, {self.gate.operations} operations, {self.gate.kills['axle']} kills of Axle, "
              f"{self.gate.kills['libvirtd']} of libvirtd; memory {first['memory']:.1f} -> {last['memory']:.1f} MiB "
              f"(libvirtd {first['libvirtd']:.1f} -> {last['libvirtd']:.1f}), fds {first['fds']} -> {last['fds']}, "
              f"threads {first['threads']} -> {last['threads']}, files {first['files']} -> {last['files']}; by design "
              f"{grown}, {last['store']:.1f} MiB", flush=True)


def main():
    words = sys.argv[1:]
    seed = random.randrange(1 << 32)
    if "--seed" in words:
        at = words.index("--seed")
        seed = int(words[at + 1])
        del words[at:at + 2]
    minutes = float(words[0]) if words else 5
    print(f"seed {seed}", flush=True)
    with lab() as cloud:
        soak = Soak(cloud, minutes, seed)
        try:
            soak.run()
        except (TestFailure, OSError) as error:
            soak.violation(f"{type(error).__name__}: {error}")
        if soak.violations:
            print(cloud.describe(), flush=True)
    name = "what rounds of use make is gone after each, and all stays level"
    if soak.violations:
        print(f"FAILED: {name}: {len(soak.violations)} violations, seed {seed}: {soak.violations[0]}")
    else:
        print(f"ok: {name}")
    print(f"tally: {int(not soak.violations)} passed, {int(bool(soak.violations))} failed, 0 skipped", flush=True)
    sys.exit(bool(soak.violations))


if __name__ == "__main__":
    main()
