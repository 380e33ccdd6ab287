#!/usr/bin/env python3
"""usage: marked.py PORT MARKER [NAMESPACE ADDRESS]

Connections in clear that are full of a marker wherever nothing is wanted: over loopback, or to that address of
another network namespace, then fewer of them. Some begin at once ("ready"); these go on, and others come, when
standard input ends.
"""

import ctypes
import socket
import struct
import sys
import time

PORT, MARKER = int(sys.argv[1]), sys.argv[2]
NAMESPACE, ADDRESS = sys.argv[3:] or (None, "127.0.0.1")
CLONE_NEWNET = 0x40000000
MORE, LAST = 0, 1
BATCH, RPC, REPLY, LOGIN7, SSPI, PRELOGIN = 1, 3, 4, 16, 17, 18
CUTS = [31, 333, 40_000] if NAMESPACE else [1, 2, 3, 5, 8, 9, 13, 31, 100, 333, 1400, 40_000]


def filled(length):
    """The marker again and again, as it is and in UTF-16."""
    plain, wide = MARKER.encode(), MARKER.encode("utf-16-le")
    return ((plain + wide) * (length // len(plain) + 1))[:length]


def text(characters):
    return (MARKER * (characters // len(MARKER) + 1))[:characters].encode("utf-16-le")


def packet(kind, status, body):
    return struct.pack(">BBHHBB", kind, status, 8 + len(body), 0, 1, 0) + body


def packets(kind, body, most=4000):
    parts = [body[at:at + most] for at in range(0, len(body), most)]
    ends = [MORE] * (len(parts) - 1) + [LAST]
    return b"".join(packet(kind, status, part) for status, part in zip(ends, parts))


def message(token, number):
    """ERROR or INFO (MS-TDS 2.2.7.10): its text, server and procedure are not wanted."""
    words = struct.pack("<H", 300) + text(300) + b"\x10" + text(16) + b"\x10" + text(16)
    body = struct.pack("<IBB", number, 1, 14) + words + struct.pack("<I", 1)
    return bytes([token]) + struct.pack("<H", len(body)) + body


def login7(token=b""):
    """The names are told, the password and what is behind it are not."""
    fields = ["h", "u", None, "a", "s", "", "l", "", "d"]
    body, places = b"", b""
    for field in fields:
        value = text(40) if field is None else field.encode("utf-16-le")
        places += struct.pack("<HH", 94 + len(body), len(value) // 2)
        body += value
    places += bytes(6) + struct.pack("<HH", 94 + len(body), len(token))
    body += token
    for value in [text(20), text(20)]:
        places += struct.pack("<HH", 94 + len(body), len(value) // 2)
        body += value
    places += bytes(4)
    # Behind all that it describes.
    body += filled(200)
    fixed = struct.pack("<IIIIII", 94 + len(body), 0x74000004, 4096, 7, 1, 0) + bytes(12)
    assert len(fixed + places) == 94
    return fixed + places + body


ACK = b"\xad" + struct.pack("<H", 18) + b"\x01\x74\x00\x00\x04\x04" + "name".encode("utf-16-le") + bytes(4)
DONE = b"\xfd" + bytes(12)
STATE = b"\xe4" + struct.pack("<I", 300) + bytes(5) + filled(295)
ACKNOWLEDGED = b"\xae\x01" + struct.pack("<I", 200) + filled(200) + b"\x77" + struct.pack("<I", 99) + filled(99) + b"\xff"
ROWS = b"\x81" + filled(50) + b"\xd1" + filled(3000) + b"\xd2" + filled(500)
# A row that looks like packets wherever a segment of it begins.
LIKE_PACKETS = packet(REPLY, LAST, filled(56)) * 200
NTLM = b"NTLMSSP\x00\x03\x00\x00\x00" + struct.pack("<HHI", 24, 24, 64) + struct.pack("<HHI", 400, 400, 88) + bytes(36) + filled(500)
# A version; a nonce, and an option that is not known.
OPTIONS = b"\x00\x00\x10\x00\x06\x07\x00\x16\x00\x80\x09\x00\x96\x00\x80\xff" + bytes(6) + filled(256)


class Conversation:
    """Both ends of a connection."""

    def __init__(self, server, cut):
        self.cut = cut
        self.client = socket.create_connection((ADDRESS, PORT))
        self.server, _ = server.accept()
        for end in [self.client, self.server]:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def says(self, sender, data):
        receiver = self.server if sender is self.client else self.client
        # What comes in a few bytes at a time would take long for all of it.
        few = data[:600 * self.cut]
        for at in range(0, len(few), self.cut):
            part = few[at:at + self.cut]
            sender.sendall(part)
            left = len(part)
            while left > 0:
                left -= len(receiver.recv(left))

    def asks(self, data):
        self.says(self.client, data)

    def answers(self, data):
        self.says(self.server, data)

    def opens(self):
        self.asks(packets(PRELOGIN, OPTIONS))
        self.answers(packets(REPLY, OPTIONS))

    def logs_in(self, token=b""):
        self.opens()
        self.asks(packets(LOGIN7, login7(token)))

    def is_let_in(self):
        said = b"".join(message(kind, 5701) for kind in [0xAB, 0xAA, 0xAB])
        self.answers(packets(REPLY, said + STATE + ACKNOWLEDGED + ACK + DONE, 300))

    def works(self):
        self.asks(packets(BATCH, b"\x16\x00\x00\x00" + bytes(18) + text(500)))
        self.answers(packets(REPLY, ROWS + message(0xAA, 547) + DONE))
        self.asks(packets(RPC, b"\xff\xff\x0a\x00\x00\x00" + text(700)))
        self.answers(packets(REPLY, ROWS + LIKE_PACKETS + DONE))

    def ends(self):
        self.client.close()
        self.server.close()


def joined_in_a_result(talk):
    """Half of a result before the agent comes."""
    talk.logs_in()
    talk.is_let_in()
    talk.asks(packets(BATCH, text(100)))
    half = packets(REPLY, LIKE_PACKETS * 3)
    talk.answers(half[:5000])
    yield
    talk.answers(half[5000:])
    talk.works()


def joined_in_a_login(talk):
    talk.opens()
    yield
    talk.asks(packets(LOGIN7, login7()))
    talk.answers(packets(REPLY, message(0xAB, 5701) + ROWS + ACK + DONE))
    talk.works()


def logs_in(talk):
    yield
    talk.logs_in()
    talk.is_let_in()
    talk.works()


def refused(talk):
    yield
    # What names a mechanism is told.
    talk.logs_in(bytes(80) + filled(900))
    talk.answers(packets(REPLY, message(0xAA, 18456) + ROWS + DONE))


def by_ntlm(talk):
    yield
    talk.logs_in(b"NTLMSSP\x00\x01\x00\x00\x00" + bytes(68) + filled(900))
    challenge = b"NTLMSSP\x00\x02\x00\x00\x00" + bytes(12) + filled(8) + bytes(16) + filled(100)
    talk.answers(packets(REPLY, b"\xed" + struct.pack("<H", len(challenge)) + challenge + DONE))
    talk.asks(packets(SSPI, NTLM))
    talk.is_let_in()
    talk.works()


def answered_by_rows(talk):
    """What no server does: nothing of it is known."""
    yield
    talk.logs_in()
    talk.answers(packets(REPLY, b"\x42" + filled(3000)))
    talk.asks(packets(7, filled(3000)))
    talk.answers(packets(9, filled(3000)))
    talk.works()


def out_of_frame(talk):
    """Headers that lie about how long their packets are."""
    yield
    talk.opens()
    talk.asks(packet(LOGIN7, LAST, login7()[:60]) + filled(4000))
    talk.answers(packet(REPLY, LAST, message(0xAB, 1)[:30]) + filled(4000) + LIKE_PACKETS)
    talk.works()


KINDS = [joined_in_a_result, joined_in_a_login, logs_in, refused, by_ntlm, answered_by_rows, out_of_frame]


def enter(namespace):
    """This thread makes its sockets there from now on."""
    with open(namespace) as opened:
        if ctypes.CDLL(None, use_errno=True).setns(opened.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), namespace)


def listens():
    if not NAMESPACE:
        return socket.create_server((ADDRESS, PORT), backlog=256)
    with open("/proc/self/ns/net") as here:
        enter(f"/run/netns/{NAMESPACE}")
        server = socket.create_server((ADDRESS, PORT), backlog=256)
        enter(f"/proc/self/fd/{here.fileno()}")
    return server


def main():
    server = listens()
    begun = []
    early = [joined_in_a_result, joined_in_a_login]
    for kind in early:
        for cut in CUTS:
            talk = Conversation(server, cut)
            steps = kind(talk)
            next(steps)
            begun.append((talk, steps))
    print("ready", flush=True)
    sys.stdin.readline()
    for kind in KINDS:
        for cut in CUTS:
            if kind not in early:
                talk = Conversation(server, cut)
                steps = kind(talk)
                next(steps)
            else:
                talk, steps = begun.pop(0)
            for _ in steps:
                pass
            talk.ends()
            time.sleep(0.01)


main()
