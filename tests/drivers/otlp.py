"""A receiver of OTLP by HTTP, as strict as the official messages are; it prints what it takes.

otlp.py PORT ANSWER,...: the first requests are answered so, all that come then with `ok`. An answer is a status that may
be tried again (`503`, `429`), `garbage`, `partial` (one record is refused), or `close` (no answer at all).
"""

import gzip
import http.server
import json
import sys

from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

ANSWERS = [answer for answer in sys.argv[2].split(",") if answer]
KINDS = {
    "/v1/logs": (logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse),
    "/v1/traces": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse),
}


def say(what):
    # In one piece: connections are served side by side.
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


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


def tell(request):
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
        asked = ANSWERS.pop(0) if ANSWERS else "ok"
        say({"request": self.path, "answer": asked, "authorization": self.headers["Authorization"]})
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
        request, response = KINDS[self.path][0](), KINDS[self.path][1]()
        request.ParseFromString(body)
        assert not len(UnknownFieldSet(request)), "fields that nobody knows"
        tell(request)
        if asked == "partial" and self.path == "/v1/logs":
            response.partial_success.rejected_log_records = 1
        self.answer(200, response.SerializeToString())


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
say({"ready": True})
server.serve_forever()
