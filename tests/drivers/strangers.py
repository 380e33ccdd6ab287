"""Conversations of other protocols, as they begin: one connection each.

    strangers.py serve HOST:PORT
    strangers.py visit HOST:PORT
"""

import random
import socket
import ssl
import sys

TIMEOUT = 20


def hello(names):
    """A client's first TLS record, which offers these names in ALPN."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(names)
    out = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="example.com")
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def noise(seed, count):
    return random.Random(seed).randbytes(count)


SSH = b"SSH-2.0-OpenSSH_9.2\r\n"
# What the server says first, what the client says, and what the server answers.
TALKS = [
    (b"", hello(["h2", "http/1.1"]), b"\x16\x03\x03" + noise(1, 90)),
    (b"", hello(["tds/7.4"]), b"\x15\x03\x03\x00\x02\x02\x78"),
    (b"", b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"),
    (SSH, SSH, noise(2, 1000)),
    (b"", SSH, SSH),
    (b"J\x00\x00\x00\x0a8.0.36\x00" + noise(3, 66), noise(4, 90), b"\x07\x00\x00\x02\x00"),
    (b"", b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"N"),
    (b"", b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
    # As TDS begins, and goes on otherwise.
    (b"", b"\x12\x01\x00\x2f\x00\x00\x00\x00" + noise(5, 39), b"\x04\x01\x00\x08\0\0\0\0"),
    (b"", b"\x10\x01\x00\xb0\x00\x00\x01\x00" + noise(6, 168), b"\x04\x01\x00\x08\0\0\0\0"),
    (b"", b"\x02\x00\x02\x00\x00\x00\x00\x00" + noise(7, 504), b"\x04\x01\x00\x08\0\0\0\0"),
] + [(b"", noise(100 + seed, 1 + 40 * seed), noise(200 + seed, 60)) for seed in range(8)]


def take(connection, count):
    taken = b""
    while len(taken) < count:
        more = connection.recv(count - len(taken))
        if not more:
            sys.exit("the other side has left")
        taken += more


def serve(address):
    with socket.create_server(address) as listener:
        print("listens", flush=True)
        for before, question, answer in TALKS:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(TIMEOUT)
                connection.sendall(before)
                take(connection, len(question))
                connection.sendall(answer)
                take(connection, 1)


def visit(address):
    for before, question, answer in TALKS:
        with socket.create_connection(address, TIMEOUT) as connection:
            take(connection, len(before))
            connection.sendall(question)
            take(connection, len(answer))
            # What comes later is not looked at, whatever it is.
            connection.sendall(b"\x12\x01\x00\x1a\x00\x00\x01\x00")


def main():
    host, port = sys.argv[2].rsplit(":", 1)
    {"serve": serve, "visit": visit}[sys.argv[1]]((host, int(port)))


if __name__ == "__main__":
    main()
