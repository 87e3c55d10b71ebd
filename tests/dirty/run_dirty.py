"""tests/run dirty: quickstart with ready packages on a machine that isn't empty, in QEMU. See README.md beside this.

run_dirty.py IMAGE-DIRECTORY PACKAGES-DIRECTORY: boots the machine with the packages on an exchange disk and passes on
what the test inside it says.
"""
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from machine import make_disk, qemu

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIMIT_SECONDS = 2400


def make_exchange(work, packages):
    content = work / "exchange"
    (content / "packages").mkdir(parents=True)
    for file in [*packages.glob("axle_*.deb"), *packages.glob("axle-cli_*.deb"), *packages.glob("tiny.qcow2")]:
        shutil.copy(file, content / "packages")
    shutil.copytree(ROOT / "packaging", content / "tree/packaging")
    shutil.copy(HERE / "inside", content / "inside")
    make_disk(work / "exchange.img", 512 << 20, "exchange", content)


def boot(image, work):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image / "disk.ext4"), "-F", "raw",
                    str(work / "disk.qcow2")], check=True)
    make_disk(work / "second.img", 8 << 30, "second")
    disks = []
    for name, kind in (("disk.qcow2", "qcow2"), ("second.img", "raw"), ("exchange.img", "raw")):
        disks += ["-drive", f"file={work}/{name},format={kind},if=virtio,cache=unsafe"]
    return subprocess.Popen(
        qemu(image, 3072, "panic=60 apparmor=1 security=apparmor", "-serial", f"file:{work}/serial.log", *disks,
             "-nic", "user,model=virtio,restrict=on"), stdin=subprocess.DEVNULL)


def follow(machine, log):
    """Passes the machine's words on until it is off or time is over; returns whether it told its tally."""
    deadline = time.monotonic() + LIMIT_SECONDS
    told, said = 0, b""
    while True:
        ended = machine.poll() is not None or time.monotonic() > deadline
        said = log.read_bytes() if log.exists() else b""
        complete = len(said) if ended else said.rfind(b"\n") + 1
        for line in said[told:complete].decode(errors="replace").replace("\r", "").splitlines():
            print(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line), flush=True)
        told = complete
        if ended or b"\ntally: " in said[:complete]:
            return b"\ntally: " in said
        time.sleep(0.5)


def main():
    image, packages = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory(dir=sys.argv[3] if len(sys.argv) > 3 else None) as directory:
        work = Path(directory)
        make_exchange(work, packages)
        machine = boot(image, work)
        try:
            finished = follow(machine, work / "serial.log")
        finally:
            machine.kill()
            machine.wait()
    if not finished:
        print("FAILED: the machine did not come to the end of its test\ntally: 0 passed, 1 failed, 0 skipped")
    return 0 if finished else 1


sys.exit(main())
