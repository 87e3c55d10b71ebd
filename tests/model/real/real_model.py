"""A real all-in-one on a private host: starts it, keeps it running, and does to it what histories order.

usage: real_model.py PROGRAM RESULTS-FOLDER (SEQUENCES [SEED] | FILE)
"""
import functools
import http.server
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "support"))
# pylint: disable=wrong-import-position
from cloud import lab
from host import TestFailure, run

PORT = 8080
FREEZE_SECONDS = 2
MARKS = ("axb", "axt", "axv")  # of interfaces


class Images(http.server.SimpleHTTPRequestHandler):
    """good... is the disk, flaky... is it at every third request, all else isn't there."""

    asked = 0

    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        Images.asked += 1
        if name.startswith("flaky") and Images.asked % 3:
            return self.send_error(503)
        self.path = "/disk.qcow2" if name.startswith(("good", "flaky")) else "/none"
        return super().do_GET()

    def log_message(self, *_words):
        pass


def serve_images(folder):
    """In the world outside, where the host reaches it; ends with this program's child."""
    server = http.server.ThreadingHTTPServer(("0.0.0.0", PORT), functools.partial(Images, directory=str(folder)))
    server.serve_forever()


def is_tombstone(document):
    return json.loads(document.read_text().splitlines()[0])["verdict"] == "gone"


class Machine:
    """What a history may order, in words of the cloud of tests/support."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.orders = {"kill": self.kill, "freeze": self.freeze, "power-cut": self.power_cut, "settle": self.settle,
                       "libvirtd-crash": cloud.crash_libvirtd, "guest-down": self.guest_down,
                       "guest-crash": self.guest_crash, "virsh-destroy": self.virsh_destroy, "left": self.left}

    def obey(self, line):
        word, *rest = line.split()
        try:
            return self.orders[word](*rest) or "done"
        except (TestFailure, OSError, subprocess.TimeoutExpired) as error:
            return f"{type(error).__name__}: {error}".replace("\n", " ")

    def kill(self):
        self.cloud.kill()
        self.cloud.start()

    def freeze(self):
        pid = self.cloud.host.path("/run/axle.pid").read_text().strip()
        self.cloud.host.run("kill", "-STOP", pid)
        time.sleep(FREEZE_SECONDS)
        self.cloud.host.run("kill", "-CONT", pid)
        self.cloud.service.send_signal(signal.SIGCONT)  # what has entered the host stopped with what it started there

    def power_cut(self):
        self.cloud.host.crash()
        self.cloud.service.wait(timeout=60)
        self.cloud.host.start()
        self.cloud.start()

    def settle(self):
        if self.cloud.service.poll() is not None:
            self.cloud.start()

    # A guest may be off, or not there: then nothing befalls it.
    def guest_down(self, vm):
        self.cloud.host.run("virsh", "shutdown", f"axle-{vm}", check=False)

    def virsh_destroy(self, vm):
        self.cloud.host.run("virsh", "destroy", f"axle-{vm}", check=False)

    def guest_crash(self, vm):
        file = self.cloud.host.path(f"/run/libvirt/qemu/axle-{vm}.pid")
        if file.exists():
            self.cloud.host.run("kill", "-9", file.read_text().strip(), check=False)

    def left(self):
        """Furniture and files that have no owner once all is deleted."""
        host = self.cloud.host
        domains = [name for name in host.run("virsh", "-q", "list", "--all", "--name").stdout.split()
                   if name.startswith("axle-")]
        links = [line.split(":")[1].strip() for line in host.run("ip", "-o", "link").stdout.splitlines()]
        links = [link for link in links if link.startswith(MARKS)]
        state = host.path("/var/lib/axle")
        files = [str(file) for pattern in ("pools/*/volumes/*", "seeds/*") for file in state.glob(pattern)]
        documents = [file.name for file in state.glob("agent/desired/vm-*") if not is_tombstone(file)]
        left = domains + links + files + documents
        return "left: " + " ".join(left) if left else "nothing"


def play(cloud, program, arguments):
    # The path goes through the host's process 1, which a power cut replaces: a link that is made anew stands for it.
    link = cloud.host.directory / "api.sock"
    machine = Machine(cloud)

    def point():
        link.unlink(missing_ok=True)
        link.symlink_to(cloud.host.path("/run/axle/api.sock"))

    point()
    player = subprocess.Popen([program, str(link), f"http://{cloud.world.address}:{PORT}", *arguments],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for line in player.stdout:
        if not line.startswith("order: "):
            print(line, end="", flush=True)
            continue
        answer = machine.obey(line.removeprefix("order: "))
        point()
        player.stdin.write(answer + "\n")
        player.stdin.flush()
    return player.wait()


def main():
    program, *arguments = sys.argv[1:]
    with lab() as cloud:
        folder = cloud.host.directory / "images"
        folder.mkdir()
        run([program, "--disk", folder / "disk.raw"])
        run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", folder / "disk.raw", folder / "disk.qcow2"])
        server = cloud.world.spawn(sys.executable, __file__, "--serve", folder)
        try:
            status = play(cloud, program, arguments)
        finally:
            server.kill()
            server.wait()
        if status:
            print(cloud.log_tail(200))
    sys.exit(status)


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve_images(sys.argv[2])
    else:
        main()
