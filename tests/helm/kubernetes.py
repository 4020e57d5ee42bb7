"""Would the API server take these objects? The rules of Kubernetes that a chart can break, for the kinds this one makes: which
fields there are and of what type, how names and labels are written, and what has to fit together across objects."""

import re

import yaml

NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL_NAME = re.compile(r"(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?(?=[^/]{1,63}$)[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"(?=.{0,63}$)([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")

ANY, TEXTS = object(), "map of texts"
INT_OR_TEXT = (int, str)

# A field's type: a Python type or several, a type's name below, [a type] for a list of it, TEXTS, ANY. "!" is a field that must be there.
TYPES = {
    "Meta": {"name!": str, "namespace": str, "labels": TEXTS, "annotations": TEXTS},
    "Selector": {"matchLabels": TEXTS, "matchExpressions": [ANY]},
    "ConfigMap": {"data": TEXTS},
    "Secret": {"type": str, "data": TEXTS, "stringData": TEXTS},
    "Service": {"spec!": "ServiceSpec"},
    "ServiceSpec": {"type": str, "clusterIP": str, "selector!": TEXTS, "ports!": ["ServicePort"]},
    "ServicePort": {"name!": str, "port!": int, "targetPort!": INT_OR_TEXT, "protocol": str},
    "Deployment": {"spec!": "DeploymentSpec"},
    "DeploymentSpec": {"replicas": int, "strategy": "Strategy", "selector!": "Selector", "template!": "PodTemplate"},
    "StatefulSet": {"spec!": "StatefulSetSpec"},
    "StatefulSetSpec": {"replicas": int, "serviceName!": str, "podManagementPolicy": str, "selector!": "Selector",
                        "template!": "PodTemplate", "volumeClaimTemplates": [{"metadata!": "Meta", "spec!": "ClaimSpec"}]},
    "Strategy": {"type!": str, "rollingUpdate": {"maxSurge": INT_OR_TEXT, "maxUnavailable": INT_OR_TEXT}},
    "PodTemplate": {"metadata!": {"labels!": TEXTS, "annotations": TEXTS}, "spec!": "PodSpec"},
    "Pod": {"spec!": "PodSpec"},
    "PodSpec": {"containers!": ["Container"], "initContainers": ["Container"], "volumes": ["Volume"], "restartPolicy": str,
                "activeDeadlineSeconds": int,
                "serviceAccountName": str, "automountServiceAccountToken": bool, "terminationGracePeriodSeconds": int,
                "securityContext": {"runAsNonRoot": bool, "fsGroup": int, "seccompProfile": {"type!": str}},
                "imagePullSecrets": [{"name!": str}], "priorityClassName": str, "nodeSelector": TEXTS, "tolerations": [ANY],
                "affinity": ANY, "topologySpreadConstraints": ["Spread"]},
    "Spread": {"maxSkew!": int, "topologyKey!": str, "whenUnsatisfiable!": str, "labelSelector": "Selector", "minDomains": int},
    "Container": {"name!": str, "image!": str, "imagePullPolicy": str, "restartPolicy": str, "command": [str], "args": [str],
                  "env": ["Env"], "ports": ["ContainerPort"], "startupProbe": "Probe", "readinessProbe": "Probe",
                  "livenessProbe": "Probe", "lifecycle": {"preStop": {"exec": {"command!": [str]}, "sleep": {"seconds!": int}}},
                  "securityContext": "ContainerSecurity", "resources": {"requests": ANY, "limits": ANY},
                  "volumeMounts": [{"name!": str, "mountPath!": str, "readOnly": bool, "subPath": str}]},
    "Env": {"name!": str, "value": str, "valueFrom": {"fieldRef": {"fieldPath!": str}, "secretKeyRef": {"name!": str, "key!": str},
                                                      "configMapKeyRef": {"name!": str, "key!": str}}},
    "ContainerPort": {"name!": str, "containerPort!": int, "protocol": str},
    "Probe": {"httpGet!": {"path!": str, "port!": INT_OR_TEXT, "scheme": str}, "periodSeconds": int, "timeoutSeconds": int,
              "failureThreshold": int, "initialDelaySeconds": int},
    "ContainerSecurity": {"runAsNonRoot": bool, "runAsUser": int, "runAsGroup": int, "readOnlyRootFilesystem": bool,
                          "allowPrivilegeEscalation": bool, "capabilities": {"drop": [str], "add": [str]},
                          "seccompProfile": {"type!": str}},
    "Volume": {"name!": str, "configMap": {"name!": str}, "emptyDir": {"sizeLimit": str, "medium": str},
               "secret": {"secretName!": str, "items": [{"key!": str, "path!": str}]},
               "persistentVolumeClaim": {"claimName!": str}},
    "PersistentVolumeClaim": {"spec!": "ClaimSpec"},
    "ClaimSpec": {"accessModes!": [str], "storageClassName": str, "resources!": {"requests!": ANY}},
    "PodDisruptionBudget": {"spec!": {"maxUnavailable": INT_OR_TEXT, "minAvailable": INT_OR_TEXT, "selector!": "Selector"}},
    "NetworkPolicy": {"spec!": {"podSelector!": "Selector", "policyTypes!": [str], "egress": [ANY],
                                "ingress": [{"ports": [{"port!": INT_OR_TEXT, "protocol": str}], "from": [ANY]}]}},
    "PodMonitor": {"spec!": {"selector!": "Selector", "podMetricsEndpoints!": ["Endpoint"]}},
    "ServiceMonitor": {"spec!": {"selector!": "Selector", "endpoints!": ["Endpoint"]}},
    "Endpoint": {"port!": str, "path!": str, "interval": str},
    "PrometheusRule": {"spec!": {"groups!": [{"name!": str, "interval": str, "rules!": ["Rule"]}]}},
    "Rule": {"record": str, "alert": str, "expr!": str, "for": str, "labels": TEXTS, "annotations": TEXTS},
}
VERSIONS = {"ConfigMap": "v1", "Secret": "v1", "Service": "v1", "Pod": "v1", "PersistentVolumeClaim": "v1", "Deployment": "apps/v1",
            "StatefulSet": "apps/v1", "PodDisruptionBudget": "policy/v1", "NetworkPolicy": "networking.k8s.io/v1",
            "PodMonitor": "monitoring.coreos.com/v1", "ServiceMonitor": "monitoring.coreos.com/v1",
            "PrometheusRule": "monitoring.coreos.com/v1"}
WORKLOADS = ("Deployment", "StatefulSet")


class Strict(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML's readers else keep the last."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read(text):
    return [document for document in yaml.load_all(text, Loader=Strict) if document is not None]


def typed(value, kind, path):
    if isinstance(kind, str) and kind != TEXTS:
        kind = TYPES[kind]
    if kind is ANY:
        return
    if kind == TEXTS:
        if not isinstance(value, dict):
            yield f"{path}: expected a map of texts, not {value!r}"
            return
        for key, text in value.items():
            if not isinstance(key, str) or not isinstance(text, str):
                yield f"{path}.{key}: expected a text, not {text!r}"
    elif isinstance(kind, list):
        if not isinstance(value, list):
            yield f"{path}: expected a list, not {value!r}"
            return
        for at, item in enumerate(value):
            yield from typed(item, kind[0], f"{path}[{at}]")
    elif isinstance(kind, dict):
        if not isinstance(value, dict):
            yield f"{path}: expected an object, not {value!r}"
            return
        known = {key.rstrip("!"): below for key, below in kind.items()}
        for key in kind:
            if key.endswith("!") and key[:-1] not in value:
                yield f"{path}.{key[:-1]}: is missing"
        for key, below in value.items():
            if key not in known:
                yield f"{path}.{key}: no such field"
            elif below is not None:  # as if it were not there
                yield from typed(below, known[key], f"{path}.{key}")
    else:
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            yield f"{path}: expected {' or '.join(k.__name__ for k in kinds)}, not {value!r}"


def metadata(about, path):
    if not NAME.fullmatch(about.get("name", "")):
        yield f"{path}.name: {about.get('name')!r} is no name"
    yield from labels(about.get("labels"), f"{path}.labels")
    for key in about.get("annotations") or {}:
        if not LABEL_KEY.fullmatch(key):
            yield f"{path}.annotations: {key!r} is no key"


def labels(given, path):
    for key, value in (given or {}).items():
        if not LABEL_KEY.fullmatch(key):
            yield f"{path}: {key!r} is no key of a label"
        if not LABEL_VALUE.fullmatch(str(value)):
            yield f"{path}.{key}: {value!r} is no value of a label"


def container(given, volumes, restricted, path):
    if not LABEL_NAME.fullmatch(given["name"]):
        yield f"{path}.name: {given['name']!r} is no name"
    if not re.fullmatch(r"[^\s:@]+(:[0-9]+/[^\s:@]+)?(:[\w][\w.-]{0,127}|@sha256:[0-9a-f]{64})", given["image"]):
        yield f"{path}.image: {given['image']!r} has no tag or digest"
    ports = given.get("ports") or []
    for what in ("name", "containerPort"):
        if len({port[what] for port in ports}) != len(ports):
            yield f"{path}.ports: the same {what} twice"
    for port in ports:
        if not PORT_NAME.fullmatch(port["name"]):
            yield f"{path}.ports: {port['name']!r} is no name of a port"
        if not 0 < port["containerPort"] < 65536:
            yield f"{path}.ports: {port['containerPort']} is no port"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if given.get(probe) and given[probe]["httpGet"]["port"] not in [port["name"] for port in ports]:
            yield f"{path}.{probe}: no port {given[probe]['httpGet']['port']}"
    mounts = given.get("volumeMounts") or []
    if len({mount["mountPath"] for mount in mounts}) != len(mounts):
        yield f"{path}.volumeMounts: two at one path"
    for mount in mounts:
        if mount["name"] not in volumes:
            yield f"{path}.volumeMounts: no volume {mount['name']}"
        if not mount["mountPath"].startswith("/"):
            yield f"{path}.volumeMounts: {mount['mountPath']} is not absolute"
    hook = (given.get("lifecycle") or {}).get("preStop")
    if hook is not None and (len(hook) != 1 or hook.get("sleep", {"seconds": 1})["seconds"] < 1):
        yield f"{path}.lifecycle.preStop: expected one action, and a sleep of some seconds"
    env = [variable["name"] for variable in given.get("env") or []]
    if len(set(env)) != len(env):
        yield f"{path}.env: a name twice"
    for amounts in (given.get("resources") or {}).values():
        for what, amount in amounts.items():
            if not QUANTITY.fullmatch(str(amount)):
                yield f"{path}.resources.{what}: {amount!r} is no quantity"
    if restricted:
        yield from restricted_security(given.get("securityContext") or {}, f"{path}.securityContext")


def restricted_security(given, path):
    """The restricted pod security standard, and a root file system that nobody writes to."""
    wanted = {"runAsNonRoot": True, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    for key, value in wanted.items():
        if given.get(key) is not value:
            yield f"{path}.{key}: expected {value}"
    if not given.get("runAsUser"):
        yield f"{path}.runAsUser: expected one that is not root"
    if given.get("capabilities") != {"drop": ["ALL"]}:
        yield f"{path}.capabilities: expected that all are dropped"
    if (given.get("seccompProfile") or {}).get("type") != "RuntimeDefault":
        yield f"{path}.seccompProfile: expected RuntimeDefault"


def pod(spec, ours, path, claimed=()):
    """`ours`: names of the containers that must be restricted; `claimed`: volumes a StatefulSet claims for each pod."""
    volumes = [*claimed] + [volume["name"] for volume in spec.get("volumes") or []]
    if len(set(volumes)) != len(volumes):
        yield f"{path}.volumes: a name twice"
    for volume in spec.get("volumes") or []:
        if len(volume) != 2:
            yield f"{path}.volumes.{volume['name']}: expected exactly one source"
        if not LABEL_NAME.fullmatch(volume["name"]):
            yield f"{path}.volumes: {volume['name']!r} is no name"
    every = [("containers", c) for c in spec["containers"]] + [("initContainers", c) for c in spec.get("initContainers") or []]
    if len({c["name"] for _, c in every}) != len(every):
        yield f"{path}: a container's name twice"
    ports = [port["name"] for _, c in every for port in c.get("ports") or []]
    if len(set(ports)) != len(ports):
        yield f"{path}: two containers name a port alike, so that a Service cannot tell them apart"
    for kind, c in every:
        native = kind == "initContainers" and c.get("restartPolicy") == "Always"
        if c.get("restartPolicy") and not native:
            yield f"{path}.{kind}.{c['name']}: only an init container may have a restartPolicy, and only Always"
        if kind == "initContainers" and not native and (c.get("readinessProbe") or c.get("lifecycle")):
            yield f"{path}.{kind}.{c['name']}: probes and hooks are for sidecars"
        yield from container(c, volumes, c["name"] in ours, f"{path}.{kind}.{c['name']}")


def selects(selector, given):
    return bool(selector) and all((given or {}).get(key) == value for key, value in selector.items())


def together(objects):
    """What one object says of another."""
    pods = [(o["spec"]["template"]["metadata"]["labels"], o["spec"]["template"]["spec"]) for o in objects if o["kind"] in WORKLOADS]
    for o in objects:
        path, spec = f"{o['kind']} {o['metadata']['name']}", o.get("spec") or {}
        if o["kind"] in WORKLOADS and not selects(spec["selector"].get("matchLabels"), spec["template"]["metadata"]["labels"]):
            yield f"{path}: its selector does not match its pods"
        if o["kind"] == "StatefulSet" and not any(s["kind"] == "Service" and s["metadata"]["name"] == spec["serviceName"]
                                                  and s["spec"].get("clusterIP") == "None" for s in objects):
            yield f"{path}: no headless Service {spec['serviceName']}"
        if o["kind"] == "Service":
            chosen = [p for given, p in pods if selects(spec["selector"], given)]
            if not chosen:
                yield f"{path}: selects no pod"
            for port in spec["ports"]:
                ports = [(kind, c) for p in chosen for kind in ("containers", "initContainers") for s in p.get(kind) or []
                         for c in s.get("ports") or []]
                if port["targetPort"] not in [c[key] for _, c in ports for key in ("name", "containerPort")]:
                    yield f"{path}: no container has a port {port['targetPort']}"
                if port["targetPort"] in [c["name"] for kind, c in ports if kind == "initContainers"]:
                    yield f"{path}: before Kubernetes 1.32 the name {port['targetPort']} of a native sidecar leads nowhere"
        selector = (spec.get("selector") or spec.get("podSelector") or {})
        if o["kind"] in ("PodDisruptionBudget", "NetworkPolicy", "PodMonitor") and not any(
                selects(selector.get("matchLabels"), given) for given, _ in pods):
            yield f"{path}: selects no pod"
        if o["kind"] == "ServiceMonitor" and not any(
                s["kind"] == "Service" and selects(selector["matchLabels"], s["metadata"]["labels"]) for s in objects):
            yield f"{path}: selects no Service"
    names = [(o["kind"], o["metadata"]["name"]) for o in objects]
    for twice in {n for n in names if names.count(n) > 1}:
        yield f"{twice[0]} {twice[1]}: stands twice"


def faults(objects, ours=("shunt", "shuntctl")):
    found = []
    for o in objects:
        path = f"{o.get('kind')} {(o.get('metadata') or {}).get('name')}"
        if VERSIONS.get(o.get("kind")) != o.get("apiVersion"):
            found.append(f"{path}: no kind of apiVersion {o.get('apiVersion')}")
            continue
        wrong = list(typed(o, {"apiVersion!": str, "kind!": str, "metadata!": "Meta", **TYPES[o["kind"]]}, path))
        found += wrong
        if wrong:
            continue
        found += metadata(o["metadata"], f"{path}: metadata")
        if o["kind"] in WORKLOADS:
            found += labels(o["spec"]["template"]["metadata"]["labels"], f"{path}: template")
            claimed = [claim["metadata"]["name"] for claim in o["spec"].get("volumeClaimTemplates") or []]
            found += pod(o["spec"]["template"]["spec"], ours, path, claimed)
        if o["kind"] == "Pod":
            found += pod(o["spec"], ours, path)
    return found if found else list(together(objects))
