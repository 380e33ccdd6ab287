"""A client that does in the middle of its TLS handshake what no driver on Linux does.

SERVER PORT asks HOST asks a host that never answers whether the certificate is revoked, gives up, and leaves.
SERVER PORT refuses has it refuse the certificate, as programs in Go do whose reader can make nothing of it; with
`quietly` after that it leaves without an alert.
"""

import socket
import ssl
import struct
import sys

server, port, what, *how = sys.argv[1:]
PRELOGIN = 0x12
ALERT, FATAL, BAD_CERTIFICATE = 21, 2, 42


def packet(body):
    return struct.pack(">BBHHBB", PRELOGIN, 1, 8 + len(body), 0, 1, 0) + body


def receive(connection):
    head = b""
    while len(head) < 8:
        head += connection.recv(8 - len(head))
    left = struct.unpack(">H", head[2:4])[0] - 8
    body = b""
    while len(body) < left:
        body += connection.recv(left - len(body))
    return body, head[1] & 1


connection = socket.create_connection((server, int(port)), 20)
options = struct.pack(">BHHBHHB", 0, 11, 6, 1, 17, 1, 0xFF)
connection.sendall(packet(options + bytes([17, 0, 0, 0, 0, 0, 1])))
receive(connection)

context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.maximum_version = ssl.TLSVersion.TLSv1_2
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(incoming, outgoing)
try:
    tls.do_handshake()
except ssl.SSLWantReadError:
    pass
connection.sendall(packet(outgoing.read()))
# The certificate is there; it is not looked at before its host has been asked.
receive(connection)
if what == "asks":
    try:
        socket.create_connection((how[0], 80), 4).close()
    except OSError:
        pass
elif "quietly" not in how:
    connection.sendall(packet(struct.pack(">BHHBB", ALERT, 0x0303, 2, FATAL, BAD_CERTIFICATE)))
connection.close()
