"""Volumes and images: made, attached, detached, deleted; what is hostile or broken is refused and leaves nothing."""
import hashlib
import os
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cases import case, check, check_equal, run_cases
from cloud import GUEST, lab
from host import run, wait_for


def held(cloud):
    """Owner, mode and size or digest of what guests have open: (name) -> facts. Volumes change, images never."""
    facts = {}
    for path in (cloud.host.directory / "axle").rglob("*"):
        if path.is_file() and path.suffix in (".qcow2", ".iso") and not path.name.endswith(".new"):
            about = path.stat()
            facts[path.name, path.parent.name] = (about.st_uid, about.st_gid, oct(about.st_mode))
    return facts


def files(cloud):
    """All files of disks and images, temporary ones too."""
    return sorted(path.name for path in (cloud.host.directory / "axle").rglob("*")
                  if path.is_file() and ("volumes" in path.parts or "images" in path.parts))


@case("a guest with a data disk keeps what it writes there over a stop")
def data_disk(cloud):
    cloud.import_tiny()
    cloud.axle("network", "create", "default", "--type", "nat")
    cloud.axle("sshkey", "create", "mine", "--file", cloud.host.directory / "key.pub")
    cloud.create_vm("store1", "--ssh-key", "mine")
    cloud.axle("volume", "create", "data1", "--size", "64MiB", timeout=60)
    cloud.owners = [held(cloud)]
    cloud.axle("volume", "attach", "data1", "store1", timeout=60)
    cloud.wait_http("store1")
    device = wait_for("the disk is in the running guest", 20, lambda: _disk_of(cloud, 64 << 20))
    cloud.ssh("store1", f"echo axle-was-here | dd of=/dev/{device} conv=fsync; sync")
    cloud.owners.append(held(cloud))
    status = cloud.host.path(f"/proc/{cloud.qemu_pid('store1')}/status").read_text()
    check("\nUid:\t0\t" not in status, f"QEMU runs as root: {status}")
    cloud.axle("vm", "stop", "store1", timeout=120)
    cloud.owners.append(held(cloud))
    cloud.axle("vm", "start", "store1", timeout=120)
    cloud.wait_http("store1")
    device = wait_for("the disk is in the guest again", 20, lambda: _disk_of(cloud, 64 << 20))
    check("axle-was-here" in cloud.ssh("store1", f"head -c 13 /dev/{device}").stdout, "what was written is there")
    cloud.owners.append(held(cloud))
    check(not cloud.get("vm", "store1")["status"].get("needsReboot"), "it needs no reboot")


@case("owner and mode of an image and of a disk are the same before, during and after a guest's run")
def owners(cloud):
    for later in cloud.owners[1:]:
        check_equal(later, cloud.owners[0], "owners and modes")
    digest = cloud.get("image", "tiny")["status"]["digest"]
    copies = [path for path in (cloud.host.directory / "axle").rglob("*.qcow2") if path.stem == digest]
    check(len(copies) == 2, f"the original and the cached image: {copies}")
    for path in copies:
        check_equal(hashlib.sha256(path.read_bytes()).hexdigest(), digest, f"bytes of {path}")
        check_equal(oct(path.stat().st_mode & 0o777), "0o444", f"mode of {path}")


@case("a disk grows in a running guest, and one that is off at its next start; none is made smaller")
def grow(cloud):
    cloud.axle("volume", "set", "data1", "size=96MiB", timeout=60)
    wait_for("the guest sees its disk grow", 20, lambda: _disk_of(cloud, 96 << 20))
    check_equal(cloud.get("volume", "data1")["status"]["size"], 96 << 20, "size that the volume tells")
    _, said = cloud.refused("volume", "set", "data1", "size=64MiB")
    check("smaller" in said, f"it said: {said}")
    cloud.axle("vm", "stop", "store1", timeout=120)
    cloud.axle("vm", "set", "store1", "disks.root.size=48MiB", timeout=60)
    cloud.axle("vm", "start", "store1", timeout=120)
    cloud.wait_http("store1")
    wait_for("the root disk is larger after the start", 20, lambda: _disk_of(cloud, 48 << 20))
    check_equal(cloud.get("volume", "store1-root")["status"]["size"], 48 << 20, "size that the root disk tells")


def _disk_of(cloud, size):
    listing = cloud.ssh("store1", "cd /sys/block; grep . vd*/size", check=False).stdout
    names = [line.split("/")[0] for line in listing.splitlines() if line.endswith(f":{size // 512}")]
    return names[0] if names else None


@case("a volume leaves the running guest when it is detached, and is still there")
def detach(cloud):
    cloud.axle("volume", "detach", "data1", "store1", timeout=60)
    wait_for("the disk has left the guest", 30, lambda: not _disk_of(cloud, 96 << 20))
    check("data1" in cloud.names("volume"), "the volume is gone")


@case("a volume that a guest has can't be deleted, and the refusal names the guest")
def delete_attached(cloud):
    _, said = cloud.refused("volume", "delete", "store1-root")
    check("store1" in said, f"it said: {said}")


@case("a volume deleted for good takes its file with it")
def delete_volume(cloud):
    identity = cloud.get("volume", "data1")["id"]
    check(any(identity in name for name in files(cloud)), "the volume has a file")
    cloud.axle("volume", "delete", "data1", "--now", timeout=60)
    wait_for("its file is gone", 30, lambda: not any(identity in name for name in files(cloud)))


@case("every disk passes qemu-img check")
def check_disks(cloud):
    cloud.axle("vm", "stop", "store1", "--force", timeout=60)
    for path in (cloud.host.directory / "axle").rglob("*.qcow2"):
        inside = "/var/lib/axle" + str(path)[len(str(cloud.host.directory / "axle")):]
        result = cloud.host.run("qemu-img", "check", inside, check=False)
        check(result.returncode == 0, f"{path.name}: {result.stdout}{result.stderr}")


def _qcow2(path, **options):
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    run(["qemu-img", "create", "-q", "-f", "qcow2", *words, path, "16M"])


def _hostile_images(directory):
    """name -> (file, a word that the refusal must have)."""
    made = {}

    def at(name, word):
        made[name] = (directory / f"{name}.qcow2", word)
        return made[name][0]

    _qcow2(at("backing", "backing"), backing_file="/etc/shadow", backing_fmt="raw")
    _qcow2(at("datafile", "data"), data_file=directory / "datafile.raw")
    _qcow2(at("huge", "at most 16 TiB"))
    with open(made["huge"][0], "r+b") as file:
        file.seek(24)
        file.write(struct.pack(">Q", 1 << 60))
    _qcow2(at("truncated", ""))
    os.truncate(made["truncated"][0], 60)
    at("empty", "").write_bytes(b"")
    at("zip", "").write_bytes(b"PK\x03\x04" + os.urandom(4096))
    return made


@case("hostile and broken images are refused with their reason and leave nothing")
def hostile_images(cloud):
    directory = cloud.host.directory / "hostile"
    directory.mkdir()
    before = files(cloud)
    for name, (file, word) in _hostile_images(directory).items():
        _, said = cloud.refused("image", "create", name, "--file", file, timeout=60)
        check(word in said and len(said) > 30, f"image {name} was refused with: {said}")
        cloud.axle("image", "delete", name, "--now", check=False)
    wait_for("nothing of them is left", 20, lambda: files(cloud) == before)


@case("an image with another checksum than stated is refused")
def wrong_checksum(cloud):
    before = files(cloud)
    _, said = cloud.refused("image", "create", "odd", "--file", GUEST / "tiny.qcow2", "--checksum",
                            "sha256:" + "0" * 64, timeout=60)
    check("checksum" in said or "sha256" in said, f"it said: {said}")
    cloud.axle("image", "delete", "odd", "--now", check=False)
    wait_for("nothing of it is left", 20, lambda: files(cloud) == before)


@case("an image comes from an address, with its checksum, and not from one that isn't there")
def from_address(cloud):
    server = cloud.world.spawn("/usr/bin/python3", "-m", "http.server", "8099", "--bind", cloud.world.address,
                               "--directory", GUEST, stdout=-3, stderr=-3)
    try:
        address = f"http://{cloud.world.address}:8099"
        wait_for("the server answers", 10, lambda: cloud.http(cloud.world.address, 8099))
        cloud.axle("image", "create", "fetched", "--url", f"{address}/tiny.qcow2", timeout=120)
        check_equal(cloud.get("image", "fetched")["status"]["phase"], "ready", "phase")
        check_equal(cloud.get("image", "fetched")["status"]["digest"], cloud.get("image", "tiny")["status"]["digest"],
                    "digest of the same image by another way")
        _, said = cloud.refused("image", "create", "nowhere", "--url", f"{address}/nothing.qcow2", timeout=120)
        check("404" in said, f"it said: {said}")
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    run_cases(lab)
