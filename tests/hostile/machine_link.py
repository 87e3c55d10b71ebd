"""An agent's half of the channel, as far as tests need it: joins as agents do, then speaks WebSocket (RFC 6455)."""
import base64
import json
import os
import socket
import ssl
import struct
import subprocess
import uuid
from pathlib import Path

from server import PORT

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode, payload, final=True, mask=True):
    """One frame, masked as a client's must be."""
    head = bytes([(0x80 if final else 0) | opcode])
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 1 << 16:
        head += bytes([bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", len(payload))
    return head + (b"\0\0\0\0" if mask else b"") + payload  # a mask of zeros leaves the payload as it is


def upgrade_request(path="/agent/v1/channel"):
    key = base64.b64encode(os.urandom(16)).decode()
    return (f"GET {path} HTTP/1.1\r\nHost: axle\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: axle-agent\r\n\r\n"
            ).encode()


class Identity:
    """Who a host is: its id, its key, its certificate."""

    def __init__(self, directory, name):
        self.directory, self.name = Path(directory) / name, name
        self.host = str(uuid.uuid4())
        self.directory.mkdir()
        self.key, self.certificate = self.directory / "key.pem", self.directory / "certificate.pem"

    def sign_itself(self):
        """A certificate of nobody that the orchestrator knows, for the id of a host."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", self.key, "-out", self.certificate, "-days", "30", "-subj", f"/CN={self.host}",
                        "-addext", f"subjectAltName=URI:axle:host:{self.host}"], check=True, capture_output=True)
        return self

    def join(self, server, secret):
        request = self.directory / "request.pem"
        subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", self.key, "-out", request, "-subj", f"/CN={self.host}"],
                       check=True, capture_output=True)
        granted = server.api.must("POST", "/agent/v1/enrol", {"secret": secret, "host": self.host,
                                                              "hostname": self.name, "request": request.read_text()})
        self.certificate.write_text(granted["certificate"])
        self.cluster = granted["cluster"]
        return self

    def context(self, authority):
        made = ssl.create_default_context(cadata=authority)
        made.check_hostname = False
        made.load_cert_chain(self.certificate, self.key)
        return made

    def hello(self, **changed):
        return {"type": "hello", "protocol": 1, "protocolOldest": 1, "features": [], "cluster": self.cluster,
                "host": self.host, "bootId": "b", "instance": "1", "version": "0.1.0", "connection": 1,
                "highestRevision": 0, "highestIncarnation": 0, "seal": "", "documents": [],
                "facts": {"hostname": self.name, "os": "none", "kernel": "0", "cpus": 8, "memory": 16 << 30,
                          "accelerator": "qemu", "addresses": [], "foreignMemory": 0, "foreignCpus": 0,
                          "features": [], "conditions": [], "underlay": ""}, **changed}


class MachineLink:
    """A channel that behaves. Blocking; every wait has a deadline."""

    def __init__(self, identity, authority, seconds):
        plain = socket.create_connection(("127.0.0.1", PORT), timeout=seconds)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = identity.context(authority).wrap_socket(plain, server_hostname="127.0.0.1")
        self._read = b""
        self.socket.sendall(upgrade_request())
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, self._read = self._read.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise OSError(f"the channel is refused: {head[:200]}")
        self.send(identity.hello())

    def _more(self):
        came = self.socket.recv(65536)
        if not came:
            raise OSError("the channel was closed")
        self._read += came

    def _take(self, size):
        while len(self._read) < size:
            self._more()
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def send(self, message):
        self.socket.sendall(frame(TEXT, json.dumps(message).encode()))

    def ping(self, payload):
        """Until the pong with this payload is here."""
        self.socket.sendall(frame(PING, payload))
        while True:
            opcode, came = self._receive()
            if opcode == PING:
                self.socket.sendall(frame(PONG, came))
            if opcode == CLOSE:
                raise OSError(f"the channel was closed: {came[2:].decode(errors='replace')}")
            if opcode == PONG and came == payload:
                return

    def _receive(self):
        first, size = self._take(2)
        if size == 126:
            size = struct.unpack(">H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self._take(8))[0]
        return first & 15, self._take(size)
