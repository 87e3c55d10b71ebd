"""A cable that is slow and loses some.

slow_line.py relay ONE OTHER DELAY-MS LOSS-PERCENT: carries Ethernet frames between two interfaces, late and not all.
slow_line.py plain INTERFACE: from now on it sends frames as a wire has them, one by one and with their checksums (the
calls of linux/ethtool.h, as the program ethtool may not be there). Who sends into the cable must do so.
"""
import ctypes
import fcntl
import heapq
import random
import select
import socket
import struct
import sys
import time

SIOCETHTOOL = 0x8946
TX_CHECKSUMS, SCATTER_GATHER, TCP_SEGMENTATION, SEGMENTATION = 0x17, 0x19, 0x1F, 0x24  # ETHTOOL_S*
ANY_PROTOCOL = 3
QUEUE_MAX = 10_000  # frames on their way


def send_plain(name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for what in (SEGMENTATION, TCP_SEGMENTATION, TX_CHECKSUMS, SCATTER_GATHER):
            value = ctypes.create_string_buffer(struct.pack("II", what, 0))
            fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP", name.encode(), ctypes.addressof(value)))


def open_end(name):
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ANY_PROTOCOL))
    end.bind((name, 0))
    end.setblocking(False)
    return end


def take(end, other, way, late, loss):
    """Frames that came in at one end, each with the time at which it is due at the other."""
    while True:
        try:
            frame, (_, _, kind, _, _) = end.recvfrom(65536)
        except BlockingIOError:
            return
        if kind == socket.PACKET_OUTGOING or random.random() < loss or len(way) >= QUEUE_MAX:
            continue
        heapq.heappush(way, (time.monotonic() + late, id(frame), other, frame))


def relay(one, other, late, loss):
    way = []
    while True:
        wait = max(0.0, way[0][0] - time.monotonic()) if way else None
        select.select([one, other], [], [], wait)
        take(one, other, way, late, loss)
        take(other, one, way, late, loss)
        while way and way[0][0] <= time.monotonic():
            _, _, to, frame = heapq.heappop(way)
            try:
                to.send(frame)
            except OSError:
                pass  # lost, as on any line


if sys.argv[1] == "plain":
    send_plain(sys.argv[2])
else:
    relay(open_end(sys.argv[2]), open_end(sys.argv[3]), float(sys.argv[4]) / 1000, float(sys.argv[5]) / 100)
