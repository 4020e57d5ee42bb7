"""A cluster of one node, without Kubernetes: objects are applied, and what controllers, kubelet and kube-proxy make of them happens
to real processes in real namespaces. Everything lives as long as the Cluster, and close() leaves nothing behind.

    with Cluster() as cluster:
        cluster.image("images.example.org/orders", cluster.application())
        cluster.apply(chart.render(...))                         # a manifest's text, or a list of objects
        cluster.rollout_status("deployment/orders", timeout=60)
        cluster.exec("deployment/orders", ["shuntctl", "status"], container="shunt")
        cluster.client.run(["curl", "-s", "http://orders.shop/"])  # from a namespace that is no pod's

Kinds that do something: Deployment, StatefulSet, Pod, Job, Service, ConfigMap, Secret, PersistentVolumeClaim. Others are kept and can
be read.
Objects are dicts as YAML has them; namespaces of Kubernetes are names only. All of it may be called from any thread.

What is shorter than in a real cluster, and can be set: `endpoint_delay`, how long kube-proxy takes to hear of endpoints; and
`volume_delay`, how long the kubelet takes to hear of a changed ConfigMap or Secret (up to 90 s in a real one).
"""

import contextlib
import copy
import heapq
import itertools
import os
import shutil
import threading
import time
import uuid

import yaml

import controllers
import kubelet
import names
import netns
import objects
import outside
import runtime

OWNERS = ("Deployment", "StatefulSet", "Job")
def missing():
    """What this machine lacks to have a cluster; None if nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "nft", "nsenter", "unshare", runtime.PYTHON):
        if not shutil.which(program):
            return f"there is no {program}"
    try:
        netns.Network().close()
    except OSError as error:
        return f"no network namespaces: {error}"
    return None


class Node:
    """What a kubelet needs of its cluster."""

    name, address = "node-1", netns.NODE

    def __init__(self, cluster):
        self.cluster, self.network, self.runtime = cluster, cluster.network, cluster.runtime

    def find(self, kind, namespace, name):
        with self.cluster.lock:
            return self.cluster.objects.get((kind, namespace, name))

    def services(self, namespace):
        with self.cluster.lock:
            return [o for (kind, ns, _), o in self.cluster.objects.items() if kind == "Service" and ns == namespace]

    def claim(self, namespace, name):
        if self.find("PersistentVolumeClaim", namespace, name) is None:
            return None
        return self.runtime.make_folder("claims", namespace, name)

    def on_change(self, _):
        self.cluster.look()


class Cluster:
    """`version`: what it says of itself (a chart's Capabilities). `namespace`: of objects that name none. `shunt`: the folder of the
    shunt and shuntctl that images have. Needs root: see missing(), which says what this machine lacks."""

    def __init__(self, namespace="default", version="1.30.0", endpoint_delay=0.5, volume_delay=0.5, shunt=runtime.BUILD):
        self.namespace, self.version = namespace, version
        self.endpoint_delay, self.volume_delay = endpoint_delay, volume_delay
        self.lock, self.changed, self.due = threading.RLock(), threading.Condition(), threading.Event()
        self.objects, self.kubelets = {}, []
        self.led, self.later, self.order = None, [], itertools.count()
        self.resolved = {}  # name: addresses
        self.closed = False
        self.fault = None
        self.stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self.runtime = runtime.Runtime()
            stack.callback(self.runtime.close)
            self.network = netns.Network()
            stack.callback(self.network.close)
            self.names = names.Names(self.network, lambda name: self.resolved.get(name))
            stack.callback(self.names.close)
            self.node = Node(self)
            self.client = outside.Client(self.network, self.runtime.folder, "client", namespace)
            self.runtime.images["shunt"] = self.runtime.images["images.example.org/shunt"] = runtime.default_image(self.runtime, shunt)
            self.controller = threading.Thread(target=self._control, name="controller", daemon=True)
            self.controller.start()
            self.stack = stack.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends every pod at once and removes namespaces, cgroups and folders. May be called twice."""
        if self.closed:
            return
        self.closed = True
        self.look()
        self.controller.join(30)
        for pod in self.kubelets:
            pod.kill()
        for pod in self.kubelets:
            pod.gone.wait(30)
        self.stack.close()

    def image(self, repository, image):
        """What a container of this image (its name without the tag) runs in: a runtime.Image. `shunt` and
        `images.example.org/shunt` are known from the start; a pod of an image nobody knows waits with ErrImagePull."""
        self.runtime.images[repository] = image

    def application(self, **env):
        """An image of application.py; `env` is its environment (see there)."""
        binds = {"/opt/application.py": os.path.join(runtime.HERE, "application.py")}
        return runtime.host_image(self.runtime.make_folder("images", f"application-{next(self.order)}"), binds,
                                  (runtime.PYTHON, "-I", "-S", "/opt/application.py"), env)

    # ------------------------------------------------------------------------------------------------------------- objects

    def apply(self, manifest, namespace=None):
        """Creates or changes objects, in the order of the text; Invalid before any of them is touched. Returns a list of
        (kind, name, what): what is created, configured or unchanged. Objects with metadata.generateName get a name. Hooks of helm
        (annotation helm.sh/hook) are left to who applies."""
        given = list(yaml.safe_load_all(manifest)) if isinstance(manifest, str) else manifest
        given = [copy.deepcopy(o) for o in given if o is not None]
        with self.lock:
            for o in given:
                objects.complete(o, namespace or self.namespace)
                objects.admit(o, self.objects.get(objects.key(o)))
            done = [(o["kind"], o["metadata"]["name"], self._put(o)) for o in given]
        self.look()
        return done

    def _put(self, o):
        key = objects.key(o)
        old = self.objects.get(key)
        if o["kind"] == "Service":
            headless = (o["spec"].get("clusterIP") == "None")
            o["spec"]["clusterIP"] = "None" if headless else old["spec"]["clusterIP"] if old else self.network.service()
        if o["kind"] == "Deployment" and old:
            o["spec"].setdefault("replicas", old["spec"].get("replicas", 1))
        kept = old["metadata"] if old else {"uid": str(uuid.uuid4()), "creationTimestamp": time.time(), "generation": 0}
        o["metadata"].update({key: kept[key] for key in ("uid", "creationTimestamp", "generation")})
        if old == o:
            return "unchanged"
        if old is None or old.get("spec") != o.get("spec"):
            o["metadata"]["generation"] += 1
        self.objects[key] = o
        if o["kind"] in ("ConfigMap", "Secret") and old:
            self._after(self.volume_delay, lambda: self._refresh(key[1]))
        if o["kind"] == "Pod" and old is None:
            self._run(o)
        return "configured" if old else "created"

    def patch(self, kind, name, change, namespace=None):
        """change(object) edits a copy, which is applied. For `kubectl edit`, `set`, `scale`."""
        with self.lock:
            o = copy.deepcopy(self._object(kind, name, namespace))
            change(o)
            return self.apply([o])

    def delete(self, kind, name, namespace=None, wait=True, grace=None):
        """With what it owns (a Deployment's pods). `wait`: until the pods are gone. `grace`: seconds in place of the pod's own."""
        with self.lock:
            o = self._object(kind, name, namespace)
            pods = self._owned(o) if o["kind"] != "Pod" else [p for p in self.kubelets if p.object is o]
            if o["kind"] != "Pod" or all(p.gone.is_set() for p in pods):
                del self.objects[objects.key(o)]
        for pod in pods:
            pod.end(grace)
        self.look()
        if wait:
            self.wait(lambda: not any(p in self.kubelets for p in pods), f"{kind} {name} to be gone",
                      30 + max([p.grace for p in pods], default=0))

    def _object(self, kind, name, namespace):
        kind = objects.kind_of(kind)
        found = self.objects.get((kind, namespace or self.namespace, name))
        if found is None:
            raise objects.NotFound(f'Error from server (NotFound): {kind.lower()}s "{name}" not found')
        return found

    def get(self, kind, name, namespace=None):
        """A copy of the object, with its status as the API has it; NotFound. Kinds are written as in `kind:` or as kubectl takes them;
        for Pods, status has phase, podIP, conditions (Ready), containerStatuses and initContainerStatuses (ready, started,
        restartCount, state, lastState with exitCode and reason); for Deployments replicas, updatedReplicas, readyReplicas,
        availableReplicas; for Jobs active, succeeded, failed, conditions (Complete, Failed)."""
        with self.lock:
            return self._with_status(self._object(kind, name, namespace))

    def _with_status(self, o):
        made = copy.deepcopy(o)
        if o["kind"] == "Pod":
            (pod,) = [p for p in self.kubelets if p.object is o]
            made["status"] = pod.status()
            if pod.ending:
                made["metadata"]["deletionTimestamp"] = time.time()
        elif o["kind"] == "Deployment":
            made["status"] = controllers.deployment_status(o, self._owned(o))
        elif o["kind"] == "Job":
            made["status"] = controllers.job_status(o, self._owned(o))
        return made

    def list(self, kind, namespace=None, labels=None):
        """Copies of all of a kind in a namespace (None: the default one, "": every one), those with these labels."""
        kind, namespace = objects.kind_of(kind), self.namespace if namespace is None else namespace
        with self.lock:
            return [self._with_status(o) for (k, ns, _), o in self.objects.items() if k == kind and namespace in ("", ns)
                    and all((o["metadata"].get("labels") or {}).get(key) == value for key, value in (labels or {}).items())]

    # ------------------------------------------------------------------------------------------------------------- waiting

    def look(self):
        """Something has changed: controllers and those who wait look."""
        self.due.set()
        with self.changed:
            self.changed.notify_all()

    def wait(self, condition, what, timeout=60):
        """Until condition() is true: looked at whenever something changes. AssertionError with `what` (text or function), and with
        the pods and their logs."""
        end = time.monotonic() + timeout
        while True:
            if self.fault:
                raise AssertionError(f"the simulator itself: {self.fault}")
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"not within {timeout} s: {what() if callable(what) else what}\n{self.describe()}")
            with self.changed:
                self.changed.wait(0.05)

    def describe(self, lines=15):
        """The pods, what happened to them, and the last lines of each container, for a person."""
        told = []
        for pod in list(self.kubelets):
            told.append(f"pod {pod.name}: {pod.phase}{' ending' if pod.ending else ''}{' ready' if pod.serving else ''} {pod.why}")
            told += [f"  {at - pod.began:7.2f} {container:12} {what}" for at, container, what in pod.events[-40:]]
            for c in pod.containers:
                told.append(f"  log of {c.name}:")
                told += ["    " + line for line in pod.logs(c.name).splitlines()[-lines:]]
        return "\n".join(told)

    def rollout_status(self, name, namespace=None, timeout=60):
        """Until the Deployment `name` ("orders" or "deployment/orders") has all its pods new, available, and none of the old.
        AssertionError otherwise."""
        name = name.split("/")[-1]

        def left():
            with self.lock:
                o = self._object("Deployment", name, namespace)
                return controllers.rolled_out(o, self._owned(o))

        self.wait(lambda: left() is None, lambda: f"rollout of {name}: {left()}", timeout)

    def endpoints(self, name, namespace=None):
        """Where kube-proxy leads new connections to the Service now: [(address, port)] of its first port's endpoints."""
        with self.lock:
            spec = self._object("Service", name, namespace)["spec"]
        return self.network.services.get((spec["clusterIP"], spec["ports"][0]["port"]), [])

    def rollout_restart(self, name, namespace=None):
        """As kubectl: the annotation kubectl.kubernetes.io/restartedAt of the template."""
        def change(o):
            annotations = o["spec"]["template"]["metadata"].setdefault("annotations", {})
            annotations["kubectl.kubernetes.io/restartedAt"] = str(time.time())

        self.patch("Deployment", name.split("/")[-1], change, namespace)

    # ------------------------------------------------------------------------------------------------------------- pods

    def _owned(self, o):
        uid = o["metadata"]["uid"]
        return [p for p in self.kubelets if any(owner["uid"] == uid for owner in p.object["metadata"].get("ownerReferences") or [])]

    def pods(self, name=None, namespace=None):
        """The kubelet.Pods of a Deployment or Job ("orders", "deployment/orders"), or all; oldest first, those that end too."""
        with self.lock:
            if name is None:
                return [p for p in self.kubelets if p.namespace == (namespace or self.namespace)]
            for kind in [objects.kind_of(name.split("/")[0])] if "/" in name else OWNERS:
                with contextlib.suppress(objects.NotFound):
                    return self._owned(self._object(kind, name.split("/")[-1], namespace))
            raise objects.NotFound(f'Error from server (NotFound): deployments.apps "{name}" not found')

    def pod(self, name, namespace=None):
        """One kubelet.Pod: by its name, "pod/NAME", or the first ready one of "deployment/NAME", "deploy/NAME", "job/NAME",
        "service/NAME", "svc/NAME". NotFound."""
        kind, _, short = name.rpartition("/")
        kind = objects.kind_of(kind) if kind else "Pod"
        with self.lock:
            o = self._object(kind, short, namespace)
            if kind == "Pod":
                found = [p for p in self.kubelets if p.object is o]
            elif kind == "Service":
                found = [p for p in self.kubelets if p.namespace == o["metadata"]["namespace"]
                         and controllers.selects(o["spec"].get("selector"), p.object["metadata"].get("labels"))]
            else:
                found = self._owned(o)
            found = sorted(found, key=lambda p: (p.ending, not p.serving))
        if not found:
            raise objects.NotFound(f"error: no pods of {name}")
        return found[0]

    def exec(self, target, command, container=None, stdin=None, timeout=30, namespace=None):
        """As `kubectl exec`: in the container's namespaces, with its user and its cgroup. Returns a subprocess.CompletedProcess with
        bytes; its code is the command's. `target` as in pod(). KeyError of a container that is not, RuntimeError of one that does
        not run."""
        return self.pod(target, namespace).exec(command, container, stdin, timeout)

    def logs(self, target, container=None, previous=False, namespace=None):
        """What the container has written (both streams), as text; `previous`: the one before its last restart."""
        return self.pod(target, namespace).logs(container, previous)

    def forward(self, target, port, namespace=None):
        """As `kubectl port-forward`: a context that gives the number of a port on the host's loopback whose connections lead to that port
        of a pod, or of a Service's pod."""
        pod = self.pod(target, namespace)
        if target.split("/")[0] in ("service", "svc"):
            service = self.get("Service", target.split("/")[-1], namespace)
            (one,) = [p for p in service["spec"]["ports"] if p["port"] == port]
            port = controllers.target_port(one, pod.spec, self._version())
        return outside.forwarded(self.network, pod.netns, port)

    # ------------------------------------------------------------------------------------------------------------- control

    def _after(self, seconds, what):
        heapq.heappush(self.later, (time.monotonic() + seconds, next(self.order), what))

    def _control(self):
        try:
            while not self.closed:
                with self.lock:
                    self._reconcile()
                    now = time.monotonic()
                    ready = []
                    while self.later and self.later[0][0] <= now:
                        ready.append(heapq.heappop(self.later)[2])
                    pause = self.later[0][0] - now if self.later else None
                for what in ready:
                    what()
                if not ready:
                    self.due.wait(pause)
                self.due.clear()
        except Exception as error:  # pylint: disable=broad-except  # who waits hears of it
            self.fault = f"{type(error).__name__}: {error}"
            raise

    def _reconcile(self):
        for pod in [p for p in self.kubelets if p.gone.is_set() and p.ending]:  # deleted, and over
            self.kubelets.remove(pod)
            self.objects.pop(objects.key(pod.object), None)
        for o in list(self.objects.values()):
            if o["kind"] == "Deployment":
                make, end = controllers.rolling(o, self._owned(o))
                for _ in range(make):
                    self._make(objects.deployed(o))
                for pod in end:
                    pod.end()
            elif o["kind"] == "StatefulSet":
                make, end = controllers.ordinals(o, self._owned(o))
                for at in make:
                    self._make(*objects.numbered(o, at))
                for pod in end:
                    pod.end()
            elif o["kind"] == "Job":
                status = controllers.job_status(o, self._owned(o))
                if not status["active"] and not status["conditions"]:
                    self._make(objects.of_job(o))
        self._lead()

    def _make(self, pod, claims=()):
        """Claims are made once, and stay."""
        for claim in claims:
            if objects.key(claim) not in self.objects:
                self._put(claim)
        self.objects[objects.key(pod)] = pod
        self._run(pod)

    def _run(self, pod):
        made = kubelet.Pod(self.node, pod)
        self.kubelets.append(made)
        made.start()

    def _refresh(self, namespace):
        for pod in list(self.kubelets):
            if pod.namespace == namespace:
                pod.refresh_volumes()

    def _version(self):
        return tuple(int(part) for part in self.version.split(".")[:2])

    def _lead(self):
        """Endpoints as they are now reach kube-proxy and the name server after the delay."""
        led, resolved = {}, {}
        for (kind, namespace, name), service in self.objects.items():
            if kind != "Service":
                continue
            pods = [p for p in self.kubelets if p.namespace == namespace]
            found = controllers.endpoints(service, pods, self._version())
            address = service["spec"]["clusterIP"]
            full = f"{name}.{namespace}.{names.DOMAIN}"
            if address == "None":
                resolved[full] = sorted({a for each in found.values() for a, _ in each})
            else:
                resolved[full] = [address]
                led.update({(address, port): each for port, each in found.items()})
        if (led, resolved) == self.led:
            return
        known, self.led = self.led, (led, resolved)

        def reach():
            self.resolved = resolved
            self.network.lead(led)

        self._after(self.endpoint_delay if known else 0, reach)
