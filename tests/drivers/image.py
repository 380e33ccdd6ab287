"""An image of one program, as `docker save` writes it.

image.py FILE NAME PROGRAM: the program is there at its own path, and sleeps where nothing else is asked of it, as busybox
can.
"""

import hashlib
import io
import json
import platform
import sys
import tarfile

FILE, NAME, PROGRAM = sys.argv[1:]
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def archive(files, mode=0o644):
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()


with open(PROGRAM, "rb") as program:
    layer = archive({PROGRAM.lstrip("/"): program.read()}, 0o755)
config = {
    "architecture": ARCHITECTURES[platform.machine()],
    "os": "linux",
    "config": {"Entrypoint": [PROGRAM, "sleep", "1000000"]},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
}
manifest = [{"Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"]}]
with open(FILE, "wb") as image:
    parts = {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    image.write(archive({"layer.tar": layer} | parts))
