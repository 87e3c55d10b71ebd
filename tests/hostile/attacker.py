"""What attacks are made of: connections from an address of their own, requests, answers that are counted.

An attack is a coroutine under @attack(...); it goes on until it is cancelled. See attacks.py.
"""
import asyncio
import collections
import logging
import socket
import ssl
import struct
import time
from dataclasses import dataclass, field

from server import PORT

ATTACKS = {}
logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # that it writes to what was cut off is its business


@dataclass
class Attack:
    name: str
    run: object
    sees: set = field(default_factory=set)  # statuses of which each must be answered when it is alone
    only: set = field(default_factory=set)  # nothing else may be answered; empty: anything
    after_s: float = 0                      # how long until `sees` can hold


def attack(name, **expected):
    def register(function):
        ATTACKS[name] = Attack(name, function, **expected)
        return function
    return register


class Peer:
    """A connection of an attacker."""

    def __init__(self, reader, writer, target):
        self.reader, self.writer, self.target = reader, writer, target

    async def send(self, data):
        if self.writer.is_closing():
            raise ConnectionResetError("the server has cut it off")
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0)  # drain() gives no turn to others while there is room

    async def status(self):
        """Of one answer; its body is read and forgotten."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, length = int(head.split(" ")[1]), 0
        for line in head.split("\r\n"):
            if line.lower().startswith("content-length:"):
                length = int(line.split(":")[1])
        if length:
            await self.reader.readexactly(length)
        self.target.count(status)
        return status

    async def rest(self):
        """Until the server ends it; what it says is counted if it is an answer."""
        await self.status()
        while await self.reader.read(65536):
            pass

    def drop(self):
        self.writer.transport.abort()


class Target:
    """What an attack needs to know, and what it has been answered."""

    def __init__(self, setting, name):
        self.setting, self.name = setting, name
        self.answers = collections.Counter()
        self.anonymous = ssl.create_default_context(cadata=setting.authority)
        self.address = f"127.0.1.{1 + list(ATTACKS).index(name) % 250}"
        self.peers = []

    def count(self, answer):
        self.answers[answer] += 1

    async def connect(self, context=None, small=False):
        """small: its window is tiny, so that what it doesn't read stays with the server."""
        plain = socket.socket()
        plain.setblocking(False)
        plain.bind((self.address, 0))
        if small:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        try:
            await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", PORT))
            async with asyncio.timeout(60):  # not wait_for(), which may lose a cancellation
                reader, writer = await asyncio.open_connection(
                    sock=plain, ssl=context or self.anonymous, server_hostname="127.0.0.1", limit=1 << 18)
        except BaseException:
            plain.close()
            raise
        peer = Peer(reader, writer, self)
        self.peers.append(peer)
        return peer

    async def raw(self, address=0):
        """No TLS: a socket and nothing more."""
        plain = socket.socket()
        plain.setblocking(False)
        plain.bind((self.address.replace("127.0.1", f"127.0.{address + 1}"), 0))
        await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", PORT))
        return plain

    @staticmethod
    def reset(plain):
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        plain.close()

    def request(self, method, path, body=b"", token="editor", length=None, **headers):
        lines = [f"{method} {path} HTTP/1.1", "Host: axle"]
        if token:
            lines.append(f"Authorization: Bearer {self.setting.tokens.get(token, token)}")
        if body or length is not None:
            lines.append(f"Content-Length: {len(body) if length is None else length}")
            headers.setdefault("Content_Type", "application/json")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body

    async def many(self, count, one):
        """So many at once, each begun anew when it ends; a refused or lost connection is what attackers expect."""
        async def again(number):
            while True:
                try:
                    await one(number)
                except (OSError, EOFError, asyncio.TimeoutError, asyncio.LimitOverrunError, ValueError) as error:
                    self.count(type(error).__name__)
                    await asyncio.sleep(0.2)
        await asyncio.gather(*(again(number) for number in range(count)))

    async def keep_asking(self, make, pause=0):
        """One request after the other on a connection, each dialled anew when it was closed."""
        peer = await self.connect()
        try:
            while True:
                await peer.send(make())
                await peer.status()
                await asyncio.sleep(pause)
        finally:
            peer.drop()

    def close(self):
        for peer in self.peers:
            peer.drop()


async def run_attacks(setting, names, seconds):
    """All of them at once, so long. Name -> answers, counted."""
    targets = {name: Target(setting, name) for name in names}
    tasks = [asyncio.create_task(ATTACKS[name].run(target)) for name, target in targets.items()]
    began = time.monotonic()
    await asyncio.wait(tasks, timeout=seconds)
    broken = [task.exception() for task in tasks if task.done() and task.exception()]
    for task in tasks:
        task.cancel()
    _, stuck = await asyncio.wait(tasks, timeout=20)
    for target in targets.values():
        target.close()
    if broken:
        raise broken[0]
    if stuck:
        raise RuntimeError(f"attacks that don't end: {[n for n, task in zip(targets, tasks) if task in stuck]}")
    return {name: dict(target.answers) for name, target in targets.items()}, time.monotonic() - began


def complaints_about(name, answers, seconds, alone):
    """What the server should have answered, and did not. Among others an attack may not come so far."""
    expected = ATTACKS[name]
    statuses = {answer for answer in answers if isinstance(answer, int)}
    if alone and seconds >= expected.after_s and expected.sees - statuses:
        yield f"{name}: never answered {sorted(expected.sees - statuses)}, but {answers}"
    if expected.only and statuses - expected.only:
        yield f"{name}: answered {sorted(statuses - expected.only)}, only {sorted(expected.only)} was to be: {answers}"
