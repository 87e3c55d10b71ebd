"""A directory that two machines share: guests move without their disks being copied, a dead host's guest starts on the
other one on a person's word, and the dead one, back again, never opens that disk."""
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cases import case, check, check_equal, run_cases
from host import wait_for
from hosts import cluster


def shared_folder(lab):
    return lab.host.directory / "shared"


def disk_of(lab, name):
    volume = lab.get("volume", f"{name}-root")["id"]
    return shared_folder(lab) / "volumes" / f"{volume}.qcow2"


def epoch_of(lab, name):
    """As it stands beside the disk: (incarnation, revision)."""
    words = disk_of(lab, name).with_suffix(".epoch").read_text().split()
    return int(words[-2]), int(words[-1])


@case("two machines, a pool that both see, a guest whose disk lies there")
def prepare(lab):
    for folder in (lab.host.directory.parent, lab.host.directory):
        os.chmod(folder, 0o711)  # guests' QEMU has to come through
    shared_folder(lab).mkdir(mode=0o711)
    lab.axle("pool", "create", "both", "--path", shared_folder(lab), "--shared")
    lab.join_all()
    lab.import_tiny()
    lab.axle("network", "create", "default", "--type", "nat")
    lab.make_key()
    lab.create_vm("web", "--ssh-key", "mine", "--pool", "both")
    lab.wait_boot("web", 1)
    lab.wait_login("web")
    check(disk_of(lab, "web").exists() and epoch_of(lab, "web") > (0, 0), "the disk and its epoch")


@case("it moves while it runs: the disk stays where it is, its epoch goes up, nothing boots")
def live(lab):
    target, before, inode = lab.other("web"), epoch_of(lab, "web"), disk_of(lab, "web").stat().st_ino
    lab.inside("web", "echo before >/tmp/kept")
    lab.axle("vm", "migrate", "web", timeout=180)
    check_equal(lab.agent_of("web").host.name, target.host.name, "host of the guest")
    check_equal(disk_of(lab, "web").stat().st_ino, inode, "file of the disk")
    check(epoch_of(lab, "web") > before, "the epoch beside the disk has not gone up")
    check_equal(lab.inside("web", "cat /tmp/kept"), "before", "memory of the guest")
    check_equal(lab.other("web").running_guests(), [], "guests on the host that it left")


@case("it moves switched off, and starts at its new place")
def cold(lab):
    target = lab.other("web")
    lab.axle("vm", "stop", "web", "--force", timeout=120)
    lab.axle("vm", "migrate", "web", timeout=180)
    lab.axle("vm", "start", "web", timeout=180)
    check_equal(lab.agent_of("web").host.name, target.host.name, "host of the guest")
    lab.wait_boot("web", 2)


@case("its host dies: only a person's word starts it on the other one; the dead one comes back and lets the disk be")
def lost(lab):
    dead, alive = lab.agent_of("web"), lab.other("web")
    name, before = dead.host.name, epoch_of(lab, "web")
    dead.host.crash()
    lab.wait_connected(name, wanted=False, seconds=120)
    check_equal(alive.running_guests(), [], "guests that run before anybody said that the host is dead")
    lab.axle("host", "remove", name, "--lost", "--yes")
    wait_for("web runs on the other host", 180, lambda: alive.running_guests())
    lab.wait_boot("web", 3)
    check(epoch_of(lab, "web") > before, "the epoch beside the disk has not gone up")
    dead.host.start()
    dead.start()
    said = dead.run("vm", "start", "web", check=False)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        check_equal(dead.running_guests(), [], "guests on the host that was given up")
        time.sleep(0.5)
    check(alive.running_guests() and lab.inside("web", "echo in", check=False) == "in", f"web goes on ({said.stderr})")
    lab.axle("vm", "stop", "web", "--force", timeout=120)
    alive.check_disk(disk_of(lab, "web"))


if __name__ == "__main__":
    run_cases(cluster)
