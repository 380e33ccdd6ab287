"""Hands packets on from device to device, changed on their way as networks change them.

Of every three arguments the first names a device to read from, the second one to write to, the third what is
changed; CHANGE=MILLISECONDS holds packets back for so long. A device named tun:NAME is made; the others are there, and Ethernet.
"""

import fcntl
import heapq
import select
import socket
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
ALL_FRAMES, OUTGOING = socket.htons(3), 4
ETHERNET, TCP = 14, 6
IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"
TAG, SERVICE_TAG = b"\x81\x00\x00\x05", b"\x88\xa8\x00\x07"
# The port a client connects to, and the one its server listens on.
OUTSIDE, INSIDE = 2433, 1433


class Device:
    """One end of the relay."""

    def __init__(self, name):
        self.tun = None
        if name.startswith("tun:"):
            self.tun = open("/dev/net/tun", "r+b", buffering=0)
            fcntl.ioctl(self.tun, TUNSETIFF, struct.pack("16sH", name[4:].encode(), IFF_TUN | IFF_NO_PI))
        else:
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, ALL_FRAMES)
            self.socket.bind((name, 0))

    def fileno(self):
        return (self.tun or self.socket).fileno()

    def read(self):
        """A packet that came in, if it did not go out."""
        if self.tun:
            packet = self.tun.read(65535)
            # As a frame, like all others.
            return [bytes(12) + (IPV6 if packet[0] >> 4 == 6 else IPV4) + packet]
        packet, address = self.socket.recvfrom(65535)
        return [] if address[2] == OUTGOING else [summed(packet)]

    def write(self, packet):
        self.tun.write(packet[ETHERNET:]) if self.tun else self.socket.send(packet)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def parts(frame):
    """Ethernet header, network header and TCP segment; nothing where it is none."""
    kind, ip = frame[12:14], frame[ETHERNET:]
    if kind == IPV4 and ip[9] == TCP:
        header, length = (ip[0] & 15) * 4, int.from_bytes(ip[2:4], "big")
    elif kind == IPV6 and ip[6] == TCP:
        header, length = 40, 40 + int.from_bytes(ip[4:6], "big")
    else:
        return None
    return frame[:ETHERNET], ip[:header], ip[header:length]


def joined(ethernet, ip, segment):
    """A frame of these parts, with lengths and checksums that are right."""
    if ip[0] >> 4 == 4:
        ip = ip[:2] + struct.pack("!H", len(ip) + len(segment)) + ip[4:10] + b"\0\0" + ip[12:]
        return ethernet + ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + segment
    return ethernet + ip[:4] + struct.pack("!H", len(ip) - 40 + len(segment)) + ip[6:] + segment


def summed(frame):
    """The frame with the TCP checksum that its sender left to a card that is none."""
    if not (found := parts(frame)):
        return frame
    ethernet, ip, segment = found
    addresses = ip[12:20] if ip[0] >> 4 == 4 else ip[8:40]
    segment = segment[:16] + b"\0\0" + segment[18:]
    total = checksum(addresses + struct.pack("!II", len(segment), TCP) + segment)
    return joined(ethernet, ip, segment[:16] + struct.pack("!H", total) + segment[18:])


def options(ethernet, ip, segment):
    """Three no-operations and the end of options (RFC 791)."""
    return [joined(ethernet, bytes([ip[0] + 1]) + ip[1:] + b"\1\1\1\0", segment)]


def extensions(ethernet, ip, segment):
    """Hop-by-hop and destination options, of padding (RFC 8200)."""
    padding = b"\0\1\4\0\0\0\0"
    return [joined(ethernet, ip[:6] + b"\0" + ip[7:] + b"\x3c" + padding + b"\6" + padding, segment)]


def fragments(ethernet, ip, segment):
    """Two, of what is longer than all headers are."""
    cut = 96
    if len(segment) <= cut:
        return [joined(ethernet, ip, segment)]
    first = ip[:6] + b"\x20\0" + ip[8:]
    later = ip[:6] + struct.pack("!H", cut // 8) + ip[8:]
    return [joined(ethernet, first, segment[:cut]), joined(ethernet, later, segment[cut:])]


def ports(ethernet, ip, segment):
    """Another port of the server's on the outside."""
    swap = {OUTSIDE: INSIDE, INSIDE: OUTSIDE}
    source, target = struct.unpack("!HH", segment[:4])
    segment = struct.pack("!HH", swap.get(source, source), swap.get(target, target)) + segment[4:]
    return [summed(joined(ethernet, ip, segment))]


def disordered(ethernet, ip, segment):
    """Cut, each two neighbours the other way round, and all of it once more."""
    start = (segment[12] >> 4) * 4
    header, payload = segment[:start], segment[start:]
    ends = segment[13] & 0x07
    if len(payload) < 2 or ends:
        return [joined(ethernet, ip, segment)]
    size = min(700, len(payload) // 2)
    pieces = []
    for at in range(0, len(payload), size):
        place = (int.from_bytes(header[4:8], "big") + at) % (1 << 32)
        piece = header[:4] + struct.pack("!I", place) + header[8:] + payload[at:at + size]
        pieces.append(summed(joined(ethernet, ip, piece)))
    swapped = [piece for at in range(0, len(pieces), 2) for piece in reversed(pieces[at:at + 2])]
    return swapped + pieces


def only(version, change):
    def changed(frame):
        found = parts(frame)
        return change(*found) if found and found[1][0] >> 4 in version else [frame]

    return changed


def untagged(frame):
    """The outer tag is not in the frame as it is read."""
    return [frame[:12] + frame[16:] if frame[12:14] == TAG[:2] else frame]


CHANGES = {
    "none": lambda packet: [packet],
    "tag": lambda frame: [frame[:12] + TAG + frame[12:]],
    "two-tags": lambda frame: [frame[:12] + SERVICE_TAG + TAG + frame[12:]],
    "untag": untagged,
    "options": only((4,), options),
    "extensions": only((6,), extensions),
    "fragments": only((4,), fragments),
    "ports": only((4, 6), ports),
    "disordered": only((4, 6), disordered),
}


def way(device, change):
    name, _, late = change.partition("=")
    return device, CHANGES[name], int(late or 0) / 1000


def main():
    names = sys.argv[1:]
    devices = {name: Device(name) for name in {*names[::3], *names[1::3]}}
    ways = {devices[i]: way(devices[o], change) for i, o, change in zip(names[::3], names[1::3], names[2::3])}
    held, count = [], 0
    print("ready", flush=True)
    while True:
        wait = max(0, held[0][0] - time.monotonic()) if held else None
        for device in select.select(list(ways), [], [], wait)[0]:
            out, change, late = ways[device]
            try:
                for packet in device.read():
                    for changed in change(packet):
                        count += 1
                        heapq.heappush(held, (time.monotonic() + late, count, out, changed))
            except OSError as error:
                print(error, file=sys.stderr, flush=True)
        while held and held[0][0] <= time.monotonic():
            _, _, out, packet = heapq.heappop(held)
            try:
                out.write(packet)
            except OSError as error:
                # A device that is not up yet loses what is sent to it.
                print(error, file=sys.stderr, flush=True)


main()
