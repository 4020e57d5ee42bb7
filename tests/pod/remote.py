"""A cluster that programs can talk to: what bin/kubectl and bin/helm are to the simulated one, as a kubeconfig is to a real one.

    with Cluster(...) as cluster, remote.served(cluster) as environment:
        subprocess.run(["kubectl", "apply", "-f", "deployment.yaml"], env={**os.environ, **environment})
"""

import contextlib
import os
import shutil
import sys
import tempfile
import threading
from multiprocessing.managers import BaseManager

HERE = os.path.dirname(os.path.abspath(__file__))
ADDRESS = "SHUNT_TEST_CLUSTER"  # a unix socket
KEY = b"simulated"
ROLLOUT = 180  # seconds that a rollout, or a pod of a test, may take


class Answers:
    """What the programs may ask of a cluster."""

    def __init__(self, cluster, apis):
        self.cluster, self.known_apis = cluster, apis

    def version(self):
        return self.cluster.version

    def apis(self):
        """What others have added: "monitoring.coreos.com/v1/PodMonitor"."""
        return self.known_apis

    def apply(self, objects, namespace):
        return self.cluster.apply(objects, namespace)

    def delete(self, kind, name, namespace):
        self.cluster.delete(kind, name, namespace)

    def get(self, kind, name, namespace):
        return self.cluster.get(kind, name, namespace)

    def list(self, kind, namespace, labels=None):
        return self.cluster.list(kind, namespace, labels)

    def rollout_status(self, name, namespace):
        self.cluster.rollout_status(name, namespace, timeout=ROLLOUT)

    def exec(self, target, command, container, namespace):
        """(code, standard output, standard error)"""
        done = self.cluster.exec(target, command, container=container, namespace=namespace, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def logs(self, target, namespace):
        return self.cluster.logs(target, namespace=namespace)

    def phase_at_the_end(self, pod, namespace):
        """Succeeded or Failed, of a pod that ends by itself."""
        def phase():
            return self.cluster.get("Pod", pod, namespace).get("status", {}).get("phase")
        self.cluster.wait(lambda: phase() in ("Succeeded", "Failed"), f"the end of pod {pod}", timeout=ROLLOUT)
        return phase()


class Manager(BaseManager):
    pass


@contextlib.contextmanager
def served(cluster, apis=()):
    """The environment in which `kubectl` and `helm` act on this cluster, as long as the context lasts."""
    folder = tempfile.mkdtemp(prefix="cluster.")
    address = os.path.join(folder, "socket")
    answers = Answers(cluster, apis)

    class Serving(BaseManager):
        pass
    Serving.register("cluster", callable=lambda: answers)
    server = Serving(address=address, authkey=KEY).get_server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {ADDRESS: address, "PATH": os.path.join(HERE, "bin") + ":" + os.environ["PATH"]}
    finally:
        server.stop_event.set()
        server.listener.close()
        shutil.rmtree(folder, ignore_errors=True)


def connect():
    """The cluster of this environment: an Answers, asked from here."""
    if ADDRESS not in os.environ:
        sys.exit(f"{os.path.basename(sys.argv[0])} (simulated): no cluster: {ADDRESS} names none")
    Manager.register("cluster")
    manager = Manager(address=os.environ[ADDRESS], authkey=KEY)
    manager.connect()
    return manager.cluster()
