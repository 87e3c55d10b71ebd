"""An all-in-one with a running guest that becomes a cloud of two machines: one joins, guests move to it and back, while
this and that dies; and its orchestrator leaves it for a process of its own."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cases import case, check, check_equal, run_cases
from host import wait_for
from hosts import Node, cluster


@case("a machine joins an all-in-one that has a running guest, which notices nothing")
def join(lab):
    lab.import_tiny()
    lab.axle("network", "create", "default", "--type", "nat")
    lab.make_key()
    lab.create_vm("mover", "--ssh-key", "mine")
    lab.wait_boot("mover", 1)
    pid = lab.qemu_pid("mover")
    lab.join_all()
    check_equal(sorted(lab.names("host")), ["h1", "h2"], "hosts")
    check_equal(lab.get("host", "h1")["status"]["facts"]["underlay"], lab.host.address, "address of the all-in-one")
    check_equal(lab.qemu_pid("mover"), pid, "process of the guest")


@case("a guest on the machine that joined shares the network of the one on the all-in-one")
def second_guest(lab):
    lab.axle("host", "cordon", "h1")
    lab.create_vm("watcher", "--ssh-key", "mine")
    lab.axle("host", "uncordon", "h1")
    lab.wait_boot("watcher", 1)
    for name in ("mover", "watcher"):
        lab.wait_login(name)
    check_equal((lab.agent_of("mover").host.name, lab.agent_of("watcher").host.name), ("h1", "h2"), "places")
    wait_for("they reach each other", 60, lambda: "2 packets received" in lab.inside(
        "mover", f"ping -c 2 -W 3 {lab.address('watcher')}", check=False))


@case("a running guest moves from the all-in-one's own host to the one that joined, and back: it never boots")
def live(lab):
    home, away = lab.agents[0], lab.agents[1]
    lab.inside("mover", "echo before >/tmp/kept; cat /proc/sys/kernel/random/boot_id >/tmp/boot")
    lab.inside("watcher", f"(ping -i 0.2 -c 900 {lab.address('mover')} >/tmp/pings 2>&1 &)")
    answers = lambda: int(lab.inside("watcher", "grep -c ' bytes from ' /tmp/pings", check=False) or 0)
    for target in (away, home):
        lab.axle("vm", "migrate", "mover", "--host", target.host.name, timeout=180)
        lab.check_only_there("mover", target)
        check_equal(lab.phase("mover"), "running", "phase")
        before = answers()
        wait_for("the ping that was under way is answered again", 30, lambda: answers() > before + 5)
        check_equal(lab.inside("mover", "cat /tmp/kept; cmp /tmp/boot /proc/sys/kernel/random/boot_id && echo same"),
                    "before\nsame", "memory of the guest")
        check(lab.boots("mover") in ([1], []), f"it was booted: {lab.boots('mover')}")


@case("the all-in-one is killed in the middle of a move: the guest runs on exactly one host in the end")
def dies_in_the_middle(lab):
    for target in (lab.agents[1], lab.agents[0]):
        lab.wait_login("mover")
        lab.axle("vm", "migrate", "mover", "--bandwidth", "20MiB", "--no-wait")
        wait_for("it moves", 60,
                 lambda: lab.get("vm", "mover")["status"].get("migration", {}).get("phase") == "moving")
        lab.kill()
        lab.start()
        lab.wait_connected("h2", seconds=120)
        wait_for("the move is over", 400, lambda: "migration" not in lab.get("vm", "mover")["status"])
        lab.check_only_there("mover", lab.agent_of("mover"))
        lab.wait_login("mover")
        if lab.agent_of("mover") is not target:
            lab.axle("vm", "migrate", "mover", "--host", target.host.name, timeout=180)


@case("the all-in-one's host is drained, and has its guests back afterwards")
def drained(lab):
    lab.axle("host", "drain", "h1", timeout=300)
    check_equal({lab.agent_of(name).host.name for name in ("mover", "watcher")}, {"h2"}, "places")
    lab.axle("host", "undrain", "h1", "--return", timeout=300)
    wait_for("it is back", 180, lambda: lab.agent_of("mover").host.name == "h1" or None)
    wait_for("the move is over", 60, lambda: "migration" not in lab.get("vm", "mover")["status"])
    lab.check_only_there("mover", lab.agents[0])
    check_equal(lab.inside("mover", "echo in"), "in", "login")


@case("the machine that joined loses its power: what runs on the all-in-one goes on, and what ran there comes back")
def power_cut(lab):
    agent = lab.agents[1]
    boots = max(lab.boots("watcher"), default=1)
    pid = lab.qemu_pid("mover")
    agent.host.crash()
    lab.wait_connected("h2", wanted=False, seconds=120)
    agent.host.start()
    agent.start()
    lab.wait_connected("h2", seconds=120)
    lab.wait_boot("watcher", boots + 1)
    check_equal(lab.qemu_pid("mover"), pid, "process of the other guest")


if __name__ == "__main__":
    run_cases(lambda: cluster(hosts=1, kind=Node))
