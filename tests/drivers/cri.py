"""A container runtime as far as Kubernetes' interface asks it for a container's status and for its version; it prints what
it is asked.

cri.py SOCKET ID: it knows one container, of the pod `shop-0` in the namespace `web`, whose UID is UID in the environment.
"""

import json
import os
import sys
from concurrent import futures

import grpc
from google.protobuf.unknown_fields import UnknownFieldSet

from cri_messages import KINDS, RUNTIME, entries

SOCKET, ID = sys.argv[1:]


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
    answer = KINDS["ContainerStatus"](
        id=ID,
        metadata=KINDS["ContainerMetadata"](name="app", attempt=2),
        created_at=1,
        image=KINDS["ImageSpec"](image="sha256:" + ID, user_specified_image="shop:1"),
        image_ref="shop@sha256:" + ID,
        labels=entries(labels),
        annotations=entries(labels),
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
        method = details.method.removeprefix(RUNTIME)
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
