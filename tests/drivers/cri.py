"""A container runtime as far as Kubernetes' interface asks it for a container's status and for its version; it prints what
it is asked.

cri.py SOCKET ID: it knows one container, of the pod `shop-0` in the namespace `web`, whose UID is UID in the environment.
"""

import json
import os
import sys
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.unknown_fields import UnknownFieldSet

SOCKET, ID = sys.argv[1:]
SERVICE = "/runtime.v1.RuntimeService/"
TEXT, FLAG, COUNT = (descriptor_pb2.FieldDescriptorProto.Type.Value("TYPE_" + kind) for kind in ("STRING", "BOOL", "INT64"))
# Of `runtime.v1` (k8s.io/cri-api, api.proto) what is asked and answered here, by the numbers that it has there.
MESSAGES = {
    "ContainerStatusRequest": {"container_id": (1, TEXT), "verbose": (2, FLAG)},
    "ContainerMetadata": {"name": (1, TEXT), "attempt": (2, COUNT)},
    "ImageSpec": {"image": (1, TEXT), "user_specified_image": (18, TEXT)},
    "Entry": {"key": (1, TEXT), "value": (2, TEXT)},
    "ContainerStatus": {
        "id": (1, TEXT),
        "metadata": (2, "ContainerMetadata"),
        "created_at": (4, COUNT),
        "image": (8, "ImageSpec"),
        "image_ref": (9, TEXT),
        "labels": (12, "*Entry"),
        "annotations": (13, "*Entry"),
        "log_path": (15, TEXT),
    },
    "ContainerStatusResponse": {"status": (1, "ContainerStatus")},
    "VersionRequest": {"version": (1, TEXT)},
    "VersionResponse": {
        "version": (1, TEXT),
        "runtime_name": (2, TEXT),
        "runtime_version": (3, TEXT),
        "runtime_api_version": (4, TEXT),
    },
}


def messages():
    file = descriptor_pb2.FileDescriptorProto(name="cri", package="runtime.v1", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            described = message.field.add(name=field, number=number, label="LABEL_OPTIONAL")
            if isinstance(kind, int):
                described.type = kind
                continue
            # A map is many entries of key and value.
            if kind.startswith("*"):
                described.label = "LABEL_REPEATED"
            described.type = "TYPE_MESSAGE"
            described.type_name = ".runtime.v1." + kind.removeprefix("*")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName("runtime.v1." + name)) for name in MESSAGES}


KINDS = messages()


def say(what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def status(question, context):
    say({"asked": question.container_id})
    assert not question.verbose and not len(UnknownFieldSet(question)), question
    if question.container_id != ID:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such container")
    labels = {
        "io.kubernetes.pod.namespace": "web",
        "io.kubernetes.pod.name": "shop-0",
        "io.kubernetes.pod.uid": os.environ["UID"],
        "io.kubernetes.container.name": "app",
        "maintainer": "somebody",
    }
    entries = [KINDS["Entry"](key=key, value=value) for key, value in labels.items()]
    answer = KINDS["ContainerStatus"](
        id=ID,
        metadata=KINDS["ContainerMetadata"](name="app", attempt=2),
        created_at=1,
        image=KINDS["ImageSpec"](image="sha256:" + ID, user_specified_image="shop:1"),
        image_ref="shop@sha256:" + ID,
        labels=entries,
        annotations=entries,
        log_path="/var/log/pods/app/0.log",
    )
    return KINDS["ContainerStatusResponse"](status=answer)


def version(question, _context):
    say({"asked": "version"})
    assert question.version and not len(UnknownFieldSet(question)), question
    return KINDS["VersionResponse"](
        version="0.1.0", runtime_name="containerd", runtime_version="v2.1.4", runtime_api_version="v1"
    )


METHODS = {"ContainerStatus": status, "Version": version}


class Runtime(grpc.GenericRpcHandler):
    def service(self, details):
        method = details.method.removeprefix(SERVICE)
        if method not in METHODS:
            say({"wrong": details.method})
            return None
        request = KINDS[method + "Request"].FromString
        return grpc.unary_unary_rpc_method_handler(METHODS[method], request, lambda answer: answer.SerializeToString())


server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Runtime()])
server.add_insecure_port("unix:" + SOCKET)
server.start()
say({"ready": True})
server.wait_for_termination()
