"""What `kubectl apply -k` makes of a folder: resources, patches that are laid on them, ConfigMaps of files. Everything else that
kustomize knows is refused."""

import copy
import os

import yaml

from words import Unknown

# What tells the items of a list apart, where a patch is laid on it (patchMergeKey of the Kubernetes API). Lists of others are replaced.
KEYS = {"containers": "name", "initContainers": "name", "volumes": "name", "env": "name", "volumeMounts": "mountPath"}
PORTS = {"Deployment": "containerPort", "Service": "port"}


def laid(under, over, kind, key=None):
    """The patch `over` on `under`, as a strategic merge."""
    if isinstance(under, dict) and isinstance(over, dict):
        if "$patch" in over:
            raise Unknown("$patch")
        merged = dict(under)
        for name, value in over.items():
            if value is None:
                merged.pop(name, None)
            else:
                merged[name] = laid(merged.get(name), value, kind, name)
        return merged
    by = PORTS[kind] if key == "ports" else KEYS.get(key)
    if isinstance(under, list) and by:
        merged = {item[by]: item for item in under}
        for item in over:
            merged[item[by]] = laid(merged.get(item[by]), item, kind)
        return list(merged.values())
    return copy.deepcopy(over)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def identity(made):
    return made["kind"], made["metadata"]["name"]


def build(folder):
    """The objects, in the order of the kustomization."""
    plan = yaml.safe_load(read(os.path.join(folder, "kustomization.yaml")))
    unknown = set(plan) - {"resources", "patches", "configMapGenerator", "generatorOptions"}
    if unknown or plan.get("generatorOptions", {"disableNameSuffixHash": True}) != {"disableNameSuffixHash": True}:
        raise Unknown(f"kustomization.yaml: {sorted(unknown) or 'generatorOptions'}")
    objects = []
    for name in plan["resources"]:
        objects += [made for made in yaml.safe_load_all(read(os.path.join(folder, name))) if made]
    for patch in plan.get("patches") or []:
        if set(patch) != {"path"}:
            raise Unknown(f"kustomization.yaml: a patch with {sorted(patch)}")
        over = yaml.safe_load(read(os.path.join(folder, patch["path"])))
        known = [at for at, made in enumerate(objects) if identity(made) == identity(over)]
        if len(known) != 1:
            raise Unknown(f"{patch['path']}: a patch for {len(known)} objects")
        objects[known[0]] = laid(objects[known[0]], over, over["kind"])
    for generator in plan.get("configMapGenerator") or []:
        if set(generator) != {"name", "files"}:
            raise Unknown(f"kustomization.yaml: a generator with {sorted(generator)}")
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]},
                        "data": {os.path.basename(name): read(os.path.join(folder, name)) for name in generator["files"]}})
    return objects
