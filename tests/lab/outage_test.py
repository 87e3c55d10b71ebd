"""What becomes of a cloud of three machines when parts of it stand still, go deaf, grow slow, run full, or when all of
it loses its power and comes back in any order."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cases import case, check, check_equal, run_cases
from host import wait_for
from hosts import cluster

GUESTS = ("web2", "web3", "web4")  # one on each of h2, h3, h4
DISK_MIB = 1024


def boots(lab):
    return {name: max(wait_for(f"{name} has booted", 60, lambda n=name: lab.boots(n))) for name in GUESTS}


def check_up_again(lab, before):
    """All guests have booted once more, each where it was, and nothing runs twice."""
    for agent in lab.agents.values():
        lab.wait_connected(agent.host.name, seconds=120)
    for name in GUESTS:
        lab.wait_boot(name, before[name] + 1, seconds=180)
        lab.wait_phase(name, "running", seconds=120)
    for agent in lab.agents.values():
        check_equal(len(agent.running_guests()), 1, f"guests that run on {agent.host.name}")


def check_takes_orders(lab, name):
    lab.axle("vm", "stop", name, "--force", timeout=120)
    lab.axle("vm", "start", name, timeout=180)
    lab.wait_phase(name, "running")


@case("three machines, a guest on each")
def prepare(lab):
    lab.axle("pool", "create", "main", "--path", "/var/lib/axle/pools/main", "--default", check=False)
    lab.join_all()
    for agent in lab.agents.values():
        lab.axle("host", "set", agent.host.name, "diskReserve=64MiB")
    lab.import_tiny()
    lab.axle("network", "create", "default", "--type", "nat")
    for name in GUESTS:
        lab.create_vm(name, "--host-selector", f"guest={name}", "--no-wait")
    for number, name in zip(lab.agents, GUESTS):
        said = lab.axle("vm", "explain", name, check=False).stdout
        check("guest" in said, f"why {name} waits: {said}")
        lab.axle("host", "label", f"h{number + 1}", f"guest={name}")
    for name in GUESTS:
        lab.wait_boot(name, 1, seconds=180)
        check_equal(lab.agent_of(name).host.name, "h" + name[-1], f"host of {name}")


@case("a machine that stands still for a minute goes on as if nothing had been, and does what was asked meanwhile")
def paused(lab):
    agent, pid = lab.agent_of("web2"), lab.qemu_pid("web2")
    agent.host.freeze()
    try:
        lab.wait_connected(agent.host.name, wanted=False, seconds=120)
        lab.axle("vm", "stop", "web2", "--force", "--no-wait")
        said = lab.axle("status", check=False).stdout
        check(agent.host.name in said, f"axle status says: {said}")
    finally:
        agent.host.thaw()
    lab.wait_connected(agent.host.name, seconds=120)
    lab.wait_phase("web2", "stopped")
    check(pid not in agent.host.run("sh", "-c", "cat /run/libvirt/qemu/*.pid", check=False).stdout.split(),
          "the guest was not stopped")
    lab.axle("vm", "start", "web2", timeout=180)


@case("a machine that is heard and hears nothing is given up by both ends, and comes back by itself")
def deaf(lab):
    agent, pid = lab.agent_of("web3"), lab.qemu_pid("web3")
    lab.deafen(agent.host)
    try:
        lab.wait_connected(agent.host.name, wanted=False, seconds=180)
        wait_for("the agent notices", 120, lambda: not agent.status()["connected"])
    finally:
        lab.undeafen(agent.host)
    lab.wait_connected(agent.host.name, seconds=120)
    check_equal(lab.qemu_pid("web3"), pid, "process of web3")
    check_takes_orders(lab, "web3")


@case("over a line of 100 ms each way that loses every fiftieth frame, guests are stopped, started and moved")
def slow(lab):
    agent = lab.agent_of("web4")
    line = lab.slow_down(agent.host, 100, 2)
    try:
        lab.wait_connected(agent.host.name, seconds=120)
        check_takes_orders(lab, "web4")
        lab.create_vm("traveller", "--host-selector", "guest=web4", "--no-wait")
        wait_for("traveller runs", 240, lambda: lab.phase("traveller") == "running")
        lab.axle("vm", "set", "traveller", "hostSelector=")
        lab.axle("vm", "migrate", "traveller", timeout=400)
        check(lab.agent_of("traveller") is not agent, "it has not moved")
    finally:
        line.stop()
    lab.wait_connected(agent.host.name, seconds=120)
    lab.axle("vm", "delete", "traveller", "--now", timeout=120)


@case("a libvirtd that dies takes no guest along, is told of, and is used again when it is back")
def libvirt_dies(lab):
    agent, pid = lab.agent_of("web2"), lab.qemu_pid("web2")
    host = agent.host
    host.run("kill", "-9", host.path("/run/libvirtd.pid").read_text().strip())
    wait_for("the host tells of it", 90, lambda: "libvirt" in lab.axle("status", check=False).stdout.lower())
    host.run("libvirtd", "-d")
    wait_for("all is well again", 90, lambda: "libvirt" not in lab.axle("status", check=False).stdout.lower())
    check_equal(lab.qemu_pid("web2"), pid, "process of web2")
    check_takes_orders(lab, "web2")


@case("a machine whose disk is full keeps its guest, says so, and takes up work when there is room")
def full(lab):
    agent, pid = lab.agent_of("web3"), lab.qemu_pid("web3")
    agent.host.run("sh", "-c", "dd if=/dev/zero of=/var/lib/axle/ballast bs=1M 2>/dev/null || true")
    lab.create_vm("late", "--host-selector", "guest=web3", "--no-wait")
    try:
        def told():
            said = lab.axle("vm", "explain", "late", check=False).stdout + lab.axle("status", check=False).stdout
            return "space" in said or "full" in said or "left" in said
        wait_for("somebody is told that there is no room", 90, told)
        check_equal(lab.qemu_pid("web3"), pid, "process of web3")
        lab.axle("vm", "stop", "web3", "--force", timeout=120)
    finally:
        agent.host.run("rm", "/var/lib/axle/ballast")
    lab.axle("vm", "start", "web3", timeout=180)
    lab.wait_phase("late", "running", seconds=240)
    lab.axle("vm", "delete", "late", "--now", timeout=120)


def lose_power(lab, agents):
    """The orchestrator's machine, and these."""
    for host in [lab.host, *(agent.host for agent in agents)]:
        host.crash()
    lab.service.wait(timeout=30)


def power_on(host, agent=None):
    host.start()
    if agent is not None:
        agent.start()


@case("all power is lost, the orchestrator's machine comes back first: every guest runs again, once")
def orchestrator_first(lab):
    before = boots(lab)
    lose_power(lab, lab.agents.values())
    power_on(lab.host)
    lab.start()
    for agent in lab.agents.values():
        power_on(agent.host, agent)
    check_up_again(lab, before)


@case("all power is lost, the orchestrator's machine comes back last: guests don't wait for it")
def orchestrator_last(lab):
    before = boots(lab)
    lose_power(lab, lab.agents.values())
    for agent in reversed(lab.agents.values()):
        power_on(agent.host, agent)
    for agent in lab.agents.values():
        wait_for(f"the guest of {agent.host.name} runs", 120, lambda a=agent: a.running_guests())
    power_on(lab.host)
    lab.start()
    check_up_again(lab, before)
    check_takes_orders(lab, "web2")


@case("all power is lost, and lost again while all of it comes back: every guest runs in the end, its disk is whole")
def lost_twice(lab):
    before = boots(lab)
    lose_power(lab, lab.agents.values())
    first = next(iter(lab.agents.values()))
    power_on(first.host, first)
    power_on(lab.host)
    lab.start_without_api()
    lose_power(lab, [first])
    for agent in lab.agents.values():
        power_on(agent.host, agent)
    power_on(lab.host)
    lab.start()
    for name in GUESTS:
        wait_for(f"{name} has booted again", 180, lambda n=name: max(lab.boots(n), default=0) > before[n])
        lab.wait_phase(name, "running", seconds=120)
    for name in GUESTS:
        agent, volume = lab.agent_of(name), lab.get("volume", f"{name}-root")["id"]
        lab.axle("vm", "stop", name, "--force", timeout=120)
        agent.check_disk(f"/var/lib/axle/pools/main/volumes/{volume}.qcow2")


if __name__ == "__main__":
    run_cases(lambda: cluster(hosts=3, disk_mib=DISK_MIB))
