"""A receiver of OTLP by HTTP or gRPC, as strict as the official messages are; it prints what it takes.

otlp.py PORT ANSWER,... [CERTIFICATE KEY CLIENTS]: by TLS where a certificate is given, and then only to clients whose
certificate CLIENTS has issued. otlp.py grpc:PORT ANSWER,...: by gRPC. The first requests are answered so, all that come
then with `ok`. With KEEP in the environment, whatever is taken is kept in that file. An answer is a status (`503`, `429`;
by gRPC the name of a code, with `+retry` where it says when), `garbage`, `partial` (one record is refused), `close` (no
answer at all, by HTTP), or `silence` (none as long as the other end waits, by gRPC).
"""

import gzip
import http.server
import json
import os
import ssl
import sys
import threading
import time
from concurrent import futures

import grpc
from google.protobuf import any_pb2
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

ANSWERS = [answer for answer in sys.argv[2].split(",") if answer]
KINDS = {
    "/v1/logs": (logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse),
    "/v1/metrics": (metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse),
    "/v1/traces": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse),
}


SAYING = threading.Lock()


def say(what):
    # Connections are served side by side, and a text stream is nobody's alone.
    with SAYING:
        print(json.dumps(what), flush=True)


def plain(attributes):
    """Attributes as a dictionary; a name that comes twice is an error."""
    found = {}
    for attribute in attributes:
        assert attribute.key not in found, attribute.key
        kind = attribute.value.WhichOneof("value")
        assert kind, attribute.key
        value = getattr(attribute.value, kind)
        found[attribute.key] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return found


CUMULATIVE = 2


def number(point):
    assert point.time_unix_nano >= point.start_time_unix_nano > 0
    return getattr(point, point.WhichOneof("value"))


def examples(point):
    for exemplar in point.exemplars:
        assert len(exemplar.trace_id) == 16 and len(exemplar.span_id) == 8
        assert exemplar.time_unix_nano and exemplar.as_double >= 0
    return [exemplar.trace_id.hex() + exemplar.span_id.hex() for exemplar in point.exemplars]


def histogram(point):
    """An exponential one: each is in one bucket, and the sum is that of so many."""
    assert point.time_unix_nano >= point.start_time_unix_nano > 0
    counts = list(point.positive.bucket_counts)
    assert point.count == point.zero_count + sum(counts) and not point.negative.bucket_counts
    assert -10 <= point.scale <= 20 and len(counts) <= 160
    base = 2 ** 2**-point.scale
    bounds = [base ** (point.positive.offset + place) for place in range(len(counts) + 1)]
    least = sum(count * bound for count, bound in zip(counts, bounds))
    most = sum(count * bound for count, bound in zip(counts, bounds[1:])) + point.zero_count * point.zero_threshold
    assert least * 0.999 <= point.sum <= most * 1.001 + 1e-9, (least, point.sum, most)
    return point.count


def measure(metric):
    """A metric's series: none comes twice."""
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    assert kind == "gauge" or data.aggregation_temporality == CUMULATIVE
    assert metric.name and metric.description
    seen = set()
    for point in data.data_points:
        attributes = plain(point.attributes)
        key = json.dumps(attributes, sort_keys=True)
        assert key not in seen, key
        seen.add(key)
        exponential = kind == "exponential_histogram"
        say({
            "metric": metric.name,
            "unit": metric.unit,
            "kind": kind,
            "value": histogram(point) if exponential else number(point),
            "examples": examples(point),
            "attributes": attributes,
        })


def tell(request):
    for resource in getattr(request, "resource_metrics", []):
        assert plain(resource.resource.attributes)["service.name"]
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                measure(metric)
    for resource in getattr(request, "resource_logs", []):
        about = plain(resource.resource.attributes)
        for scope in resource.scope_logs:
            for record in scope.log_records:
                assert record.time_unix_nano and record.severity_number and record.event_name
                say({
                    "log": record.event_name,
                    "severity": record.severity_number,
                    "trace": record.trace_id.hex(),
                    "resource": about,
                    "attributes": plain(record.attributes),
                })
    for resource in getattr(request, "resource_spans", []):
        for scope in resource.scope_spans:
            for span in scope.spans:
                assert len(span.trace_id) == 16 and len(span.span_id) == 8
                assert span.end_time_unix_nano >= span.start_time_unix_nano > 0
                say({
                    "span": span.name,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "status": span.status.code,
                    "attributes": plain(span.attributes),
                })


def next_answer(path, authorization):
    asked = ANSWERS.pop(0) if ANSWERS else "ok"
    say({"request": path, "answer": asked, "authorization": authorization})
    return asked


def taken(request, response, asked):
    """What is answered to a message that is taken."""
    assert not len(UnknownFieldSet(request)), "fields that nobody knows"
    tell(request)
    if asked == "partial" and isinstance(response, logs.ExportLogsServiceResponse):
        response.partial_success.rejected_log_records = 1
    return response


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", kind="application/x-protobuf", headers=()):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = next_answer(self.path, self.headers["Authorization"])
        if asked == "close":
            self.close_connection = True
            return
        if asked == "garbage":
            self.answer(200, b"<html>who are you?</html>", "text/html")
            return
        if asked not in ("ok", "partial"):
            self.answer(int(asked), headers=[("Retry-After", "0")])
            return
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        if "KEEP" in os.environ:
            with open(os.environ["KEEP"], "ab") as kept:
                kept.write(bytes(self.headers) + body)
        request, response = (kind() for kind in KINDS[self.path])
        request.ParseFromString(body)
        self.answer(200, taken(request, response, asked).SerializeToString())


def secure(server, certificate, key, clients):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(clients)
    context.verify_mode = ssl.CERT_REQUIRED
    # The handshake is that of whoever serves the connection.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        if isinstance(sys.exception(), (ssl.SSLError, ConnectionError)):
            say({"refused": str(sys.exception())})
        else:
            super().handle_error(request, client_address)


def retry_info():
    """A status that says when to try again: at once (google.rpc.Status with google.rpc.RetryInfo)."""
    info = any_pb2.Any(type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\x0a\x00").SerializeToString()
    return b"\x08\x08\x1a" + bytes([len(info)]) + info


class ByName(grpc.GenericRpcHandler):
    """Serves the three services of OTLP, by the names of their methods."""

    METHODS = {
        f"/opentelemetry.proto.collector.{name}.v1.{name.title()}Service/Export": KINDS["/v1/" + path]
        for name, path in (("logs", "logs"), ("metrics", "metrics"), ("trace", "traces"))
    }

    def service(self, details):
        request, response = self.METHODS[details.method]

        def serve(message, context):
            asked = next_answer(details.method, dict(context.invocation_metadata()).get("authorization"))
            code, _, when = asked.partition("+")
            if code in grpc.StatusCode.__members__:
                if when:
                    context.set_trailing_metadata((("grpc-status-details-bin", retry_info()),))
                context.abort(grpc.StatusCode[code], "not now")
            if asked == "garbage":
                return b"<html>who are you?</html>"
            if asked == "silence":
                while context.is_active():
                    time.sleep(0.05)
                return b""
            return taken(message, response(), asked).SerializeToString()

        return grpc.unary_unary_rpc_method_handler(serve, request.FromString)


if sys.argv[1].startswith("grpc:"):
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[ByName()])
    server.add_insecure_port("127.0.0.1:" + sys.argv[1].removeprefix("grpc:"))
    server.start()
    say({"ready": True})
    server.wait_for_termination()
server = Server(("127.0.0.1", int(sys.argv[1])), Receiver)
if len(sys.argv) > 3:
    secure(server, *sys.argv[3:])
say({"ready": True})
server.serve_forever()
