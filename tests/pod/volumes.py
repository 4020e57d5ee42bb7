"""Volumes of a pod, as the kubelet makes them: folders of the host's that containers see through mounts.

Files of a ConfigMap or a Secret are swapped all at once, in the steps of pkg/volume/util/atomic_writer.go: a new folder
`..TIMESTAMP`, a link `..data_tmp` to it that is renamed to `..data`, and the names people see, which lead through `..data`. A mount with
subPath sees one file of the first folder, and never another.
"""

import base64
import datetime
import itertools
import os
import shutil

DATA = "..data"
numbers = itertools.count(1)


class Missing(Exception):
    """An object that a volume or a variable needs is not there (yet)."""


def texts(thing):
    """{key: bytes} of a ConfigMap or a Secret."""
    if thing["kind"] == "Secret":
        return {key: base64.b64decode(text) for key, text in (thing.get("data") or {}).items()}
    return {**{key: text.encode() for key, text in (thing.get("data") or {}).items()},
            **{key: base64.b64decode(text) for key, text in (thing.get("binaryData") or {}).items()}}


def payload(source, thing):
    """{path: (bytes, mode)}: what shall be in the volume. `source`: the volume's `configMap` or `secret`."""
    mode = source.get("defaultMode", 0o644)
    if thing is None:
        return {}
    have = texts(thing)
    if not source.get("items"):
        return {key: (content, mode) for key, content in have.items()}
    wanted = {}
    for item in source["items"]:
        if item["key"] not in have:
            if not source.get("optional"):
                raise Missing(f"references non-existent {thing['kind'].lower()} key: {item['key']}")
            continue
        wanted[item["path"]] = (have[item["key"]], item.get("mode", mode))
    return wanted


def present(folder):
    """{path: (bytes, mode)} that is there."""
    found, top = {}, os.path.join(folder, DATA)
    for below, _, names in os.walk(top + "/"):
        for name in names:
            path = os.path.join(below, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, top)] = (f.read(), os.stat(path).st_mode & 0o777)
    return found


def readable_by(mode, group):
    """kubelet's SetVolumeOwnership: the pod's fsGroup owns and may read."""
    return mode | 0o440 if group is not None else mode


def swap(folder, wanted, group=None):
    """Makes the folder's files `wanted`; true where they were others."""
    wanted = {path: (content, readable_by(mode, group)) for path, (content, mode) in wanted.items()}
    old = os.readlink(os.path.join(folder, DATA)) if os.path.islink(os.path.join(folder, DATA)) else None
    if old and present(folder) == wanted:
        return False
    now = datetime.datetime.now(datetime.timezone.utc).strftime("..%Y_%m_%d_%H_%M_%S") + f".{next(numbers):09d}"
    made = os.path.join(folder, now)
    os.mkdir(made)
    os.chmod(made, 0o755)
    for path, (content, mode) in wanted.items():
        full = os.path.join(made, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as f:
            f.write(content)
        os.chmod(full, mode)
        if group is not None:
            os.chown(full, -1, group)
    os.symlink(now, os.path.join(folder, DATA + "_tmp"))
    os.rename(os.path.join(folder, DATA + "_tmp"), os.path.join(folder, DATA))
    seen = {path.split("/")[0] for path in wanted}
    for name in os.listdir(folder):
        if not name.startswith("..") and name not in seen:
            os.unlink(os.path.join(folder, name))
    for name in seen:
        if not os.path.lexists(os.path.join(folder, name)):
            os.symlink(os.path.join(DATA, name), os.path.join(folder, name))
    if old:
        shutil.rmtree(os.path.join(folder, old))
    return True


class Volumes:
    """Those of one pod, below `folder`. `find(kind, name)`: an object, or None; `claim(name)`: the folder of a claim, or None."""

    def __init__(self, spec, folder, find, claim):
        self.specs = {volume["name"]: volume for volume in spec.get("volumes") or []}
        self.folder, self.find, self.claim = folder, find, claim
        self.group = (spec.get("securityContext") or {}).get("fsGroup")
        self.paths = {}

    def make(self):
        """Missing where an object is: the pod waits for it (ContainerCreating)."""
        self.refresh()
        for name, volume in self.specs.items():
            if "emptyDir" in volume:
                self._make_empty(self._at(name))
            elif "persistentVolumeClaim" in volume:
                claimed = self.claim(volume["persistentVolumeClaim"]["claimName"])
                if claimed is None:
                    raise Missing(f'persistentvolumeclaim "{volume["persistentVolumeClaim"]["claimName"]}" not found')
                self.paths[name] = claimed
                self._own(claimed)
            elif "configMap" not in volume and "secret" not in volume:
                raise Missing(f"volume {name}: of a kind this kubelet does not know: {sorted(volume)}")

    def _at(self, name):
        self.paths[name] = os.path.join(self.folder, name)
        os.makedirs(self.paths[name], exist_ok=True)
        return self.paths[name]

    def _make_empty(self, path):
        os.chmod(path, 0o777)
        self._own(path)

    def _own(self, path):
        if self.group is not None:
            os.chown(path, -1, self.group)
            os.chmod(path, os.stat(path).st_mode | 0o2775)

    def refresh(self):
        """ConfigMaps and Secrets as they are now. True where files have changed."""
        changed = False
        for name, volume in self.specs.items():
            for key, kind, named in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
                if key in volume:
                    source = volume[key]
                    thing = self.find(kind, source[named])
                    if thing is None and not source.get("optional"):
                        raise Missing(f'MountVolume.SetUp failed for volume "{name}": {kind.lower()} "{source[named]}" not found')
                    wanted = payload(source, thing)
                    changed = swap(self._at(name), wanted, self.group) or changed
        return changed

    def mounts(self, container):
        """Of a container, for the runtime."""
        made = []
        for mount in container.get("volumeMounts") or []:
            source = self.paths[mount["name"]]
            if mount.get("subPath"):
                source = os.path.realpath(os.path.join(source, mount["subPath"]))
            made.append({"source": source, "target": mount["mountPath"], "readonly": bool(mount.get("readOnly"))})
        return made
