"""What people do in a round: each story takes away again what it made, for good."""
import os

from host import TestFailure, run, wait_for

STORIES, BOOTED, ANY = [], [], []


def into(table):
    def register(function):
        table.append(function)
        return function
    return register


class Guest:
    """A VM with a network of its own, and who has it."""

    def __init__(self, me, image, *words):
        self.me, self.name, self.network = me, me.new_name("vm"), me.new_name("net")
        me.order("network", "create", self.network, "--type", "nat")
        me.order("vm", "create", self.name, "--image", image, "--cpus", "1", "--memory", "96MiB" if image != "tiny" else
                 "192MiB", "--network", self.network, *words)
        self.identity = me.look("vm", self.name)["id"]

    def order(self, verb, *words):
        return self.me.order("vm", verb, self.name, *words)

    def power(self, booted, *verbs):
        """Orders after which the guest comes up anew; a booted one is waited for."""
        for verb in verbs:
            boots = self.me.boots(self.name)
            if not self.order(*verb.split()):
                return self.power(booted, "stop --force", "start")
        if booted:
            self.me.wait_ready(self.name, boots)

    def delete(self):
        me, way = self.me, self.me.chance.choice(("now", "soft", "restored"))
        if way != "now":
            self.order("delete")
        if way == "restored":
            me.order("vm", "restore", self.identity)
        me.order("vm", "delete", self.identity, "--now")
        me.order("network", "delete", self.network)


@into(STORIES)
def booted_guest(me):
    guest = Guest(me, "tiny")
    me.wait_ready(guest.name, 0)
    for deed in me.chance.sample(BOOTED, 3) + me.chance.sample(ANY, 2):
        deed(me, guest, True)
    guest.delete()


@into(STORIES)
def hasty_guest(me):
    """One without a system, from an image of its own: nobody waits for it."""
    image = me.new_name("image")
    file = me.cloud.host.directory / f"{image}.qcow2"
    file.with_suffix(".raw").write_bytes(os.urandom(1 << 20))
    run(["qemu-img", "convert", "-O", "qcow2", file.with_suffix(".raw"), file])
    me.order("image", "create", image, "--file", str(file))
    wait_for(f"image {image} is ready", 60, lambda: me.look("image", image)["status"]["phase"] == "ready")
    guest = Guest(me, image)
    for deed in me.chance.sample(ANY, 6):
        deed(me, guest, False)
    guest.delete()
    if me.chance.random() < 0.5:
        identity = me.look("image", image)["id"]
        me.order("image", "delete", image)
        me.order("image", "restore", identity)
    me.order("image", "delete", image, "--now")
    for path in (file, file.with_suffix(".raw")):
        path.unlink()


@into(STORIES)
def desk(me):
    """What needs no guest."""
    things = [("token", "--role", "viewer"), ("jointoken",), ("placementgroup",), ("project",),
              ("sshkey", "--file", str(me.cloud.host.directory / "key.pub")),
              ("flavor", "--cpus", "1", "--memory", "64MiB"), ("network", "--type", "nat"),
              ("volume", "--size", "8MiB")]
    made = []
    for kind, *words in me.chance.sample(things, 6):
        made.append((kind, me.new_name(kind)))
        me.order(kind, "create", made[-1][1], *words)
        if me.chance.random() < 0.5:
            me.visit(*me.chance.choice((("watch",), ("watch", "vms,tasks"), ("events", "-f"))))
    for kind, name in made:
        if kind == "volume":
            me.order("volume", "set", name, "size=12MiB")
            identity = me.look("volume", name)["id"]
            me.order("volume", "delete", name)
            me.order("volume", "restore", identity)
        me.order(kind, "delete", name, *(["--now"] if kind == "volume" else []))


# Deeds: with (me, guest, whether it is up and waited for). Each leaves the guest running.
@into(ANY)
def pause(me, guest, booted):
    guest.order("pause")
    guest.order("resume")


@into(ANY)
def switch_off_and_on(me, guest, booted):
    guest.power(booted, "stop --force", "start")


@into(ANY)
def reset(me, guest, booted):
    guest.power(booted, "reset")


@into(ANY)
def resize(me, guest, booted):
    guest.order("set", "memory=208MiB", "cpus=2")
    guest.power(booted, "stop --force", "start")


@into(ANY)
def disk_while_off(me, guest, booted):
    guest.order("stop", "--force")
    guest.order("attach", "--disk", "cold", "--size", "8MiB")
    guest.power(booted, "start")
    guest.power(booted, "stop --force", "detach cold", "start")
    me.order("volume", "delete", f"{guest.name}-cold", "--now")


@into(ANY)
def look_in(me, guest, booted):
    me.visit("console", guest.name, given="\n")
    me.visit("vm", "log", guest.name, "-f")
    me.visit("watch", "--filter", f"name={guest.name}")
    me.order("vm", "screenshot", guest.name, "-")


@into(ANY)
def port(me, guest, booted):
    name, number = me.new_name("port"), me.chance.randrange(20000, 30000)
    me.order("portforward", "create", name, "--vm", guest.name, "--host-port", str(number), "--guest-port", "80")
    if booted:
        cloud = me.cloud
        wait_for(f"port {number} answers", 30, lambda: cloud.http(cloud.host.address, number, cloud.world))
    me.order("portforward", "delete", name)


@into(ANY)
def regret(me, guest, booted):
    guest.order("delete")
    me.order("vm", "restore", guest.identity)
    guest.power(booted, "start")


@into(BOOTED)
def disk(me, guest, booted):
    guest.order("attach", "--disk", "hot", "--size", "8MiB")
    me.order("volume", "set", f"{guest.name}-hot", "size=16MiB")
    guest.order("detach", "hot")
    me.order("volume", "delete", f"{guest.name}-hot", "--now")


@into(BOOTED)
def card(me, guest, booted):
    network = me.new_name("net")
    me.order("network", "create", network, "--type", "nat")
    guest.order("set", f"nics.extra.network={network}")
    guest.order("set", "nics.extra=")
    me.order("network", "delete", network)


@into(BOOTED)
def grow_root(me, guest, booted):
    size = me.look("volume", f"{guest.name}-root")["spec"]["size"]
    guest.order("set", f"disks.root.size={size + (8 << 20)}")


@into(BOOTED)
def shut_down(me, guest, booted):
    guest.power(booted, "stop", "start")


@into(BOOTED)
def reboot(me, guest, booted):
    guest.power(booted, "reboot")


@into(BOOTED)
def talk(me, guest, booted):
    with me.gate.lock:
        said = me.cloud.axle("forward", guest.name, "80", "--stdio", input="GET / HTTP/1.0\r\n\r\n", check=False).stdout
    if f"hello from {guest.name}" not in said:
        raise TestFailure(f"through axle forward the guest said {said!r}")
