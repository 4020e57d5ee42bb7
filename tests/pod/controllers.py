"""What controllers decide, as functions of what is: nothing here touches a process.

Deployments are rolled as pkg/controller/deployment/rolling.go does, Services get their endpoints as the EndpointSlice controller and
kube-proxy choose them (ready pods; where there are none, those that end and still serve: KEP-1669).
"""

import hashlib
import json
import math

NATIVE_PORTS_SINCE = (1, 32)  # names of a native sidecar's ports lead somewhere


def template_hash(template):
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]


def selects(selector, labels):
    return bool(selector) and all((labels or {}).get(key) == value for key, value in selector.items())


def share(value, whole, up):
    """maxSurge, maxUnavailable: a number, or a percentage that is rounded up or down."""
    if isinstance(value, str) and value.endswith("%"):
        exact = int(value[:-1]) * whole / 100
        return math.ceil(exact) if up else math.floor(exact)
    return int(value)


def rolling(deployment, pods):
    """(how many pods to make, which to end). `pods`: the Deployment's, oldest first, those that end too; each has template_hash,
    is_ready, ending."""
    spec = deployment["spec"]
    wanted, want_hash = spec.get("replicas", 1), template_hash(spec["template"])
    live = [p for p in pods if not p.ending]
    new = [p for p in live if p.template_hash == want_hash]
    old = [p for p in live if p.template_hash != want_hash]
    if (spec.get("strategy") or {}).get("type") == "Recreate":
        return (0, old) if old or len(pods) > len(live) else (max(0, wanted - len(new)), new[wanted:])
    figures = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    surge = share(figures.get("maxSurge", "25%"), wanted, True)
    unavailable = share(figures.get("maxUnavailable", "25%"), wanted, False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    make = max(0, min(wanted - len(new), wanted + surge - len(live)))
    least = wanted - unavailable
    ready = sum(1 for p in live if p.is_ready)
    room = len(live) - least - sum(1 for p in new if not p.is_ready)
    end = [p for p in old if not p.is_ready][: max(0, room)]
    end += [p for p in old if p.is_ready][: max(0, ready - least)]
    surplus = sorted(new, key=lambda p: p.is_ready)[: max(0, len(new) - wanted)]
    return make, end + surplus


def ordinals(stateful, pods):
    """(ordinals of pods to make, the pods to end) of a StatefulSet, as pkg/controller/statefulset/stateful_set_control.go does: a pod is
    replaced under its own name, so that one must be over before the next comes; the highest goes first, and each waits until those
    above it are ready."""
    spec = stateful["spec"]
    wanted, want_hash = spec.get("replicas", 1), template_hash(spec["template"])
    known = {p.ordinal: p for p in pods}
    make = [at for at in range(wanted) if at not in known]
    if spec.get("podManagementPolicy", "OrderedReady") != "Parallel":
        make = [at for at in make[:1] if all(below in known and known[below].is_ready for below in range(at))]
    surplus = [p for p in pods if p.ordinal >= wanted and not p.ending]
    for at in reversed(range(wanted)):
        pod = known.get(at)
        if pod and not pod.ending and pod.template_hash != want_hash:
            return make, [*surplus, pod]
        if not pod or not pod.is_ready:
            break
    return make, surplus


def deployment_status(deployment, pods):
    want_hash = template_hash(deployment["spec"]["template"])
    live = [p for p in pods if not p.ending]
    ready = sum(1 for p in live if p.is_ready)
    return {"replicas": len(live), "updatedReplicas": sum(1 for p in live if p.template_hash == want_hash), "readyReplicas": ready,
            "availableReplicas": ready, "unavailableReplicas": max(0, deployment["spec"].get("replicas", 1) - ready),
            "observedGeneration": deployment["metadata"]["generation"]}


def rolled_out(deployment, pods):
    """None, or what is missing yet, as `kubectl rollout status` says it."""
    status, wanted = deployment_status(deployment, pods), deployment["spec"].get("replicas", 1)
    if status["updatedReplicas"] < wanted:
        return f"{status['updatedReplicas']} out of {wanted} new replicas have been updated"
    if status["replicas"] > status["updatedReplicas"]:
        return f"{status['replicas'] - status['updatedReplicas']} old replicas are pending termination"
    if status["availableReplicas"] < wanted:
        return f"{status['availableReplicas']} of {wanted} updated replicas are available"
    return None


def job_status(job, pods):
    over = [p for p in pods if p.gone.is_set()]
    succeeded, failed = (sum(1 for p in over if p.phase == phase) for phase in ("Succeeded", "Failed"))
    status = {"active": len(pods) - len(over), "succeeded": succeeded, "failed": failed, "conditions": []}
    if succeeded >= job["spec"].get("completions", 1):
        status["conditions"] = [{"type": "Complete", "status": "True"}]
    elif failed > job["spec"].get("backoffLimit", 6):
        status["conditions"] = [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]
    return status


def target_port(port, spec, version):
    """The number a Service's targetPort means in a pod; None where a name leads nowhere."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    kinds = list(spec["containers"])
    if version >= NATIVE_PORTS_SINCE:
        kinds += [c for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"]
    return next((p["containerPort"] for c in kinds for p in c.get("ports") or [] if p.get("name") == target), None)


def endpoints(service, pods, version):
    """{port of the Service: [(address, port)]} where kube-proxy leads new connections."""
    chosen = [p for p in pods if p.address and selects(service["spec"].get("selector"), p.object["metadata"].get("labels"))]
    if service["spec"].get("publishNotReadyAddresses"):
        going = chosen
    else:
        going = [p for p in chosen if p.is_ready] or [p for p in chosen if p.ending and p.serving]
    made = {}
    for port in service["spec"]["ports"]:
        led = [(p.address, target_port(port, p.spec, version)) for p in going]
        made[port["port"]] = sorted((a, n) for a, n in led if n is not None)
    return made
