"""Logs in many times, each time by another way, and says which connections each of its attempts took."""

import json
import os
import selectors
import socket
import sys
import time

import pytds

V4, V6, NAME, PORT, SPARSE, INSTANCE, GATEWAY = sys.argv[1:8]
PORT, SPARSE, GATEWAY = int(PORT), int(SPARSE), int(GATEWAY)
TURNS, FIRST = int(sys.argv[8]), int(sys.argv[9])
# PRELOGIN with a version and no encryption.
PRELOGIN = bytes.fromhex("1201001a00000000" "00000b0006" "0100110001" "ff" "100000000000" "00")

connect, connections = socket.create_connection, []


def opened(s, host, port):
    connections.append(f"{s.getsockname()[1]} {host} {port}")
    return s


def simply(address, *rest):
    s = connect(address, *rest)
    return opened(s, *s.getpeername()[:2])


def after_one_that_refuses(address, *rest):
    s = socket.socket(socket.AF_INET6)
    s.bind(("::", 0))
    opened(s, V6, address[1])
    try:
        s.connect((V6, address[1]))
    except ConnectionRefusedError:
        s.close()
    return simply(address, *rest)


def the_faster_one(address, *_):
    """Of two that are opened at once; the other is closed unused."""
    chosen = selectors.DefaultSelector()
    for family, host in [(socket.AF_INET, V4), (socket.AF_INET6, V6)]:
        s = socket.socket(family)
        s.setblocking(False)
        s.connect_ex((host, address[1]))
        chosen.register(opened(s, host, address[1]), selectors.EVENT_WRITE)
    winner = chosen.select()[0][0].fileobj
    for key in list(chosen.get_map().values()):
        if key.fileobj is not winner:
            key.fileobj.close()
    winner.setblocking(True)
    return winner


def again(address, *rest):
    # It does not wait for the answer: who has been answered and leaves does not come back.
    with simply(address, *rest) as s:
        # Both in one segment.
        s.send(PRELOGIN, socket.MSG_MORE)
        s.shutdown(socket.SHUT_WR)
        while s.recv(4096):
            pass
    time.sleep(0.1)
    return simply(address, *rest)


def looked_up():
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.sendto(b"\x04" + INSTANCE.encode() + b"\0", (V4, 1434))
        said = s.recv(4096)[3:].decode().split(";")
    return int(said[said.index("tcp") + 1])


WAYS = {
    "plain": (V4, lambda: PORT, simply),
    "named": (NAME, lambda: PORT, simply),
    "looked_up": (V4, looked_up, simply),
    "redirected": (V4, lambda: GATEWAY, simply),
    "refused": (V4, lambda: SPARSE, after_one_that_refuses),
    "raced": (V4, lambda: PORT, the_faster_one),
    "again": (V4, lambda: PORT, again),
}

# All begin at once.
print(json.dumps({"pid": os.getpid()}), flush=True)
sys.stdin.readline()
for turn in range(TURNS):
    way = list(WAYS)[(FIRST + 3 * turn + turn // len(WAYS)) % len(WAYS)]
    host, port, socket.create_connection = WAYS[way]
    connections.clear()
    pytds.connect(dsn=host, port=port(), user="sa", password="none", login_timeout=60, autocommit=True).close()
    print(json.dumps({"way": way, "connections": connections}), flush=True)
