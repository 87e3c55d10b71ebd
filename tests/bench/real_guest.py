"""What Axle adds to libvirt and QEMU, side by side on one machine: from the request to a guest's first instruction,
against a bare `virsh create` of the same domain; a volume of 1 GB and of 1 TB through the API; the service at rest.

The guest is a boot sector that writes one byte to its serial port: its first byte is its first instruction but for the
firmware, which both ways have.
"""
import contextlib
import json
import os
import re
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cloud import lab
from host import run, wait_for

ROUNDS = int(os.environ.get("AXLE_ROUNDS", "5"))
# mov dx, 0x3f8; mov al, 'A'; out dx, al; hlt; jmp to hlt
BOOT_SECTOR = bytes.fromhex("baf803b041eef4ebfd").ljust(510, b"\0") + b"\x55\xaa"


def figure(name, value, unit):
    print(f"figure: {name} {value:.4g} {unit}", flush=True)


def first_byte(path, start, size_before):
    """Milliseconds from start until the guest's serial log has grown."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size > size_before:
                return (time.monotonic() - start) * 1000
        time.sleep(0.0005)
    raise TimeoutError(f"nothing came in {path}")


def make_image(cloud):
    raw = cloud.host.directory / "boot.img"
    raw.write_bytes(BOOT_SECTOR + bytes((1 << 20) - 512))
    run(["qemu-img", "convert", "-O", "qcow2", raw, raw.with_suffix(".qcow2")])
    cloud.axle("image", "create", "sector", "--file", raw.with_suffix(".qcow2"), timeout=60)


def serial_log(xml):
    return re.search(r"<log file='([^']+)'", xml).group(1)


def through_axle(cloud, name):
    """Starts the stopped VM and returns the time, with the command line's own start taken off."""
    log = cloud.host.path(serial_log(cloud.host.run("virsh", "dumpxml", cloud.domain_of(name)).stdout))
    before = log.stat().st_size if log.exists() else 0
    start = time.monotonic()
    process = cloud.host.spawn("curl", "-s", "-o", "/dev/null", "-X", "POST", "--unix-socket", "/run/axle/api.sock",
                               "-H", "Content-Type: application/json", "-d", "{}",
                               f"http://axle/v1/projects/default/vms/{name}/actions/start")
    taken = first_byte(log, start, before)
    process.wait()
    cloud.wait_phase(name, "running")
    cloud.axle("vm", "stop", name, "--force", timeout=60)
    return taken


def through_virsh(cloud, xml):
    """The same domain under another name, by `virsh create`."""
    log = cloud.host.path(serial_log(xml))
    before = log.stat().st_size if log.exists() else 0
    start = time.monotonic()
    process = cloud.host.spawn("virsh", "-q", "create", "/etc/libvirt/bare.xml")
    taken = first_byte(log, start, before)
    process.wait()
    cloud.host.run("virsh", "-q", "destroy", "bare")
    return taken


def bare_domain(cloud, name):
    """The domain's XML as Axle made it, but for name, id, disks of its own and the log."""
    xml = cloud.host.run("virsh", "dumpxml", "--inactive", cloud.domain_of(name)).stdout
    xml = re.sub(r"<name>.*?</name>", "<name>bare</name>", xml)
    xml = re.sub(r"<uuid>.*?</uuid>", "", xml, count=1)
    xml = re.sub(r"<title>.*?</title>|<metadata>.*?</metadata>", "", xml, flags=re.S)
    xml = xml.replace(cloud.get("vm", name)["id"], "bare")
    identity = cloud.get("vm", name)["id"]
    for source in set(re.findall(r"<source file='([^']+)'", xml)):
        copy = f"/var/lib/libvirt/images/bare-{Path(source).name}"
        original = source.replace("bare", identity)
        cloud.host.run("cp", "--preserve=all", original, copy)
        if copy.endswith(".qcow2"):  # what it rests on is named relative to where it was
            about = json.loads(cloud.host.run("qemu-img", "info", "--output=json", original).stdout)
            cloud.host.run("qemu-img", "rebase", "-u", "-F", "qcow2", "-b", about["full-backing-filename"], copy)
        xml = xml.replace(source, copy)
    for log in re.findall(r"<log file='([^']+)'", xml):
        xml = xml.replace(log, "/var/log/libvirt/qemu/bare-serial.log")
    for path in re.findall(r"path='([^']*bare[^']*)'|socket='([^']*bare[^']*)'", xml):
        for word in filter(None, path):
            cloud.host.run("mkdir", "-p", str(Path(word).parent))
    (cloud.host.directory / "etc-libvirt/bare.xml").write_text(xml)
    return xml


def measure_start(cloud):
    make_image(cloud)
    cloud.axle("vm", "create", "probe", "--image", "sector", "--cpus", "1", "--memory", "64MiB", "--network", "none",
               timeout=120)
    cloud.wait_phase("probe", "running")
    cloud.axle("vm", "stop", "probe", "--force", timeout=60)
    xml = bare_domain(cloud, "probe")
    axle, bare = [], []
    for _ in range(ROUNDS):  # in turns, so that both have the same weather
        bare.append(through_virsh(cloud, xml))
        axle.append(through_axle(cloud, "probe"))
    print(f"request to first instruction, ms: Axle {[round(x) for x in axle]}, virsh create {[round(x) for x in bare]}")
    figure("guest_start_axle", statistics.median(axle), "ms")
    figure("guest_start_virsh", statistics.median(bare), "ms")
    figure("guest_start_over_virsh", statistics.median(axle) - statistics.median(bare), "ms")


def measure_volumes(cloud):
    cloud.axle("host", "set", "h1", "diskOvercommit=100")  # this machine's disk is smaller than the largest of them
    for size in ("1GiB", "1TiB"):
        taken = []
        for number in range(ROUNDS):
            name = f"v{number}-{size.lower()}"
            body = f'{{"kind":"volume","name":"{name}","spec":{{"size":"{size}","image":"sector"}}}}'
            said = cloud.host.run("curl", "-s", "-f", "-o", "/dev/null", "-w", "%{time_total}", "--unix-socket",
                                  "/run/axle/api.sock", "-H", "Content-Type: application/json", "-d", body,
                                  "http://axle/v1/projects/default/volumes?wait=30s").stdout
            taken.append(float(said) * 1000)
            if cloud.get("volume", name)["status"]["phase"] != "ready":
                raise RuntimeError(f"volume {name} was not made: {cloud.axle('volume', 'show', name).stdout}")
            cloud.axle("volume", "delete", name, "--now")
        print(f"overlay volume of {size} through the API, ms: {[round(x, 1) for x in taken]}")
        figure(f"volume_{size}", statistics.median(taken), "ms")


def measure_rest(cloud):
    """Resident memory and CPU of the service with one guest, over 20 s."""
    pid = cloud.host.path("/run/axle.pid").read_text().strip()

    def ticks():
        fields = cloud.host.path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def is_idle():
        tasks = json.loads(cloud.axle("task", "list", "-o", "json").stdout)
        return all(task["status"]["phase"] in ("succeeded", "failed", "superseded", "cancelled") for task in tasks)

    wait_for("the work of before is done", 60, is_idle)
    before, start = ticks(), time.monotonic()
    time.sleep(20)
    cpu = (ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - start) * 100
    status = cloud.host.path(f"/proc/{pid}/status").read_text()
    resident = int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024
    anonymous = int(re.search(r"RssAnon:\s+(\d+)", status).group(1)) / 1024
    figure("idle_resident", resident, "MiB")
    figure("idle_anonymous", anonymous, "MiB")
    figure("idle_cpu", cpu, "% of a core")


def main():
    with lab() as cloud:
        measure_start(cloud)
        measure_volumes(cloud)
        measure_rest(cloud)


if __name__ == "__main__":
    main()
