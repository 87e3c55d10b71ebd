"""Many hosts: an orchestrator and agents as programs on machines of their own, real guests, and what goes wrong between
them."""
import json
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cases import case, check, check_equal, run_cases
from cloud import BINARIES
from host import wait_for
from hosts import Agent, cluster


@case("the orchestrator links no libvirt, the agent no RocksDB")
def programs_apart(_):
    def libraries(name):
        return subprocess.run(["ldd", BINARIES / name], capture_output=True, text=True, check=True).stdout
    check("libvirt" not in libraries("axle-orchestrator"), "axle-orchestrator links libvirt")
    check("rocksdb" not in libraries("axle-agent"), "axle-agent links RocksDB")


@case("two machines join by a token each, and are hosts with their facts")
def join(lab):
    lab.axle("pool", "create", "main", "--path", "/var/lib/axle/pools/main", "--default", check=False)
    for number, agent in lab.agents.items():
        lab.join(number)
        host = lab.get("host", agent.host.name)
        check_equal(host["status"]["address"], agent.host.address, "address of the host")
        check_equal(host["status"]["facts"]["underlay"], agent.host.address, "underlay of the host")
        check(host["status"]["facts"]["guestMachine"].startswith("pc-"), "facts of libvirt")
        state = agent.status()
        check(state["connected"], f"the agent says: {state}")
        check_equal(state["host"]["name"], agent.host.name, "the name that the agent was told")


@case("an orchestrator and an agent that have nothing to do hold less than 100 MB together")
def light(lab):
    def resident(host, pid_file):
        status = host.run("cat", f"/proc/{host.path(pid_file).read_text().strip()}/status").stdout
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024
    total = lambda: resident(lab.host, "/run/axle.pid") + resident(lab.agents[1].host, "/run/axle-agent.pid")
    wait_for("what joining took is given back", 60, lambda: total() < 100_000_000, 1)


@case("a used token, a changed one and one for another host are refused in words")
def refused_tokens(lab):
    agent = lab.agents[1]
    token = lab.token()
    for string, words in ((token[:60], "no join string"), ("axle1:" + "A" * 80, "no join string"),
                          (token, "this machine is host h2 already"),
                          (lab.token("--host", "h3"), "is for host h3")):
        result = agent.run("join", string, check=False)
        check(result.returncode == 1 and words in result.stderr, f"{words!r} is not in {result.stderr!r}")
    check(lab.agents[1].status()["connected"], "a refused join changes nothing")


@case("a guest is created on each host, from an image that the hosts fetch from the orchestrator")
def guests(lab):
    lab.import_tiny()
    lab.axle("network", "create", "default", "--type", "nat")
    lab.make_key()
    for name, other in (("web1", "h3"), ("web2", "h2")):
        lab.axle("host", "cordon", other)
        lab.create_vm(name, "--ssh-key", "mine")
        lab.axle("host", "uncordon", other)
    for name in ("web1", "web2"):
        lab.wait_phase(name, "running")
        agent = lab.agent_of(name)
        lab.wait_boot(name, 1)
        address = lab.address(name)
        wait_for(f"{name} answers", 60, lambda a=agent, at=address: lab.http(at, source=a.host), 0.3)
    check_equal({lab.agent_of("web1").host.name, lab.agent_of("web2").host.name}, {"h2", "h3"}, "hosts of the guests")


@case("guests of one network on two hosts reach each other: ping, TCP, names; each has the gateway beside it")
def across_hosts(lab):
    web2 = lab.address("web2")

    wait_for("web1 pings web2", 60,
             lambda: "3 packets received" in lab.inside("web1", f"ping -c 3 -W 3 {web2}", check=False))
    said = lab.inside("web1", f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {web2} 80", check=False)
    check("hello from web2" in said, f"HTTP to the other host: {said!r}")
    gateway = lab.get("network", "default")["spec"]["gateway"]
    said = lab.inside("web1", f"ping -c 1 -W 3 {gateway}", check=False)
    check("1 packets received" in said, f"the gateway on the guest's own host: {said!r}")


def check_undisturbed(lab, name, pid):
    check_equal(lab.qemu_pid(name), pid, f"process of {name}")


@case("the orchestrator is killed and comes back: agents connect again, guests notice nothing")
def orchestrator_killed(lab):
    pids = {name: lab.qemu_pid(name) for name in ("web1", "web2")}
    lab.kill()
    wait_for("the agent notices", 60, lambda: not lab.agents[1].status()["connected"])
    lab.start()
    for agent in lab.agents.values():
        lab.wait_connected(agent.host.name, seconds=90)
    for name, pid in pids.items():
        check_undisturbed(lab, name, pid)
        check_equal(lab.phase(name), "running", f"phase of {name}")


@case("an agent is killed and comes back: it finds its guest, and takes orders again")
def agent_killed(lab):
    pid = lab.qemu_pid("web1")
    agent = lab.agent_of("web1")
    agent.kill()
    lab.wait_connected(agent.host.name, wanted=False)
    check_undisturbed(lab, "web1", pid)
    lab.axle("vm", "stop", "web1", "--force", "--no-wait")
    agent.start()
    lab.wait_connected(agent.host.name)
    lab.wait_phase("web1", "stopped")
    lab.axle("vm", "start", "web1", timeout=120)
    lab.wait_phase("web1", "running")


@case("a line that is cut without a word is noticed on both ends, and heals by itself")
def link_cut(lab):
    agent = lab.agent_of("web2")
    pid = lab.qemu_pid("web2")
    lab.cut(agent.host)
    lab.wait_connected(agent.host.name, wanted=False, seconds=120)
    wait_for("the agent notices", 120, lambda: not agent.status()["connected"])
    lab.axle("vm", "stop", "web2", "--force", "--no-wait")
    check_undisturbed(lab, "web2", pid)
    lab.heal(agent.host)
    lab.wait_connected(agent.host.name, seconds=120)
    lab.wait_phase("web2", "stopped")
    lab.axle("vm", "start", "web2", timeout=120)
    lab.wait_phase("web2", "running")


@case("with the orchestrator away root on the host stops and starts guests, and the spec follows when it is back")
def orchestrator_away(lab):
    agent = lab.agent_of("web1")
    refused = agent.run("vm", "stop", "web1", check=False)
    check(refused.returncode == 1 and "axle vm stop web1" in refused.stderr, f"it says {refused.stderr!r}")
    lab.stop()
    wait_for("the agent notices", 60, lambda: not agent.status()["connected"])

    def state():
        vms = json.loads(agent.run("vm", "list", "-o", "json").stdout)
        return next(vm["state"] for vm in vms if vm["name"] == "default/web1")
    agent.run("vm", "stop", "web1", "--force")
    wait_for("the guest is off", 60, lambda: state() == "shut-off")
    agent.kill()
    agent.start()
    wait_for("the agent looks again", 60, lambda: state() == "shut-off")
    agent.run("vm", "start", "web1")
    wait_for("the guest runs", 60, lambda: state() == "running")
    agent.run("vm", "stop", "web1", "--force")
    wait_for("the guest is off", 60, lambda: state() == "shut-off")
    lab.start()
    lab.wait_connected(agent.host.name, seconds=90)
    wait_for("the spec says so", 60, lambda: lab.get("vm", "web1")["spec"].get("power") == "stopped")
    lab.wait_phase("web1", "stopped")
    lab.axle("vm", "start", "web1", timeout=120)
    lab.wait_phase("web1", "running")


@case("a lost certificate is mended by a new token; the guest notices nothing")
def certificate_lost(lab):
    agent = lab.agent_of("web1")
    name, pid = agent.host.name, lab.qemu_pid("web1")
    agent.stop()
    agent.host.path("/var/lib/axle/agent/identity.json").unlink()
    agent.start()
    check(not agent.status()["joined"], "an agent without a certificate says so")
    lab.join(agent.host.number - 1, "--host", name)
    lab.wait_phase("web1", "running")
    check_undisturbed(lab, "web1", pid)
    check("conditions" not in lab.get("host", name)["status"], "no trouble is left on the host")


@case("another orchestrator gets nothing from a host of this one")
def second_orchestrator(lab):
    agent = lab.agents[2]
    lab.wait_connected(agent.host.name, seconds=120)  # it backs off after the orchestrator was away
    other = Agent(agent.host)
    settings = agent.host.path("/etc/axle/other.yaml")
    settings.write_text("stateDirectory: /var/lib/axle/other\nlogDirectory: /var/log/axle/other\n"
                        "runDirectory: /run/other\nlisten: \"127.0.0.1:7500\"\n")
    with open(agent.host.directory / "other.log", "ab") as log:
        service = agent.host.spawn(BINARIES / "axle-orchestrator", "--config", "/etc/axle/other.yaml", stdout=log,
                                   stderr=log)
    try:
        def axle(*words, check=True):
            return agent.host.run(lab.program, "--endpoint", "unix:/run/other/api.sock", *words, check=check)
        wait_for("the other orchestrator answers", 60,
                 lambda: axle("project", "list", check=False).returncode == 0)
        string = json.loads(axle("host", "token", "create", "-o", "json").stdout)["joinString"]
        result = other.run("join", string, check=False)
        check(result.returncode == 1 and "belongs to cluster" in result.stderr, f"it says {result.stderr!r}")
    finally:
        service.terminate()
        service.wait(timeout=30)
    check(agent.status()["connected"], "the host stays with its own orchestrator")


@case("a machine that gets another address and another name is the same host, and its guest reaches the others")
def other_address(lab):
    agent = lab.agent_of("web2")
    name, pid, address = agent.host.name, lab.qemu_pid("web2"), "10.200.0.77"
    agent.host.run("hostname", "renamed")
    for words in (f"addr del {agent.host.address}/24 dev eth0", f"addr add {address}/24 dev eth0",
                  f"route replace default via {lab.world.address}"):
        agent.host.run("ip", *words.split())

    def told():
        status = lab.get("host", name)["status"]
        return (status["connected"], status["address"], status["facts"]["underlay"], status["facts"]["hostname"])
    wait_for("it is known by its new address and name", 180, lambda: told() == (True, address, address, "renamed"))
    wait_for("web1 pings web2", 60,
             lambda: "3 packets received" in lab.inside("web1", f"ping -c 3 -W 3 {lab.address('web2')}", check=False))
    check_equal(lab.inside("web2", "hostname"), "web2", "a login through the agent")
    check_undisturbed(lab, "web2", pid)
    check_equal(lab.get("vm", "web2")["status"]["placement"]["host"], name, "the host that web2 is on")


@case("a host that was switched off comes back by itself, with its guest, also without the orchestrator")
def power_cut(lab):
    agent = lab.agent_of("web2")
    lab.wait_connected(agent.host.name, seconds=120)
    boots = max(wait_for("web2 boots", 60, lambda: lab.boots("web2")))
    lab.stop()
    agent.host.crash()
    agent.host.start()
    agent.start()
    wait_for("the guest runs again", 90, lambda: agent.host.run("virsh", "-q", "list", "--name").stdout.strip())
    lab.start()
    lab.wait_connected(agent.host.name, seconds=120)
    lab.wait_boot("web2", boots + 1)
    lab.wait_phase("web2", "running")


@case("a host that was given up while its guest went on comes back: adopted, the guest is the cloud's, undisturbed")
def given_up_and_adopted(lab):
    agent = lab.agent_of("web1")
    name, pid, vm = agent.host.name, lab.qemu_pid("web1"), lab.get("vm", "web1")["id"]
    lab.cut(agent.host)
    lab.wait_connected(name, wanted=False, seconds=120)
    lab.axle("host", "remove", name, "--lost", "--yes")
    wait_for("the host is gone", 60, lambda: not lab.exists("host", name))
    check_equal(lab.get("volume", "web1-root")["status"]["phase"], "lost", "phase of its disk")
    lab.heal(agent.host)
    lab.join(agent.host.number - 1)
    unclaimed = lambda: json.loads(lab.axle("unclaimed", "list", "--host", name, "-o", "json").stdout)
    wait_for("the host tells of a guest that nobody knows", 120,
             lambda: any(thing["kind"] == "vm" and thing["id"] == vm for thing in unclaimed()), 0.5)
    lab.axle("unclaimed", "adopt", vm, timeout=120)
    lab.wait_phase("web1", "running")
    check_equal(lab.agent_of("web1").host.name, name, "host of the guest")
    check_equal(lab.get("volume", "web1-root")["status"]["phase"], "ready", "phase of its disk")
    check_undisturbed(lab, "web1", pid)
    wait_for("nothing is unclaimed", 60, lambda: not unclaimed(), 0.5)
    lab.wait_login("web1")
    lab.axle("vm", "stop", "web1", "--force", timeout=120)
    lab.axle("vm", "start", "web1", timeout=180)
    lab.wait_phase("web1", "running")


if __name__ == "__main__":
    run_cases(cluster)
