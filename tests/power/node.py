"""The node: a machine in QEMU on a disk whose plug can be pulled."""
import base64
import os
import shlex
import shutil
import socket
import subprocess
import time

from api import Api
from disk_server import DiskServer
from host import TestFailure, wait_for
from machine import make_disk, qemu

BOOT_SECONDS = 240
# What costs an emulated processor most: guards against its own leaks, memory that is cleared twice, tests of ciphers.
APPEND = ("net.ifnames=0 panic=-1 loglevel=3 audit=0 lsm=capability mitigations=off init_on_alloc=0 "
          "cryptomgr.notests rcupdate.rcu_expedited=1")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Node:
    """`files` lie in the machine under /mnt/exchange, once that is mounted."""

    def __init__(self, image, work, files):
        self.image, self.work = image, work
        self.port = free_port()
        self.process = self._line = self.authority = self.token = None
        content = work / "exchange"
        content.mkdir()
        for file in files:
            shutil.copy(file, content)
        make_disk(work / "exchange.img", 96 << 20, "exchange", content)
        self.disk = DiskServer(str(image / "disk.ext4"), str(work / "disk"))

    def boot(self):
        hand = self.work / "hand"
        hand.unlink(missing_ok=True)
        with open(self.work / "qemu.log", "ab") as log:
            self.process = subprocess.Popen(
                qemu(self.image, 2048, APPEND, "-no-reboot",
                     "-serial", f"file:{self.work}/serial.log",
                     "-blockdev", f"driver=nbd,node-name=disk,server.type=unix,server.path={self.disk.path}",
                     "-device", "virtio-blk-pci,drive=disk,physical_block_size=4096",
                     "-drive", f"file={self.work}/exchange.img,format=raw,if=virtio,readonly=on",
                     "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=hand,name=hand",
                     "-chardev", f"socket,id=hand,path={hand},server=on,wait=off",
                     "-nic", f"user,model=virtio,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-10.0.2.15:7443",
                     cpus=1, emulated="Nehalem,+rdrand"),  # two nodes run beside each other
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=lambda: os.nice(5))
        deadline = time.monotonic() + 20
        while not hand.exists():
            self._must_run()
            if time.monotonic() > deadline:
                raise TestFailure("QEMU did not start within 20 s")
            time.sleep(0.05)
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(str(hand))

    def _must_run(self):
        if self.process.poll() is not None:
            raise TestFailure(f"the machine ended with {self.process.returncode}:\n{self.last_words()}")

    def last_words(self):
        words = b"".join((self.work / name).read_bytes()[-2000:] for name in ("serial.log", "qemu.log")
                         if (self.work / name).exists())
        return words.decode(errors="replace")

    def cut(self, policy, seed, at_flush=False):
        """Pulls the plug. What the disk had in its cache fares as the policy says."""
        counts = self.disk.cut(policy, seed, at_flush)
        self.stop()
        return counts

    def stop(self):
        if self._line:
            self._line.close()
            self._line = None
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def shell(self, script, check=True, seconds=BOOT_SECONDS):
        """Runs a script in the machine, as soon as that is up; (status, words)."""
        self._line.settimeout(2)
        self._line.sendall(base64.b64encode(script.encode()) + b"\n")
        answer, deadline = b"", time.monotonic() + seconds
        while not answer.endswith(b"\n"):
            self._must_run()
            if time.monotonic() > deadline:
                raise TestFailure(f"no answer within {seconds} s to: {script}\n{self.last_words()}")
            try:
                answer += self._line.recv(1 << 16)
            except TimeoutError:
                continue
        status, words = answer.decode().rstrip("\n").split(" ", 1)
        said = base64.b64decode(words).decode(errors="replace").strip()
        if check and status != "0":
            raise TestFailure(f"{script}: status {status}: {said}")
        return int(status), said

    def shell_long(self, script, seconds=600):
        """The same for what may take longer than the hand has patience."""
        self.shell("rm -f /run/long.status; (bash -c " + shlex.quote(script) +
                   " >/run/long.words 2>&1; echo $? >/run/long.status) </dev/null >/dev/null 2>&1 &")
        status = wait_for("the script ends: " + script, seconds,
                          lambda: self.shell("cat /run/long.status 2>/dev/null", check=False)[1], 1)
        if status != "0":
            raise TestFailure(f"{script}: status {status}: {self.shell('cat /run/long.words')[1]}")

    def api(self):
        return Api(self.port, self.authority, self.token)
