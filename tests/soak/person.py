"""Somebody who works with the cloud by its command line, also while Axle or libvirtd is killed under his work."""
import re
import subprocess
import threading

from host import TestFailure, wait_for

TASK_SECONDS = 240  # for any task, on a busy machine without KVM
READY = "AXLE-GUEST: ready"


class Gate:
    """Requests pass one at a time, and none while Axle is away; tasks, consoles and watches go on under a kill."""

    def __init__(self):
        self.lock = threading.Lock()
        self.operations = 0
        self.kills = {"axle": 0, "libvirtd": 0}

    def killed(self):
        return sum(self.kills.values())


class Person:
    def __init__(self, cloud, gate, name, chance):
        self.cloud, self.gate, self.name, self.chance = cloud, gate, name, chance
        self._made = 0

    def new_name(self, what):
        self._made += 1
        return f"{self.name}-{what}-{self._made}"

    def order(self, *words):
        """A request that must be taken; the task that follows from it must end, and well. False: its outcome is
        unknown, as a kill may leave it of a reboot or a reset, and of nothing else."""
        with self.gate.lock:
            killed = self.gate.killed()
            self.gate.operations += 1
            said = self.cloud.axle(*words, "--no-wait", timeout=120).stdout
        task = re.search(r"^task (\S{36})", said, re.M)
        if not task:
            return True
        try:
            self.cloud.axle("task", "wait", task.group(1), timeout=TASK_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise TestFailure(f"axle {' '.join(words)}: the task has not ended in {TASK_SECONDS} s") from error
        except TestFailure as error:
            if words[1] not in ("reboot", "reset") or killed == self.gate.killed():
                raise TestFailure(f"axle {' '.join(words)}: {error}") from error
            return False
        return True

    def visit(self, *words, given=None):
        """Opens something that goes on (a console, a watch) and leaves it after some seconds, politely or not."""
        with self.gate.lock:
            killed = self.gate.killed()
            self.gate.operations += 1
        seconds, how = f"{self.chance.uniform(0.3, 2):.2f}", self.chance.choice(("INT", "KILL"))
        command = self.cloud.host.enter("timeout", "-s", how, seconds, self.cloud.program, *words)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True) as visit:
            if given:
                visit.stdin.write(given)
                visit.stdin.flush()
            try:
                visit.wait(timeout=60)
            except subprocess.TimeoutExpired as error:
                visit.kill()
                raise TestFailure(f"axle {' '.join(words)} does not end") from error
            said = visit.stderr.read()
        if visit.returncode not in (0, 124, 130, -9) and killed == self.gate.killed():
            raise TestFailure(f"axle {' '.join(words)} ended with {visit.returncode}: {said}")

    def look(self, kind, name):
        with self.gate.lock:
            return self.cloud.get(kind, name)

    def boots(self, vm):
        return self.cloud.serial(vm).count(READY)

    def wait_ready(self, vm, boots):
        """Until the guest of the tiny image has come up once more than so often."""
        wait_for(f"guest {vm} is ready", TASK_SECONDS, lambda: self.boots(vm) > boots, 0.5)
