"""The attacks: one entry each. Sizes are of one attack; all of them run at once."""
import asyncio
import json
import os

from attacker import attack
from machine_link import BINARY, PING, TEXT, frame, upgrade_request

PATH = "/v1/projects/default/placementgroups"


# ---- connections

@attack("idle connections")
async def idle(target):
    async def one(_):
        peer = await target.connect()
        await peer.rest()
    await target.many(1500, one)


@attack("half a handshake")
async def half_handshake(target):
    async def one(number):
        plain = await target.raw()
        try:
            hello = bytes.fromhex("16030100c8010000c40303") + os.urandom(32)  # the rest of it never comes
            await asyncio.get_running_loop().sock_sendall(plain, hello[:number % len(hello)])
            await asyncio.get_running_loop().sock_recv(plain, 100)
        finally:
            plain.close()
    await target.many(800, one)


@attack("all places")
async def all_places(target):
    """More connections than the server may have, from two addresses, each as long as it lasts."""
    async def one(number):
        plain = await target.raw(number % 2)
        try:
            await asyncio.get_running_loop().sock_recv(plain, 100)
        finally:
            plain.close()
    await target.many(8000, one)


@attack("resets")
async def resets(target):
    async def one(number):
        if number % 2:
            plain = await target.raw()
            await asyncio.get_running_loop().sock_sendall(plain, b"\x16\x03\x01\x00\xc8")
            target.reset(plain)
            return
        peer = await target.connect()
        await peer.send(target.request("GET", PATH))
        peer.drop()
    await target.many(10, one)


@attack("key updates")
async def key_updates(target):
    """TLS 1.3 lets a client ask for new keys as often as it likes."""
    async def one(_):
        client = await asyncio.create_subprocess_exec(
            "openssl", "s_client", "-connect", f"127.0.0.1:{target.setting.port}", "-quiet", "-no_ign_eof",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
        try:
            while client.returncode is None:
                client.stdin.write(b"K\n" * 200)
                await client.stdin.drain()
                await asyncio.sleep(0.01)
        finally:
            if client.returncode is None:
                client.kill()
            await client.wait()
    await target.many(2, one)


# ---- heads

@attack("slow heads", sees={408}, only={408}, after_s=12)
async def slow_heads(target):
    async def one(_):
        peer = await target.connect()
        drip = asyncio.create_task(drip_head(peer))
        try:
            await peer.rest()
        finally:
            drip.cancel()
            peer.drop()

    async def drip_head(peer):
        for byte in target.request("GET", PATH + "?" + "x" * 4000):
            await peer.send(bytes([byte]))
            await asyncio.sleep(0.5)
    await target.many(200, one)


@attack("heads that stop short of the end")
async def large_heads(target):
    head = target.request("GET", PATH, X_Filler="x" * 16000)[:-4]

    async def one(_):
        peer = await target.connect()
        await peer.send(head)
        await peer.rest()
    await target.many(300, one)


@attack("100,000 headers", sees={431}, only={431})
async def many_headers(target):
    head = b"GET / HTTP/1.1\r\nHost: axle\r\n" + b"X-A: b\r\n" * 100_000 + b"\r\n"

    async def one(_):
        peer = await target.connect()
        try:
            await peer.send(head)
        except OSError:
            pass  # it may be cut off meanwhile; the answer is there
        await peer.rest()
    await target.many(5, one)


@attack("garbage", sees={400}, only={400, 431})
async def garbage(target):
    async def one(_):
        peer = await target.connect()
        await peer.send(os.urandom(4096) + b"\r\n\r\n")
        await peer.rest()
    await target.many(5, one)


# ---- floods

@attack("flood from one token", only={200, 429, 503})
async def token_flood(target):
    flood = target.request("GET", PATH + "?limit=1") * 50

    async def one(_):
        peer = await target.connect()
        while True:
            await peer.send(flood)
            for _ in range(50):
                await peer.status()
    await target.many(20, one)


@attack("flood without a token", sees={429}, only={401, 429, 503})
async def strangers(target):
    count = 0

    def ask():
        nonlocal count
        count += 1
        return target.request("GET", PATH, token=f"guess-{count}" if count % 2 else "")
    await target.many(10, lambda _: target.keep_asking(ask))


@attack("flood of joins", sees={401}, only={401, 429, 503})
async def joins(target):
    body = json.dumps({"secret": "guess", "host": target.setting.stranger.host, "hostname": "x",
                       "request": target.setting.signing_request}).encode()
    await target.many(4, lambda _: target.keep_asking(
        lambda: target.request("POST", "/agent/v1/enrol", body, token="")))


@attack("pipelining", only={200, 429, 503})
async def pipelining(target):
    flood = target.request("GET", "/v1/openapi.json") * 200

    async def one(_):
        peer = await target.connect(small=True)
        while True:  # nothing is ever read
            await peer.send(flood)
    await target.many(30, one)


# ---- bodies

@attack("slow bodies")
async def slow_bodies(target):
    async def one(_):
        peer = await target.connect()
        await peer.send(target.request("POST", PATH, length=100_000))
        reading = asyncio.create_task(peer.rest())
        try:
            while not reading.done():
                await peer.send(b" ")
                await asyncio.sleep(0.5)
            await reading
        finally:
            reading.cancel()
            peer.drop()
    await target.many(100, one)


@attack("bodies that stop short of the end, from strangers")
async def short_bodies(target):
    piece = b" " * (1 << 20)

    async def one(_):
        peer = await target.connect()
        await peer.send(target.request("POST", "/v1/apply", length=8 << 20, token=""))
        for _ in range(7):
            await peer.send(piece)
        await peer.rest()
    await target.many(300, one)


@attack("bodies at the limit", sees={400}, only={400, 422, 429, 503})
async def full_bodies(target):
    body = b"[" + b"0,         " * 90_000 + b"0]"
    await target.many(4, lambda _: target.keep_asking(lambda: target.request("POST", PATH, body)))


@attack("bodies over the limit", sees={413}, only={413})
async def large_bodies(target):
    body = b" " * ((1 << 20) + 1)

    async def one(number):
        peer = await target.connect()
        if number % 2:
            await peer.send(target.request("POST", PATH, length=len(body)))
        else:
            try:
                await peer.send(target.request("POST", PATH, Transfer_Encoding="chunked")
                                + b"%x\r\n" % len(body) + body)
            except OSError:
                pass
        await peer.rest()
    await target.many(4, one)


@attack("large YAML", sees={413}, only={413, 429, 503})
async def large_yaml(target):
    labels = b"".join(b"  k%d: v\n" % n for n in range(600_000))
    body = (b"kind: placementgroup\nname: x\nlabels:\n" + labels)[:(8 << 20) - 1]
    await target.many(4, lambda _: target.keep_asking(
        lambda: target.request("POST", "/v1/apply", body, Content_Type="application/yaml")))


@attack("deep bodies", sees={400}, only={400, 413, 429, 503})
async def deep(target):
    bodies = [b"[" * 500_000, b'{"a":' * 150_000, b"- " * 400_000, b"? " * 400_000, b"\n".join(
        b" " * n + b"a:" for n in range(1200)), b"]" * 500_000]
    kinds = ["json", "json", "yaml", "yaml", "yaml", "yaml"]
    await target.many(len(bodies), lambda n: target.keep_asking(
        lambda: target.request("POST", PATH, bodies[n], Content_Type="application/" + kinds[n])))


@attack("alias bombs", sees={400}, only={400, 429, 503})
async def alias_bombs(target):
    body = b"a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 30))
    await target.many(2, lambda _: target.keep_asking(
        lambda: target.request("POST", "/v1/apply", body, Content_Type="application/yaml")))


# ---- slow readers and open streams

@attack("slow readers")
async def slow_readers(target):
    async def one(_):
        peer = await target.connect(small=True)
        await peer.send(target.request("GET", "/v1/openapi.json", token="viewer"))
        await asyncio.sleep(3600)
    await target.many(300, one)


@attack("watches that don't read", sees={429}, only={200, 429, 503})
async def watches(target):
    async def one(_):
        peer = await target.connect(small=True)
        await peer.send(target.request("GET", "/v1/watch?since=1", token="viewer"))
        head = (await peer.reader.readuntil(b"\r\n")).decode()
        target.count(int(head.split(" ")[1]))
        peer.writer.transport.pause_reading()
        await asyncio.sleep(5 if " 429 " in head else 3600)
    await target.many(1200, one)


@attack("changes for those who don't read", only={200, 429, 503})
async def changes(target):
    count = 0

    def ask():
        nonlocal count
        count += 1
        return target.request("PATCH", PATH + "/shown", json.dumps(
            {"annotations": {"text": f"{count} " + "x" * 4000}}).encode(), token="editor2",
            Content_Type="application/merge-patch+json")
    await target.many(2, lambda _: target.keep_asking(ask, 0.02))


@attack("uploads that trickle", sees={429}, only={408, 429, 503})
async def uploads(target):
    async def one(_):
        peer = await target.connect()
        await peer.send(target.request("PUT", "/v1/projects/default/images/trickle/content", length=1 << 30))
        reading = asyncio.create_task(peer.rest())
        try:
            while not reading.done():
                await peer.send(b"x" * 100)
                await asyncio.sleep(0.2)
            await reading
        finally:
            reading.cancel()
            peer.drop()
    await target.many(20, one)


# ---- agents

@attack("agents of another authority", sees={401}, only={401})
async def strange_agents(target):
    context = target.setting.stranger.context(target.setting.authority)

    async def one(_):
        peer = await target.connect(context)
        await peer.send(upgrade_request())
        await peer.status()
        peer.drop()
    await target.many(5, one)


async def with_stolen_key(target, count, abuse):
    """A channel as of an agent that joined, then whatever abuse(peer) sends."""
    context = target.setting.stolen.context(target.setting.authority)

    async def one(number):
        peer = await target.connect(context)
        try:
            await peer.send(upgrade_request())
            await peer.reader.readuntil(b"\r\n\r\n")
            await abuse(peer, number)
            while await peer.reader.read(65536):
                pass
        finally:
            peer.drop()
    await target.many(count, one)


def hello(target, **changed):
    return json.dumps(target.setting.stolen.hello(**changed)).encode()


@attack("a stolen key: huge hellos")
async def huge_hello(target):
    held = [{"kind": "vm", "id": f"01900000-0000-7000-8000-{n:012x}", "hash": "h" * 64,
             "epoch": {"incarnation": 1, "revision": 1}} for n in range(20_000)]
    said = hello(target, documents=held)

    async def abuse(peer, _):
        await peer.send(frame(TEXT, said))
    await with_stolen_key(target, 3, abuse)


@attack("a stolen key: huge and broken frames")
async def huge_frames(target):
    sent = [bytes.fromhex("82ff7fffffffffffffff00000000") + b"x" * 65536,        # 2^63 bytes are told
            frame(BINARY, b"x" * (5 << 20)),                                     # over what is taken
            frame(TEXT, b"{", final=False) + frame(0, b"x" * 60_000, False) * 100,  # never ends
            os.urandom(4096),
            frame(TEXT, b"\xff\xfe\xfd"),
            frame(TEXT, b"[" * 1_000_000),
            frame(TEXT, b"{}", mask=False),
            frame(TEXT, b'{"type":"hello","documents":')[:-5],                   # half a message
            frame(PING, b"x" * 125) * 5000]

    async def abuse(peer, number):
        await peer.send(sent[number % len(sent)])
        await asyncio.sleep(0.1)
    await with_stolen_key(target, 2 * len(sent), abuse)


@attack("a stolen key: floods of reports")
async def report_flood(target):
    beat = frame(TEXT, b'{"type":"heartbeat","load":{"cpu":0.5,"memoryFree":1}}')
    status = frame(TEXT, json.dumps({"type": "status", "kind": "vm", "id": "01900000-0000-7000-8000-000000000001",
                                     "epoch": {"incarnation": 1, "revision": 1}, "content": "x" * 10_000}).encode())

    async def abuse(peer, _):
        await peer.send(frame(TEXT, hello(target)))
        while True:
            await peer.send(beat * 50 + status)
            await asyncio.sleep(0)
    await with_stolen_key(target, 1, abuse)
