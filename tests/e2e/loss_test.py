"""The orchestrator's store is lost under running guests: what it serves, what a person is told, and how all is taken in
again."""
import functools
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cases import case, check, check_equal, run_cases
from cloud import lab
from host import wait_for

GUESTS = ("keep", "drop")


def unclaimed(cloud, kind):
    things = json.loads(cloud.axle("unclaimed", "list", "--kind", kind, "-o", "json").stdout)
    return {thing["name"].split("/")[-1]: thing for thing in things}


def is_removed(cloud, thing):
    return cloud.axle("unclaimed", "remove", thing["id"], "--yes", check=False, timeout=120).returncode == 0


@case("with its store gone, the orchestrator serves, says READ-ONLY, takes nothing in and destroys nothing")
def store_lost(cloud):
    cloud.import_tiny()
    cloud.axle("network", "create", "default", "--type", "nat")
    for name in GUESTS:
        cloud.create_vm(name)
    for name in GUESTS:
        cloud.wait_http(name)
    cloud.pids = {name: cloud.qemu_pid(name) for name in GUESTS}
    cloud.disks = cloud.disk_files()
    cloud.kill()
    (cloud.host.directory / "axle" / "store").rename(cloud.host.directory / "lost-store")
    cloud.start_without_api()
    wait_for("it serves reads", 60, lambda: cloud.axle("host", "list", check=False).returncode == 0)
    check("READ-ONLY" in cloud.axle("status", check=False).stdout, "the state tells of it")
    _, said = cloud.refused("network", "create", "green", "--type", "nat")
    check("axle store accept-loss" in said, f"the refusal names the remedy: {said}")
    for name in GUESTS:
        check_equal(cloud.http(cloud.addresses[name]), f"hello from {name}", "the page of a guest meanwhile")
    check_equal(cloud.disk_files(), cloud.disks, "files of disks")


@case("once the loss is accepted, what runs on the host is listed, and adopted without a reboot")
def adopted(cloud):
    cloud.axle("store", "accept-loss", "--yes", timeout=120)
    wait_for("the host tells of both guests", 120, lambda: set(unclaimed(cloud, "vm")) >= set(GUESTS))
    if not cloud.exists("project", "default"):
        cloud.axle("project", "create", "default")
    cloud.axle("unclaimed", "adopt", unclaimed(cloud, "vm")["keep"]["id"], timeout=120)
    cloud.wait_phase("keep", "running", 120)
    check_equal(cloud.axle("vm", "get", "keep", "-o", "json").returncode, 0, "it is a VM again")
    check_equal(cloud.qemu_pid("keep"), cloud.pids["keep"], "process of the guest")
    check_equal(cloud.http(cloud.addresses["keep"]), "hello from keep", "its page")


@case("what nobody wants any more is removed by a person's word, with its disk and nothing else")
def removed(cloud):
    cloud.axle("unclaimed", "remove", unclaimed(cloud, "vm")["drop"]["id"], "--yes", timeout=120)
    wait_for("its domain is gone", 60, lambda: len(cloud.domains("--all")) == 1)
    for thing in unclaimed(cloud, "volume").values():  # in use until the host has looked again
        wait_for(f"{thing['name']} can be removed", 120, functools.partial(is_removed, cloud, thing))
    wait_for("its disk is gone", 60, lambda: len(cloud.disk_files()) == len(cloud.disks) - 1)
    check_equal(cloud.qemu_pid("keep"), cloud.pids["keep"], "process of the adopted guest")
    check_equal(cloud.http(cloud.addresses["keep"]), "hello from keep", "its page")
    cloud.axle("vm", "delete", "keep", "--now", timeout=120)
    wait_for("no disk is left", 60, lambda: not cloud.disk_files())


if __name__ == "__main__":
    run_cases(lab)
