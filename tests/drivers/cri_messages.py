"""Of Kubernetes' interface to container runtimes, `runtime.v1` (k8s.io/cri-api, api.proto), the messages that are used here,
by the numbers that they have there."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

RUNTIME = "/runtime.v1.RuntimeService/"
IMAGES = "/runtime.v1.ImageService/"
TEXT, FLAG, COUNT = (descriptor_pb2.FieldDescriptorProto.Type.Value("TYPE_" + kind) for kind in ("STRING", "BOOL", "INT64"))
# A number, a name of the message that is a field's kind, or such a name after a star where there are many.
MESSAGES = {
    "Entry": {"key": (1, TEXT), "value": (2, TEXT)},
    "ImageSpec": {"image": (1, TEXT), "user_specified_image": (18, TEXT)},
    "VersionRequest": {"version": (1, TEXT)},
    "VersionResponse": {
        "version": (1, TEXT),
        "runtime_name": (2, TEXT),
        "runtime_version": (3, TEXT),
        "runtime_api_version": (4, TEXT),
    },
    "ImageStatusRequest": {"image": (1, "ImageSpec")},
    "Image": {"id": (1, TEXT)},
    "ImageStatusResponse": {"image": (1, "Image")},
    "NamespaceOption": {"network": (1, COUNT), "pid": (2, COUNT)},
    "LinuxSandboxSecurityContext": {"namespace_options": (1, "NamespaceOption")},
    "LinuxPodSandboxConfig": {"security_context": (2, "LinuxSandboxSecurityContext")},
    "PodSandboxMetadata": {"name": (1, TEXT), "uid": (2, TEXT), "namespace": (3, TEXT)},
    "PodSandboxConfig": {
        "metadata": (1, "PodSandboxMetadata"),
        "labels": (6, "*Entry"),
        "linux": (8, "LinuxPodSandboxConfig"),
    },
    "RunPodSandboxRequest": {"config": (1, "PodSandboxConfig")},
    "RunPodSandboxResponse": {"pod_sandbox_id": (1, TEXT)},
    "StopPodSandboxRequest": {"pod_sandbox_id": (1, TEXT)},
    "StopPodSandboxResponse": {},
    "RemovePodSandboxRequest": {"pod_sandbox_id": (1, TEXT)},
    "RemovePodSandboxResponse": {},
    "Mount": {"container_path": (1, TEXT), "host_path": (2, TEXT), "readonly": (3, FLAG)},
    "LinuxContainerSecurityContext": {"namespace_options": (3, "NamespaceOption")},
    "LinuxContainerConfig": {"security_context": (2, "LinuxContainerSecurityContext")},
    "ContainerMetadata": {"name": (1, TEXT), "attempt": (2, COUNT)},
    "ContainerConfig": {
        "metadata": (1, "ContainerMetadata"),
        "image": (2, "ImageSpec"),
        "command": (3, "*text"),
        "mounts": (7, "*Mount"),
        "labels": (9, "*Entry"),
        "linux": (15, "LinuxContainerConfig"),
    },
    "CreateContainerRequest": {
        "pod_sandbox_id": (1, TEXT),
        "config": (2, "ContainerConfig"),
        "sandbox_config": (3, "PodSandboxConfig"),
    },
    "CreateContainerResponse": {"container_id": (1, TEXT)},
    "StartContainerRequest": {"container_id": (1, TEXT)},
    "StartContainerResponse": {},
    "ContainerStatusRequest": {"container_id": (1, TEXT), "verbose": (2, FLAG)},
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
}


def messages():
    file = descriptor_pb2.FileDescriptorProto(name="cri", package="runtime.v1", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            described = message.field.add(name=field, number=number, label="LABEL_OPTIONAL")
            # A map is many entries of key and value.
            if str(kind).startswith("*"):
                described.label = "LABEL_REPEATED"
                kind = TEXT if kind == "*text" else kind.removeprefix("*")
            if isinstance(kind, int):
                described.type = kind
                continue
            described.type = "TYPE_MESSAGE"
            described.type_name = ".runtime.v1." + kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName("runtime.v1." + name)) for name in MESSAGES}


KINDS = messages()


def entries(words):
    return [KINDS["Entry"](key=key, value=value) for key, value in words.items()]
