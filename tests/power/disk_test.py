"""The disk itself: what it promises is kept, what it does not promise is lost; and the guest of one sector syncs."""
import contextlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cases import case, check, check_equal, run_cases
from disk_server import DiskServer
from host import wait_for
from volatile_disk import BLOCK, POLICIES, VolatileDisk

ZEROS, ONES, TWOS = (bytes([value]) * BLOCK for value in (0, 1, 2))


def empty(directory, size=1 << 20):
    path = directory / "disk.img"
    with open(path, "wb") as file:
        file.truncate(size)
    return path


@case("what was flushed survives any cut, whatever is written after it elsewhere")
def flushed(directory):
    for policy in POLICIES:
        for seed in range(20):
            disk = VolatileDisk(empty(directory))
            disk.write(0, ONES * 3)
            disk.flush()
            disk.write(8 * BLOCK, TWOS * 3)
            disk.cut(policy, seed)
            check_equal(disk.read(0, 3 * BLOCK), ONES * 3, f"flushed blocks after \"{policy}\" with seed {seed}")


@case("what was not flushed is lost, torn, or survives a later write that is lost")
def unflushed(directory):
    seen = set()
    for seed in range(300):
        disk = VolatileDisk(empty(directory))
        disk.write(0, ONES * 2)
        disk.write(BLOCK, TWOS * 2)
        disk.cut("torn", seed)
        seen.add(disk.read(0, 3 * BLOCK))
    for what, state in (("nothing", ZEROS * 3), ("all", ONES + TWOS * 2), ("half of the first", ONES + ZEROS * 2),
                        ("the older", ONES * 2 + ZEROS), ("the newer alone", ZEROS + TWOS * 2)):
        check(state in seen, f"{what} never survived alone")


@case("a write of less than a block, at any place, is read back")
def small_writes(directory):
    disk = VolatileDisk(empty(directory))
    disk.write(0, TWOS * 2)
    disk.write(BLOCK - 512, ONES[:1024])
    check_equal(disk.read(0, 2 * BLOCK), TWOS[512:] + ONES[:1024] + TWOS[512:], "two blocks")
    check_equal(disk.read(BLOCK - 512, 512), ONES[:512], "a sector")


@case("a disk that lies loses what it said that it had flushed")
def lies(directory):
    disk = VolatileDisk(empty(directory))
    disk.write(0, ONES)
    disk.lie()
    disk.write(0, TWOS)
    disk.flush()
    check_equal(disk.read(0, BLOCK), TWOS, "before the cut")
    disk.cut("drop", 1)
    check_equal(disk.read(0, BLOCK), ONES, "after it")


@case("what the guest of one sector says on its serial line is synced, and it finds it again after a cut")
def guest_syncs(directory):
    subprocess.run([Path(__file__).parent / "guest/build", directory], check=True)
    image = directory / "beat.img"
    subprocess.run(["qemu-img", "convert", "-O", "raw", directory / "beat.qcow2", image], check=True)
    disk = DiskServer(str(image), str(directory / "socket"))

    def run(log, wanted, cut):
        guest = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-m", "32", "-display", "none", "-nic", "none", "-M", "q35",
             "-serial", f"file:{log}", "-device", "virtio-blk-pci,drive=disk",
             "-blockdev", f"driver=nbd,node-name=disk,server.type=unix,server.path={disk.path}"])
        try:
            wait_for("the guest speaks", 60, lambda: log.exists() and wanted in log.read_bytes())
            cut()
        finally:
            guest.kill()
            guest.wait()

    run(directory / "first", b"#12.", lambda: disk.cut("drop", 1))
    said = int(re.findall(rb"#(\d+)\.", (directory / "first").read_bytes())[-1])
    run(directory / "second", b" ok.", lambda: None)
    disk.stop()
    found = int((directory / "second").read_bytes().split(b"boot ", 1)[1].split()[0])
    check(said <= found <= said + 1, f"it said {said} and found {found}")


@contextlib.contextmanager
def workplace():
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


if __name__ == "__main__":
    run_cases(workplace)
