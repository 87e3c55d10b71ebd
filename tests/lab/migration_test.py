"""Guests that move between machines: with their local disks, while they run and while they are off, given up, drained,
and with the programs dying in the middle."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cases import case, check, check_equal, run_cases
from host import wait_for
from hosts import cluster


def begin_slow_move(lab, bandwidth):
    lab.wait_login("mover")
    lab.axle("vm", "migrate", "mover", "--bandwidth", bandwidth, "--no-wait")
    wait_for("it moves", 60, lambda: lab.get("vm", "mover")["status"].get("migration", {}).get("phase") == "moving")


def check_ended_well(lab):
    """However the move ended: the guest is on exactly one host, works, and nothing is left on the other."""
    for agent in lab.agents.values():
        lab.wait_connected(agent.host.name, seconds=120)
    wait_for("the move is over", 400, lambda: "migration" not in lab.get("vm", "mover")["status"])
    lab.check_only_there("mover", lab.agent_of("mover"))
    lab.wait_login("mover")


@case("two machines, a network over both, a guest on each")
def prepare(lab):
    lab.axle("pool", "create", "main", "--path", "/var/lib/axle/pools/main", "--default", check=False)
    lab.join_all()
    lab.import_tiny()
    lab.axle("network", "create", "default", "--type", "nat")
    lab.make_key()
    for name, off in (("mover", "h3"), ("watcher", "h2")):
        lab.axle("host", "cordon", off)
        lab.create_vm(name, "--ssh-key", "mine")
        lab.axle("host", "uncordon", off)
    for name in ("mover", "watcher"):
        lab.wait_boot(name, 1)
        lab.wait_login(name, 60)


@case("a running guest moves with its local disk while a ping to it goes on: it never boots, forgets nothing")
def live(lab):
    source, target = lab.agent_of("mover"), lab.other("mover")
    mover = lab.address("mover")
    lab.inside("mover", "echo before >/tmp/kept; cat /proc/sys/kernel/random/boot_id >/tmp/boot")
    lab.inside("watcher", f"(ping -i 0.2 -c 600 {mover} >/tmp/pings 2>&1 &)")
    lab.axle("vm", "migrate", "mover", timeout=180)
    check_equal(lab.agent_of("mover").host.name, target.host.name, "host of the guest")
    lab.check_only_there("mover", target)
    check_equal(lab.phase("mover"), "running", "phase")
    answers = lambda: lab.inside("watcher", "grep -c ' bytes from ' /tmp/pings", check=False)
    before = int(answers() or 0)
    wait_for("the ping that was under way is answered again", 30, lambda: int(answers() or 0) > before + 5)
    check_equal(lab.inside("mover", "cat /tmp/kept; cmp /tmp/boot /proc/sys/kernel/random/boot_id && echo same"),
                "before\nsame", "memory of the guest")
    check(lab.boots("mover") in ([1], []), f"it was booted: {lab.boots('mover')}")
    said = lab.inside("mover", f"ping -c 2 -W 3 {lab.address('watcher')}")
    check("2 packets received" in said, f"from the new place: {said}")
    check("error" not in source.log().lower(), f"the source's agent says: {source.log_tail()}")


@case("it moves back to the host that it came from")
def back(lab):
    home = lab.other("mover")
    lab.axle("vm", "migrate", "mover", "--host", home.host.name, timeout=180)
    lab.check_only_there("mover", home)
    check_equal(lab.inside("mover", "cat /tmp/kept"), "before", "memory of the guest")


@case("a move that is given up leaves the guest where it is, and nothing on the other host")
def given_up(lab):
    home = lab.agent_of("mover")
    task = lab.axle("vm", "migrate", "mover", "--bandwidth", "1MiB", "--no-wait", "-o", "name").stderr.split()[-1]
    wait_for("it moves", 60, lambda: lab.get("task", task)["status"].get("phase") == "running")
    lab.axle("task", "cancel", task)
    wait_for("it is given up", 90, lambda: lab.get("task", task)["status"]["phase"] == "cancelled")
    lab.check_only_there("mover", home)
    check_equal(lab.inside("mover", "cat /tmp/kept"), "before", "memory of the guest")


@case("a guest that is off moves cold, and starts at its new place from the same disk")
def cold(lab):
    target = lab.other("mover")
    lab.axle("vm", "stop", "mover", timeout=120)
    boots = max(lab.boots("mover"), default=1)
    lab.axle("vm", "migrate", "mover", timeout=180)
    lab.check_only_there("mover", target)
    lab.axle("vm", "start", "mover", timeout=120)
    lab.wait_boot("mover", boots + 1)


@case("the target's agent dies in the middle: the guest runs on exactly one host in the end, and nothing is left")
def target_dies(lab):
    target = lab.other("mover")
    begin_slow_move(lab, "20MiB")
    target.kill()
    target.start()
    check_ended_well(lab)


@case("the source's agent dies in the middle: the same")
def source_dies(lab):
    source = lab.agent_of("mover")
    begin_slow_move(lab, "20MiB")
    source.kill()
    source.start()
    check_ended_well(lab)


@case("the orchestrator dies in the middle: the move ends as if it hadn't")
def orchestrator_dies(lab):
    begin_slow_move(lab, "20MiB")
    lab.kill()
    lab.start()
    check_ended_well(lab)


@case("the line to the target goes silent in the middle, without a word to anybody: the same")
def line_goes_silent(lab):
    target = lab.other("mover")
    begin_slow_move(lab, "20MiB")
    lab.cut(target.host)
    lab.wait_connected(target.host.name, wanted=False, seconds=120)
    lab.heal(target.host)
    check_ended_well(lab)


@case("the target loses its power in the middle: the same")
def target_loses_power(lab):
    target = lab.other("mover")
    begin_slow_move(lab, "20MiB")
    target.host.crash()
    target.host.start()
    target.start()
    check_ended_well(lab)
    lab.wait_login("watcher", 120)


@case("a host is drained: all its guests run on the other one; undrained it takes guests again")
def drained(lab):
    agent = lab.agent_of("watcher")
    lab.axle("host", "drain", agent.host.name, timeout=300)
    for name in ("mover", "watcher"):
        check(lab.agent_of(name) is not agent, f"{name} is still on {agent.host.name}")
        check_equal(lab.phase(name), "running", f"phase of {name}")
    code, said = lab.refused("vm", "migrate", "mover")
    check(code == 4 and agent.host.name in said, f"with nowhere to go it says: {said}")
    lab.axle("host", "undrain", agent.host.name)
    lab.axle("vm", "migrate", "watcher", timeout=180)
    lab.check_only_there("watcher", agent)


@case("every disk that moved passes qemu-img check")
def disks_are_whole(lab):
    for name in ("mover", "watcher"):
        agent = lab.agent_of(name)
        lab.axle("vm", "stop", name, "--force", timeout=120)
        volume = lab.get("volume", f"{name}-root")["id"]
        agent.check_disk(f"/var/lib/axle/pools/main/volumes/{volume}.qcow2")


@case("a machine that burned down is given up by a person's word; what lay on it alone is lost, and said to be")
def given_up_host(lab):
    agent, name = lab.agent_of("watcher"), lab.agent_of("watcher").host.name
    code, said = lab.refused("host", "remove", name, "--lost", "--yes")
    check(code == 4 and "is connected" in said, f"it says {said!r}")
    agent.host.crash()
    lab.wait_connected(name, wanted=False, seconds=120)
    code, said = lab.refused("host", "remove", name)
    check(code == 4 and "--lost" in said, f"it says {said!r}")
    said = lab.axle("host", "remove", name, "--lost", "--yes").stderr
    check("default/watcher" in said and "lost" in said, f"it tells: {said!r}")
    wait_for("the host is gone", 60, lambda: not lab.exists("host", name))
    check_equal(lab.get("volume", "watcher-root")["status"]["phase"], "lost", "phase of its disk")
    lab.axle("vm", "start", "mover", timeout=120)
    lab.axle("vm", "delete", "watcher", "--now", timeout=60)


if __name__ == "__main__":
    run_cases(cluster)
