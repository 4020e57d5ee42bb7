"""Objects as the API server takes them: their names, what it fills in and what it refuses, and the pods that owners make of their
templates. Nothing here knows of a cluster.
"""

import base64
import copy
import random
import time
import uuid

import controllers

SHORT = {"deploy": "Deployment", "svc": "Service", "cm": "ConfigMap", "po": "Pod", "pvc": "PersistentVolumeClaim"}
LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # of random names, as Kubernetes' rand.String() has them


class NotFound(Exception):
    """Error from server (NotFound): as kubectl says it."""


class Invalid(Exception):
    """The API server would refuse the object."""


def random_text(length):
    return "".join(random.choice(LETTERS) for _ in range(length))


def kind_of(word):
    """`deployment`, `deploy`, `Deployments`, ... as in `kind:`."""
    given, word = word, word.lower()
    if word in SHORT:
        return SHORT[word]
    for kind in ("Deployment", "StatefulSet", "Service", "ConfigMap", "Secret", "Pod", "Job", "PersistentVolumeClaim"):
        if word in (kind.lower(), kind.lower() + "s"):
            return kind
    return given.capitalize() if given.islower() else given


def key(o):
    return o["kind"], o["metadata"]["namespace"], o["metadata"]["name"]


def complete(o, namespace):
    """What the API server fills in; `namespace`: of an object that names none."""
    if not o.get("kind") or not o.get("apiVersion"):
        raise Invalid("error validating data: kind and apiVersion must be set")
    meta = o.setdefault("metadata", {})
    meta.setdefault("namespace", namespace)
    if "name" not in meta:
        if "generateName" not in meta:
            raise Invalid(f"{o['kind']}: resource name may not be empty")
        meta["name"] = meta["generateName"] + random_text(5)
    if o["kind"] == "Secret":
        plain = o.pop("stringData", None) or {}
        o["data"] = {**(o.get("data") or {}), **{k: base64.b64encode(v.encode()).decode() for k, v in plain.items()}}


def admit(o, old):
    """Invalid unless it may take the place of `old` (None: it is new)."""
    spec, who = o.get("spec") or {}, f"The {o['kind']} \"{o['metadata']['name']}\" is invalid"
    if o["kind"] == "Deployment":
        selector = (spec.get("selector") or {}).get("matchLabels")
        if not controllers.selects(selector, spec["template"]["metadata"].get("labels")):
            raise Invalid(f"{who}: spec.template.metadata.labels: `selector` does not match template `labels`")
        if old and old["spec"]["selector"] != spec["selector"]:
            raise Invalid(f"{who}: spec.selector: field is immutable")
    if o["kind"] == "Job" and (spec["template"]["spec"].get("restartPolicy") not in ("Never", "OnFailure")):
        raise Invalid(f"{who}: spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"")
    if o["kind"] in ("Pod", "Job") and old and old["spec"] != spec:
        raise Invalid(f"{who}: spec: field is immutable")


def pod(owner, labels, name=None, volumes=()):
    """What a controller makes of its owner's template: `labels` are its own, `name` and `volumes` a StatefulSet's."""
    template, meta = owner["spec"]["template"], owner["metadata"]
    given = template.get("metadata") or {}
    middle = labels.get("pod-template-hash")
    name = name or "-".join(word for word in (meta["name"][:40], middle, random_text(5)) if word)
    spec = copy.deepcopy(template["spec"])
    if volumes:
        spec["volumes"] = [*(spec.get("volumes") or []), *volumes]
    return {"apiVersion": "v1", "kind": "Pod", "spec": spec, "metadata": {
        "name": name, "namespace": meta["namespace"], "labels": {**(given.get("labels") or {}), **labels},
        "annotations": dict(given.get("annotations") or {}), "uid": str(uuid.uuid4()), "creationTimestamp": time.time(),
        "generation": 1, "ownerReferences": [{"kind": owner["kind"], "name": meta["name"], "uid": meta["uid"]}]}}


def deployed(owner):
    """A Deployment's pod."""
    return pod(owner, {"pod-template-hash": controllers.template_hash(owner["spec"]["template"])})


def of_job(owner):
    return pod(owner, {"job-name": owner["metadata"]["name"], "batch.kubernetes.io/job-name": owner["metadata"]["name"]})


def numbered(owner, ordinal):
    """(the pod of that number of a StatefulSet, its claims)"""
    name = f"{owner['metadata']['name']}-{ordinal}"
    claims, volumes = [], []
    for template in owner["spec"].get("volumeClaimTemplates") or []:
        kept = template["metadata"]["name"]
        claims.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": copy.deepcopy(template["spec"]),
                       "metadata": {"name": f"{kept}-{name}", "namespace": owner["metadata"]["namespace"]}})
        volumes.append({"name": kept, "persistentVolumeClaim": {"claimName": f"{kept}-{name}"}})
    labels = {"controller-revision-hash": controllers.template_hash(owner["spec"]["template"]),
              "statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": str(ordinal)}
    return pod(owner, labels, name, volumes), claims
