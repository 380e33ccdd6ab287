"""What a kubelet asks a container runtime for: a pod on the host's network with one container, which are there until the
standard input ends.

kubelet.py SOCKET POD: the pod is a JSON object of `name`, `namespace`, `uid`, `container`, `image`, which is waited for,
`command`, and `mounts`, paths of the host that are at the same places in the container and can only be read there. It
prints the container's id.
"""

import json
import sys
import time

import grpc

from cri_messages import IMAGES, KINDS, RUNTIME, entries

SOCKET, POD = sys.argv[1:]
POD = json.loads(POD)
# Seconds for an answer.
LIMIT = 60
# The container's own for processes, the host's network.
NAMESPACES = KINDS["NamespaceOption"](pid=1, network=2)
LABELS = {
    "io.kubernetes.pod.name": POD["name"],
    "io.kubernetes.pod.namespace": POD["namespace"],
    "io.kubernetes.pod.uid": POD["uid"],
}
channel = grpc.insecure_channel("unix:" + SOCKET)


def ask(method, service=RUNTIME, **question):
    asked = channel.unary_unary(
        service + method,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=KINDS[method + "Response"].FromString,
    )
    return asked(KINDS[method + "Request"](**question), wait_for_ready=True, timeout=LIMIT)


def image():
    """By its id, as a kubelet names it: a runtime knows an image moments after it has it."""
    wanted = KINDS["ImageSpec"](image=POD["image"])
    end = time.monotonic() + LIMIT
    while True:
        try:
            found = ask("ImageStatus", IMAGES, image=wanted).image.id
        except grpc.RpcError:
            if time.monotonic() > end:
                raise
            found = None
        if found:
            return KINDS["ImageSpec"](image=found, user_specified_image=POD["image"])
        assert time.monotonic() < end, "no image"
        time.sleep(0.02)


def pod():
    context = KINDS["LinuxSandboxSecurityContext"](namespace_options=NAMESPACES)
    return KINDS["PodSandboxConfig"](
        metadata=KINDS["PodSandboxMetadata"](name=POD["name"], uid=POD["uid"], namespace=POD["namespace"]),
        labels=entries(LABELS),
        linux=KINDS["LinuxPodSandboxConfig"](security_context=context),
    )


def container():
    context = KINDS["LinuxContainerSecurityContext"](namespace_options=NAMESPACES)
    return KINDS["ContainerConfig"](
        metadata=KINDS["ContainerMetadata"](name=POD["container"]),
        image=image(),
        command=POD["command"],
        mounts=[KINDS["Mount"](container_path=path, host_path=path, readonly=True) for path in POD["mounts"]],
        labels=entries(LABELS | {"io.kubernetes.container.name": POD["container"]}),
        linux=KINDS["LinuxContainerConfig"](security_context=context),
    )


config = container()
sandbox = {"pod_sandbox_id": ask("RunPodSandbox", config=pod()).pod_sandbox_id}
created = ask("CreateContainer", config=config, sandbox_config=pod(), **sandbox)
ask("StartContainer", container_id=created.container_id)
print(created.container_id, flush=True)
sys.stdin.read()
ask("StopPodSandbox", **sandbox)
ask("RemovePodSandbox", **sandbox)
