"""A cluster of one node, without Kubernetes: objects are applied, and what controllers, kubelet and kube-proxy make of them happens
to real processes in real namespaces. Everything lives as long as the Cluster, and close() leaves nothing behind.

    with Cluster() as cluster:
        cluster.image("images.example.org/orders", application.image("orders", version="1"))
        cluster.apply(chart.render(...))                         # a manifest's text, or a list of objects
        cluster.rollout_status("deployment/orders", timeout=60)
        cluster.exec("deployment/orders", ["shuntctl", "status"], container="shunt")
        cluster.client.run(["curl", "-s", "http://orders.shop/"])  # from a namespace that is no pod's

Kinds that do something: Deployment, Pod, Job, Service, ConfigMap, Secret, PersistentVolumeClaim. Others are kept and can be read.
Objects are dicts as YAML has them; namespaces of Kubernetes are names only. All of it may be called from any thread.

What is shorter than in a real cluster, and can be set: `endpoint_delay`, how long kube-proxy takes to hear of endpoints; and
`volume_delay`, how long the kubelet takes to hear of a changed ConfigMap or Secret (up to 90 s in a real one).
"""


class NotFound(Exception):
    """Error from server (NotFound): as kubectl says it."""


class Invalid(Exception):
    """The API server would refuse the object."""


class Cluster:
    """`version`: what it says of itself (a chart's Capabilities). `namespace`: of objects that name none. Needs root: see
    missing(), which says what this machine lacks."""

    def __init__(self, namespace="default", version="1.30.0", endpoint_delay=0.5, volume_delay=0.5):
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends every pod at once and removes namespaces, cgroups and folders. May be called twice."""

    def image(self, repository, image):
        """What a container of this image (its name without the tag) runs in: a runtime.Image. `shunt` and
        `images.example.org/shunt` are known from the start; a pod of an image nobody knows waits with ErrImagePull."""

    # ------------------------------------------------------------------------------------------------------------- objects

    def apply(self, manifest, namespace=None):
        """Creates or changes objects, in the order of the text; Invalid before any of them is touched. Returns a list of
        (kind, name, what): what is created, configured or unchanged. Objects with metadata.generateName get a name. Hooks of helm
        (annotation helm.sh/hook) are left to who applies."""

    def patch(self, kind, name, change, namespace=None):
        """change(object) edits a copy, which is applied. For `kubectl edit`, `set`, `scale`."""

    def delete(self, kind, name, namespace=None, wait=True, grace=None):
        """With what it owns (a Deployment's pods). `wait`: until the pods are gone. `grace`: seconds in place of the pod's own."""

    def get(self, kind, name, namespace=None):
        """A copy of the object, with its status as the API has it; NotFound. Kinds are written as in `kind:`; for Pods, status has
        phase, podIP, conditions (Ready), containerStatuses and initContainerStatuses (ready, started, restartCount, state,
        lastState with exitCode and reason); for Deployments replicas, updatedReplicas, readyReplicas, availableReplicas; for
        Jobs active, succeeded, failed, conditions (Complete, Failed)."""

    def list(self, kind, namespace=None, labels=None):
        """Copies of all of a kind in a namespace (None: the default one, "": every one), those with these labels."""

    # ------------------------------------------------------------------------------------------------------------- waiting

    def wait(self, condition, what, timeout=60):
        """Until condition() is true: looked at whenever something changes. AssertionError with `what` (text or function), and with
        the pods and their logs."""

    def rollout_status(self, name, namespace=None, timeout=60):
        """Until the Deployment `name` ("orders" or "deployment/orders") has all its pods new, available, and none of the old.
        AssertionError otherwise."""

    def rollout_restart(self, name, namespace=None):
        """As kubectl: the annotation kubectl.kubernetes.io/restartedAt of the template."""

    # ------------------------------------------------------------------------------------------------------------- pods

    def pods(self, name=None, namespace=None):
        """The kubelet.Pods of a Deployment or Job ("orders", "deployment/orders"), or all; oldest first, those that end too."""

    def pod(self, name, namespace=None):
        """One kubelet.Pod: by its name, "pod/NAME", or the first ready one of "deployment/NAME", "deploy/NAME", "job/NAME",
        "service/NAME", "svc/NAME". NotFound."""

    def exec(self, target, command, container=None, stdin=None, timeout=30, namespace=None):
        """As `kubectl exec`: in the container's namespaces, with its user and its cgroup. Returns a subprocess.CompletedProcess with
        bytes; its code is the command's. `target` as in pod()."""

    def logs(self, target, container=None, previous=False, namespace=None):
        """What the container has written (both streams), as text; `previous`: the one before its last restart."""

    def forward(self, target, port, namespace=None):
        """As `kubectl port-forward`: a port on the host's loopback (returned: a context manager that gives its number) whose
        connections lead to that port of a pod or Service."""
