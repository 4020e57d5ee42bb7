"""What a container's manifest means: its environment, its command line, its user."""

import re

import volumes
from runtime import CAPABILITIES


class ConfigError(Exception):
    """CreateContainerConfigError: the container cannot be made as it is written."""


def expand(text, known):
    """$(NAME) of what is known, $$(NAME) as it is, what nobody knows as it stands (third_party/forked/golang/expansion)."""
    def one(match):
        if match.group(0).startswith("$$"):
            return match.group(0)[1:]
        return known.get(match.group(1), match.group(0))

    return re.sub(r"\$?\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)", one, text)


def service_links(services):
    """{ORDERS_SERVICE_HOST: ...} of the Services of a pod's namespace: Kubernetes has these in every container."""
    made = {}
    for service in services:
        address = service["spec"].get("clusterIP", "None")
        if address == "None":
            continue
        name = service["metadata"]["name"].upper().replace("-", "_")
        port = service["spec"]["ports"][0]["port"]
        made.update({f"{name}_SERVICE_HOST": address, f"{name}_SERVICE_PORT": str(port), f"{name}_PORT": f"tcp://{address}:{port}"})
    return made


def field(pod, path):
    meta = pod.object["metadata"]
    keyed = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if keyed:
        return (meta.get(keyed.group(1)) or {}).get(keyed.group(2), "")
    known = {"metadata.name": pod.name, "metadata.namespace": pod.namespace, "metadata.uid": meta["uid"],
             "spec.nodeName": pod.node.name, "spec.serviceAccountName": pod.spec.get("serviceAccountName", "default"),
             "status.podIP": pod.address, "status.hostIP": pod.node.address}
    if path not in known:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return known[path]


def keyed_text(pod, kind, source):
    thing = pod.node.find(kind, pod.namespace, source["name"])
    if thing is None:
        if source.get("optional"):
            return None
        raise ConfigError(f'{kind.lower()} "{source["name"]}" not found')
    texts = volumes.texts(thing)
    if source["key"] not in texts:
        if source.get("optional"):
            return None
        raise ConfigError(f"couldn't find key {source['key']} in {kind} {pod.namespace}/{source['name']}")
    return texts[source["key"]].decode()


def environment(pod, container, image):
    env = {**image.env, "HOSTNAME": pod.name}
    if pod.spec.get("enableServiceLinks", True):
        env.update(service_links(pod.node.services(pod.namespace)))
    own = {}
    for source in container.get("envFrom") or []:
        for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            thing = key in source and pod.node.find(kind, pod.namespace, source[key]["name"])
            if thing:
                own.update({source.get("prefix", "") + k: v.decode() for k, v in volumes.texts(thing).items()})
            elif key in source and not source[key].get("optional"):
                raise ConfigError(f'{kind.lower()} "{source[key]["name"]}" not found')
    for variable in container.get("env") or []:
        value = variable.get("value")
        source = variable.get("valueFrom") or {}
        if "fieldRef" in source:
            value = field(pod, source["fieldRef"]["fieldPath"])
        elif "secretKeyRef" in source:
            value = keyed_text(pod, "Secret", source["secretKeyRef"])
        elif "configMapKeyRef" in source:
            value = keyed_text(pod, "ConfigMap", source["configMapKeyRef"])
        elif source:
            raise ConfigError(f"env {variable['name']}: unsupported source {sorted(source)}")
        if value is not None:
            own[variable["name"]] = expand(str(value), {**env, **own})
    return {**env, **own}


def command_line(container, image, env):
    """`command` takes the place of the image's entrypoint; `args` follow."""
    words = list(container.get("command") or image.command) + list(container.get("args") or [])
    if not words:
        raise ConfigError("no command specified")
    return [expand(word, env) for word in words]


def user(spec, container, image):
    pod, own = spec.get("securityContext") or {}, container.get("securityContext") or {}
    asked = {**pod, **own}
    uid = asked.get("runAsUser", image.user[0])
    gid = asked.get("runAsGroup", image.user[1] if uid == image.user[0] else 0)
    if asked.get("runAsNonRoot") and uid == 0:
        raise ConfigError("container has runAsNonRoot and image will run as root")
    groups = list(pod.get("supplementalGroups") or []) + ([pod["fsGroup"]] if "fsGroup" in pod else [])
    asked_for = own.get("capabilities") or {}
    kept = set() if "ALL" in (asked_for.get("drop") or []) else set(CAPABILITIES) - set(asked_for.get("drop") or [])
    kept |= set(CAPABILITIES) & set(asked_for.get("add") or [])
    return {"uid": uid, "gid": gid, "groups": groups, "capabilities": sorted(CAPABILITIES[name] for name in kept),
            "no_new_privileges": own.get("allowPrivilegeEscalation") is False}
