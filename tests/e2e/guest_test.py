"""The life of a guest: it boots from a real image, gets its address, answers; and what is done to it has its effect."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cases import case, check, check_equal, run_cases
from cloud import BOOT_SECONDS, lab
from host import wait_for


@case("an image is imported from a file, and asked for twice it is there once")
def import_image(cloud):
    cloud.import_tiny()
    image = cloud.get("image", "tiny")
    check_equal(image["status"]["phase"], "ready", "phase of the image")
    check(image["status"]["virtualSize"] >= 32 << 20, f"virtual size {image['status']['virtualSize']}")
    cloud.refused("image", "create", "tiny", "--file", "/nowhere")


@case("a guest boots from the image, gets its address by DHCP, its name and key from the seed, and answers")
def first_guest(cloud):
    cloud.axle("network", "create", "default", "--type", "nat")
    cloud.axle("sshkey", "create", "mine", "--file", cloud.host.directory / "key.pub")
    cloud.create_vm("web1", "--ssh-key", "mine")
    cloud.wait_phase("web1", "running")
    check_equal(cloud.wait_http("web1"), "hello from web1", "the page of web1")
    serial = cloud.serial("web1")
    check(f"dhcp eth0 {cloud.address('web1')}/" in serial, "the address is the one that DHCP gave")
    check_equal(cloud.ssh("web1", "hostname").stdout.strip(), "web1", "host name over ssh")


@case("a graceful stop shuts the guest down, a start boots the same disk again")
def stop_and_start(cloud):
    boots = max(cloud.boots("web1"))
    cloud.axle("vm", "stop", "web1", timeout=120)
    cloud.wait_phase("web1", "stopped")
    check("power button" in cloud.serial("web1"), "the guest saw its power button")
    check_equal(cloud.domains(), [], "running domains")
    cloud.axle("vm", "start", "web1", timeout=120)
    cloud.wait_boot("web1", boots + 1)
    check_equal(cloud.wait_http("web1"), "hello from web1", "the page after the start")


@case("a second start of what runs changes nothing")
def start_twice(cloud):
    pid = cloud.qemu_pid("web1")
    cloud.axle("vm", "start", "web1", check=False)
    check_equal(cloud.qemu_pid("web1"), pid, "process of the guest")
    check_equal(len(cloud.domains()), 1, "running domains")


@case("a forced stop needs nothing of the guest")
def force_stop(cloud):
    cloud.axle("vm", "stop", "web1", "--force", timeout=60)
    cloud.wait_phase("web1", "stopped", 20)
    cloud.axle("vm", "start", "web1", timeout=120)
    cloud.wait_http("web1")


@case("a reboot and a reset boot it anew, pause and resume don't")
def reboot_reset_pause(cloud):
    boots = max(cloud.boots("web1"))
    cloud.wait_boot("web1", boots)  # a guest that is not up yet doesn't hear its power button
    cloud.axle("vm", "reboot", "web1", timeout=120)
    cloud.wait_boot("web1", boots + 1)
    cloud.axle("vm", "reset", "web1", timeout=60)
    cloud.wait_boot("web1", boots + 2)
    cloud.wait_http("web1")
    cloud.axle("vm", "pause", "web1")
    cloud.wait_phase("web1", "paused")
    check(cloud.http(cloud.address("web1")) is None, "a paused guest does not answer")
    cloud.axle("vm", "resume", "web1")
    cloud.wait_phase("web1", "running")
    cloud.wait_http("web1")
    check_equal(max(cloud.boots("web1")), boots + 2, "boots after pause and resume")


@case("a power-off inside stays off until the next start")
def power_off_inside(cloud):
    boots = max(cloud.boots("web1"))
    cloud.ssh("web1", "poweroff -f", check=False)
    cloud.wait_phase("web1", "stopped")
    check_equal(cloud.domains(), [], "running domains")
    cloud.kill()
    cloud.start()
    check_equal(cloud.phase("web1"), "stopped", "phase after a restart of Axle")
    cloud.axle("vm", "start", "web1", timeout=120)
    cloud.wait_boot("web1", boots + 1)


@case("a guest destroyed behind our back is started again")
def destroyed(cloud):
    boots = max(cloud.boots("web1"))
    cloud.host.run("virsh", "destroy", cloud.domain_of("web1"))
    cloud.wait_boot("web1", boots + 1)
    cloud.wait_http("web1")


@case("kill -9 of Axle and of libvirtd disturbs no guest, and both are found again")
def kill_axle(cloud):
    pid, boots = cloud.qemu_pid("web1"), max(cloud.boots("web1"))
    cloud.kill()
    check_equal(cloud.http(cloud.addresses["web1"]), "hello from web1", "the page while Axle is dead")
    cloud.start()
    cloud.wait_phase("web1", "running")
    check_equal(cloud.qemu_pid("web1"), pid, "process of the guest")
    check_equal(cloud.boots("web1")[-1], boots, "boots of the guest")
    cloud.crash_libvirtd()
    cloud.axle("vm", "pause", "web1", timeout=60)
    cloud.wait_phase("web1", "paused")
    cloud.axle("vm", "resume", "web1", timeout=60)
    cloud.wait_phase("web1", "running")
    check_equal(cloud.qemu_pid("web1"), pid, "process of the guest after libvirtd's death")


@case("kill -9 in the middle of creating guests leaves each of them whole")
def kill_amid_creation(cloud):
    for name in ("mid1", "mid2"):
        cloud.axle("vm", "create", name, "--image", "tiny", "--cpus", "1", "--memory", "192MiB", "--network", "default",
                   "--no-wait")
    cloud.kill()
    cloud.start()
    for name in ("mid1", "mid2"):
        cloud.wait_phase(name, "running", 120)
        check_equal(cloud.wait_http(name, 2 * BOOT_SECONDS), f"hello from {name}", "the page")
    check_equal(len(cloud.domains()), 3, "running domains")
    for name in ("mid1", "mid2"):
        cloud.axle("vm", "delete", name, "--now", timeout=120)
    wait_for("the deleted guests' domains are gone", 60, lambda: len(cloud.domains("--all")) == 1)


@case("a power cut of the host: its guests come up again by themselves")
def power_cut(cloud):
    boots = max(cloud.boots("web1"))
    cloud.host.crash()
    cloud.host.start()
    cloud.start()
    cloud.wait_boot("web1", boots + 1, 2 * BOOT_SECONDS)
    cloud.wait_http("web1")


@case("with the orchestrator's store moved away, a start brings the host's guests up and destroys nothing")
def store_moved_away(cloud):
    disks = cloud.disk_files()
    cloud.host.crash()
    state = cloud.host.directory / "axle"
    moved = [path for path in state.iterdir() if path.name in ("store", "orchestrator")]
    check(moved, f"there is no store to move away in {sorted(path.name for path in state.iterdir())}")
    for path in moved:
        path.rename(state.parent / f"moved-{path.name}")
    cloud.host.start()
    cloud.start_without_api()
    wait_for("the guest runs without the orchestrator's store", 2 * BOOT_SECONDS, lambda: len(cloud.domains()) == 1)
    wait_for("the guest answers", 2 * BOOT_SECONDS, lambda: cloud.http(cloud.addresses["web1"]))
    check_equal(cloud.disk_files(), disks, "files of disks")
    cloud.host.crash()
    for path in moved:
        if path.exists():
            path.rename(state.parent / f"new-{path.name}")
        (state.parent / f"moved-{path.name}").rename(path)
    cloud.host.start()
    cloud.start()
    cloud.wait_http("web1", 2 * BOOT_SECONDS)


@case("a deleted guest is kept, restored with its disk, and gone for good with --now")
def delete_and_restore(cloud):
    boots, identity = max(cloud.boots("web1")), cloud.get("vm", "web1")["id"]
    cloud.axle("vm", "delete", "web1", timeout=120)
    wait_for("its domain is off", 60, lambda: not cloud.domains())
    check("web1" not in cloud.names("vm"), "a deleted vm is not listed")
    cloud.axle("vm", "restore", identity, timeout=120)
    cloud.axle("vm", "start", "web1", check=False, timeout=120)
    cloud.wait_boot("web1", boots + 1)
    cloud.axle("vm", "delete", "web1", "--now", timeout=120)
    wait_for("its domain is gone", 60, lambda: not cloud.domains("--all"))
    wait_for("its disk is gone", 60, lambda: not cloud.disk_files())
    links = cloud.host.run("ip", "-br", "link").stdout
    check("axt" not in links, f"taps are left: {links}")


if __name__ == "__main__":
    run_cases(lab)
