"""One pod from its manifest, as a kubelet runs it: containers in their order, probes, restarts, and the end.

Who starts and who waits is KEP-753 (sidecar containers; keps.k8s.io/753): init containers one after the other; one with restartPolicy
Always is a sidecar, which must have *started* (its startup probe) before the next begins and is restarted whatever happens. How a pod
ends is kuberuntime's killContainersWithSyncResult() and killContainer() (pkg/kubelet/kuberuntime/kuberuntime_container.go and
kuberuntime_termination_order.go, from 1.29 on):

    all at once   every container's preStop hook, sidecars' too
    then          main containers get TERM; a sidecar gets it when all main containers and the sidecars after it have ended
    grace period  is counted from the beginning, for hooks and waiting too; who is left with less than 2 s has 2 s to its KILL

Restarts wait as a kubelet's do, in the order of its back-off and ten times shorter: at once, 1 s, 2 s, 4 s, ... 30 s.
"""

import os
import shutil
import subprocess
import threading
import time

import manifest
import names
import probes
import runtime
import volumes

MINIMUM_GRACE = 2  # seconds: minimumGracePeriodInSeconds
GRACE = 30  # a pod's default
RELIST = 1  # second after which it sees that a container has started: PLEG's relist period
BACKOFF = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


class Container:
    """One of a pod: `kind` is main, init or sidecar. What it is now, and the process that runs or ran last."""

    def __init__(self, pod, spec, kind):
        self.pod, self.spec, self.kind, self.name = pod, spec, kind, spec["name"]
        self.process = None
        self.last = None  # the process before it
        self.starts, self.due = 0, 0.0
        self.started = self.is_ready = self.killed = False
        self.waiting = ("ContainerCreating", "") if kind == "main" else ("PodInitializing", "")
        self.probers = []

    @property
    def runs(self):
        return self.process is not None and self.process.runs

    @property
    def ended(self):
        return self.process is not None and not self.process.runs

    @property
    def ready(self):
        return self.runs and self.started and self.is_ready

    @property
    def restarts(self):
        return max(0, self.starts - 1)

    # as a probe's target
    @property
    def address(self):
        return self.pod.address

    @property
    def container(self):
        return self.spec

    def make_socket(self):
        return self.pod.node.network.socket()

    def exec(self, command, timeout):
        return self.process.exec(command, timeout=timeout)

    def log_path(self, back=0):
        return os.path.join(self.pod.logs_folder, f"{self.name}-{self.starts - back}.log")

    def status(self):
        def state(process):
            if process is None:
                return {}
            if process.runs:
                return {"running": {"startedAt": process.began}}
            return {"terminated": {"exitCode": process.code, "reason": process.reason, "startedAt": process.began,
                                   "finishedAt": process.ended}}

        now = state(self.process)
        if not self.runs and self.waiting:
            now = {"waiting": {"reason": self.waiting[0], "message": self.waiting[1]}}
        before = self.last if self.runs or not self.waiting else self.process
        return {"name": self.name, "image": self.spec["image"], "ready": self.ready if self.kind != "init" else self.succeeded,
                "started": self.runs and self.started, "restartCount": self.restarts, "state": now, "lastState": state(before)}

    @property
    def succeeded(self):
        return self.ended and self.process.code == 0


class Order:
    """Who may get TERM when: kuberuntime_termination_order.go."""

    def __init__(self, containers):
        self.over = {c.name: threading.Event() for c in containers}
        mains = [c.name for c in containers if c.kind != "sidecar"]
        sidecars = [c.name for c in containers if c.kind == "sidecar"]
        self.before = {name: [] for name in mains}
        self.before.update({name: mains + sidecars[at + 1 :] for at, name in enumerate(sidecars)})

    def wait(self, name, seconds):
        """Until it is its turn, or the time is over; returns the seconds it took."""
        began = time.monotonic()
        for other in self.before[name]:
            self.over[other].wait(max(0, seconds - (time.monotonic() - began)))
        return time.monotonic() - began


class Pod:
    """`object`: a Pod as the API has it, with name, namespace and uid. `node`: has network, runtime, name, address,
    find(kind, namespace, name), services(namespace), claim(namespace, name), on_change(pod) and on_gone(pod)."""

    def __init__(self, node, pod):
        self.node, self.object, self.spec = node, pod, pod["spec"]
        self.name, self.namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        self.folder = node.runtime.make_folder("pods", self.name)
        self.logs_folder = node.runtime.make_folder("logs", self.name)
        init = self.spec.get("initContainers") or []
        self.init = [Container(self, c, "sidecar" if c.get("restartPolicy") == "Always" else "init") for c in init]
        self.main = [Container(self, c, "main") for c in self.spec["containers"]]
        self.volumes = volumes.Volumes(self.spec, node.runtime.make_folder("pods", self.name, "volumes"),
                                       lambda kind, name: node.find(kind, self.namespace, name),
                                       lambda name: node.claim(self.namespace, name))
        self.netns = self.address = None
        self.policy = self.spec.get("restartPolicy", "Always")
        self.phase, self.why = "Pending", ""
        self.initialized = self.ending = self.over = False
        self.grace = self.spec.get("terminationGracePeriodSeconds", GRACE)
        self.began, self.events = time.monotonic(), []
        self.wake, self.gone = threading.Event(), threading.Event()
        self.relist = None  # when it will be seen that a container has started
        self.lock = threading.RLock()
        self.volumes_lock = threading.Lock()
        self.thread = threading.Thread(target=self._work, name=f"pod {self.name}", daemon=True)

    # ---------------------------------------------------------------------------------------------------------- to be asked

    @property
    def containers(self):
        return [*self.init, *self.main]

    @property
    def serving(self):
        """The condition Ready, that it ends or not: all main containers and all sidecars are ready."""
        return self.phase == "Running" and all(c.ready for c in self.containers if c.kind != "init")

    @property
    def is_ready(self):
        """Of an endpoint: a pod that ends is none any more."""
        return self.serving and not self.ending

    @property
    def template_hash(self):
        labels = self.object["metadata"].get("labels", {})
        return labels.get("pod-template-hash", labels.get("controller-revision-hash"))

    @property
    def ordinal(self):
        """Of a StatefulSet's pod."""
        return int(self.object["metadata"]["labels"]["apps.kubernetes.io/pod-index"])

    def container(self, name=None):
        """By name; the first main one by default, as kubectl chooses."""
        for c in self.containers if name else self.main:
            if name in (None, c.name):
                return c
        raise KeyError(f"container {name} is not valid for pod {self.name}")

    def status(self):
        ready = {"type": "Ready", "status": "True" if self.serving else "False"}
        begun = {"type": "Initialized", "status": "True" if self.initialized else "False"}
        return {"phase": self.phase, "message": self.why, "podIP": self.address, "conditions": [begun, ready],
                "initContainerStatuses": [c.status() for c in self.init], "containerStatuses": [c.status() for c in self.main]}

    def exec(self, command, container=None, stdin=None, timeout=30):
        c = self.container(container)
        if not c.runs:
            raise RuntimeError(f"container {c.name} of pod {self.name} does not run")
        return c.process.exec(command, stdin, timeout)

    def logs(self, container=None, previous=False):
        try:
            with open(self.container(container).log_path(1 if previous else 0), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def note(self, what, container=None):
        self.events.append((time.monotonic(), container.name if container else "", what))

    def happened(self, what, container=""):
        """When it did, first; None if it did not."""
        return next((at for at, name, text in self.events if name == container and text == what), None)

    # ---------------------------------------------------------------------------------------------------------- to be told

    def start(self):
        self.thread.start()

    def end(self, grace=None):
        """Begins its end; `gone` is set when it is over."""
        with self.lock:
            if grace is not None:
                self.grace = grace
            if not self.ending:
                self.ending = True
                self.note("Killing")
        for prober in [p for c in self.containers for p in c.probers if p.thread.name != "readiness"]:
            prober.stop()  # StopLivenessAndStartup()
        self._changed()

    def kill(self):
        """Everything at once, as when a node dies."""
        with self.lock:
            self.ending, self.grace = True, 0
        for c in self.containers:
            if c.runs:
                c.process.kill(9)
        self.wake.set()

    def refresh_volumes(self):
        """The kubelet has heard that a ConfigMap or a Secret has changed."""
        with self.volumes_lock:
            if not self.over and self.netns:
                try:
                    if self.volumes.refresh():
                        self.note("SwappedVolumes")
                except volumes.Missing as error:
                    self.note(str(error))
        self.wake.set()

    # ------------------------------------------------------------------------------------------------------------ its life

    def _changed(self):
        self.wake.set()
        self.node.on_change(self)

    def _work(self):
        try:
            while not self.ending and not self._sync():
                self.wake.wait(self._pause())
                self.wake.clear()
            self._terminate()
        except Exception as error:  # pylint: disable=broad-except  # a fault of this kubelet must be seen in the pod's status
            self.phase, self.why = "Failed", f"{type(error).__name__}: {error}"
            self.note(self.why)
            self.kill()
        finally:
            self._clean()

    def _pause(self):
        """Until something is due: a restart, a look at what has started, or an object that was missing."""
        due = [c.due for c in self.containers if not c.runs and c.due] + ([self.relist] if self.relist else [])
        return max(0.01, min(due) - time.monotonic()) if due else 0.25 if self.phase == "Pending" else None

    def _sync(self):
        """One look at what is to be done, as computePodActions(). True when the pod has done its work."""
        if self.relist and time.monotonic() >= self.relist:
            self.relist = None
            self._ask_the_unready()
        if self.netns is None and not self._prepare():
            return False
        for c in self.init:
            if c.kind == "sidecar":
                self._keep_running(c)
                if not c.started and not self.initialized:
                    return False
            elif not self.initialized and not c.succeeded:
                if c.ended and self.policy == "Never":
                    self.phase = "Failed"
                    return True
                self._keep_running(c)
                return False
        if not self.initialized:
            self.initialized = True
            self.note("Initialized")
        for c in self.main:
            if c.process is None or (c.ended and self._restarts(c)):
                self._keep_running(c)
        if self.phase == "Pending" and all(c.process for c in self.main):
            self.phase = "Running"
            self._changed()
        if all(c.ended and not self._restarts(c) for c in self.main):
            return True
        return False

    def _restarts(self, c):
        return self.policy == "Always" or (self.policy == "OnFailure" and c.process.code != 0)

    def _prepare(self):
        """Volumes, network, what a pod's containers share. False: again later."""
        try:
            with self.volumes_lock:
                self.volumes.make()
                self.netns, self.address = self.node.network.add(self.name)
        except volumes.Missing as error:
            if self.why != str(error):
                self.why = str(error)
                self.note(self.why)
                self._changed()
            return False
        self.why = ""
        for name, text in (("hosts", f"127.0.0.1\tlocalhost\n{self.address}\t{self.name}\n"), ("hostname", self.name + "\n"),
                           ("resolv.conf", names.resolv_conf(self.namespace))):
            runtime.write(os.path.join(self.folder, name), text)
        self._changed()
        return True

    def _keep_running(self, c):
        if c.runs:
            return
        now = time.monotonic()
        if c.ended and not c.due:
            c.due = now + BACKOFF[min(c.restarts, len(BACKOFF) - 1)]
            if c.due > now:
                c.waiting = ("CrashLoopBackOff", f"back-off {c.due - now:.0f}s restarting failed container")
        if now < c.due:
            return
        try:
            self._start(c)
        except (manifest.ConfigError, runtime.StartError, KeyError) as error:
            reason = {manifest.ConfigError: "CreateContainerConfigError", KeyError: "ErrImagePull"}.get(type(error), "RunContainerError")
            c.due = time.monotonic() + 0.5
            if c.waiting != (reason, str(error)):
                c.waiting = (reason, str(error))
                self.note(f"{reason}: {error}", c)
            self._changed()

    def _start(self, c):
        image = self.node.runtime.image(c.spec["image"])
        env = manifest.environment(self, c.spec, image)
        argv = manifest.command_line(c.spec, image, env)
        user = manifest.user(self.spec, c.spec, image)
        mounts = [{"source": os.path.join(self.folder, name), "target": "/etc/" + name, "readonly": False}
                  for name in ("hosts", "hostname", "resolv.conf")]
        security = c.spec.get("securityContext") or {}
        c.starts += 1
        spec = {"netns": self.netns, "argv": argv, "env": env, "mounts": mounts + self.volumes.mounts(c.spec), "user": user,
                "readonly": bool(security.get("readOnlyRootFilesystem")), "cwd": c.spec.get("workingDir", "/"), "log": c.log_path()}
        limits = (c.spec.get("resources") or {}).get("limits") or {}
        c.last, c.killed, c.started, c.is_ready = c.process, False, "startupProbe" not in c.spec, "readinessProbe" not in c.spec
        try:
            with self.lock:
                if self.ending:
                    return
                c.process = self.node.runtime.start(self.name, c.name, image, spec, limits,
                                                     lambda process: self._on_exit(c, process))
        except runtime.StartError:
            c.starts -= 1
            raise
        c.waiting, c.due, self.relist = None, 0.0, time.monotonic() + RELIST
        self.note("Started", c)
        if c.spec.get("startupProbe"):
            self._probe(c, "startup", c.process)
        else:
            self._on_started(c, c.process)
        self._changed()

    def _on_exit(self, c, process):
        for prober in c.probers:
            prober.stop()
        c.probers = []
        self.note(f"Exited {process.code} {process.reason}", c)
        self._changed()

    # -------------------------------------------------------------------------------------------------------------- probes

    def _probe(self, c, kind, process):
        initially = {"startup": None, "readiness": False, "liveness": True}[kind]

        def on_result(succeeded, why):
            if c.process is not process or not process.runs:
                return
            if kind == "readiness":
                c.is_ready = succeeded
                self.note("Ready" if succeeded else "NotReady", c)
                self._changed()
                self._ask_the_unready(c)
            elif succeeded:
                prober.stop()
                self._on_started(c, process)
                self._changed()
            else:
                self._restart_unhealthy(c, f"{kind.capitalize()} probe failed: {why}")

        prober = probes.Prober(kind, c.spec[kind + "Probe"], c, on_result, initially)
        c.probers.append(prober)
        prober.start()

    def _ask_the_unready(self, but=None):
        """Each look at the pod asks those that have started and are not ready whether they are now."""
        for c in self.containers:
            if c is not but and c.runs and c.started and not c.is_ready:
                for prober in [p for p in c.probers if p.thread.name == "readiness"]:
                    prober.ask_now()

    def _on_started(self, c, process):
        c.started = True
        if c.spec.get("startupProbe"):
            self.note("StartedUp", c)
        for kind in ("readiness", "liveness"):
            if c.spec.get(kind + "Probe") and not (self.ending and kind == "liveness"):
                self._probe(c, kind, process)

    def _restart_unhealthy(self, c, why):
        with self.lock:
            if self.ending or c.killed:
                return
            c.killed = True
        self.note(f"Unhealthy: {why}", c)
        threading.Thread(target=self._kill, args=(c, self.grace), name=f"kill {c.name}", daemon=True).start()

    # ------------------------------------------------------------------------------------------------------------- the end

    def _pre_stop(self, c, grace):
        """executePreStopHook(): the seconds it took, whole ones."""
        hook, began = c.spec["lifecycle"]["preStop"], time.monotonic()
        self.note("PreStop", c)
        try:
            if "exec" in hook:
                done = c.process.exec(hook["exec"]["command"], timeout=grace)
                if done.returncode != 0:
                    self.note(f"FailedPreStopHook: {done.returncode}: {(done.stdout + done.stderr).decode(errors='replace')}", c)
            elif "sleep" in hook:
                c.process.wait(min(grace, hook["sleep"]["seconds"]))
            elif "httpGet" in hook:
                asked = hook["httpGet"]
                address = (asked.get("host") or self.address, probes.port_number(asked["port"], c.spec))
                probes.http_get(c.make_socket, address, asked.get("path", "/"), grace)
        except (subprocess.TimeoutExpired, OSError) as error:
            self.note(f"FailedPreStopHook: {error}", c)
        self.note("PreStopped", c)
        return int(time.monotonic() - began)

    def _kill(self, c, grace, order=None):
        """killContainer()."""
        process = c.process
        if (c.spec.get("lifecycle") or {}).get("preStop") and grace > 0:
            grace -= self._pre_stop(c, grace)
        if order and grace > 0:
            grace -= int(order.wait(c.name, grace))
        if process.runs:
            self.note("Term", c)
        if not process.stop(max(grace, MINIMUM_GRACE) if self.grace else 0):
            self.note("Kill", c)
        if order:
            order.over[c.name].set()

    def _terminate(self):
        """killContainersWithSyncResult(); also when a Job's main containers have ended and sidecars are left."""
        running = [c for c in self.containers if c.runs]
        order = Order(running) if any(c.kind == "sidecar" for c in self.init) else None
        threads = [threading.Thread(target=self._kill, args=(c, self.grace, order), name=f"kill {c.name}", daemon=True) for c in running]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if not self.phase == "Failed" and not all(c.process is None or c.succeeded for c in self.main):
            self.phase = "Failed"
        elif self.initialized and self.phase != "Failed":
            self.phase = "Succeeded"

    def _clean(self):
        for prober in [p for c in self.containers for p in c.probers]:
            prober.stop()
        with self.volumes_lock:
            self.over = True
            try:
                if self.netns:
                    self.node.network.remove(self.netns)
            finally:
                shutil.rmtree(self.folder, ignore_errors=True)
                self.note("Over")
                self.gone.set()
        self.node.on_change(self)
