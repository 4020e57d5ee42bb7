"""The chart as helm would install it: values judged by their schema, templates rendered by tests/helm/render."""

import contextlib
import fcntl
import json
import os
import re
import subprocess
import tempfile

import jsonschema

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("SHUNT_BUILD", os.path.join(TOP, "build/asan"))
CHART = os.path.join(TOP, "helm/shunt")
EXAMPLES = os.path.join(TOP, "helm/examples")
RENDERER = os.path.join(BUILD, "helm/render")
MONITORS = ("monitoring.coreos.com/v1", "monitoring.coreos.com/v1/PodMonitor")


class Refused(Exception):
    """What helm would say instead of installing."""


def build():
    """Compiles the renderer where it is older than its source, from Debian's Go packages and no network."""
    source = os.path.join(TOP, "tests/helm/render")
    os.makedirs(os.path.dirname(RENDERER), exist_ok=True)
    with open(RENDERER + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        newest = max(os.path.getmtime(os.path.join(source, name)) for name in os.listdir(source))
        if os.path.exists(RENDERER) and os.path.getmtime(RENDERER) > newest:
            return
        environment = {**os.environ, "GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOFLAGS": "-p=2", "CGO_ENABLED": "0",
                       "GOCACHE": os.path.join(BUILD, "helm/go-cache")}
        subprocess.run(["go", "build", "-o", RENDERER, "."], cwd=source, env=environment, check=True, timeout=500)


def run(*words):
    done = subprocess.run([RENDERER, *words], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise Refused(done.stderr.strip())
    return done.stdout


@contextlib.contextmanager
def options(values, files=(), kube="1.30.0", apis=(), objects=None, name="orders", namespace="shop"):
    """The words for the renderer; `values` is a map that is laid on the files."""
    words = ["-name", name, "-namespace", namespace, "-kube-version", kube]
    for api in apis:
        words += ["-api", api]
    for file in files:
        words += ["-values", file]
    folder = tempfile.mkdtemp(prefix="values.", dir=os.path.dirname(RENDERER))
    try:
        for content, option in ((values, "-values"), (objects, "-objects")):
            if content:
                path = os.path.join(folder, option[1:])
                with open(path, "w", encoding="utf-8") as f:
                    f.write(content if isinstance(content, str) else json.dumps(content))  # a text stays a text: Go's YAML reads more as numbers than Python's
                words += [option, path]
        yield words
    finally:
        for left in os.listdir(folder):
            os.unlink(os.path.join(folder, left))
        os.rmdir(folder)


def told(error):
    """A refusal as helm puts it: the key's path, then what is wrong."""
    return f"{'.'.join(str(step) for step in error.absolute_path) or '(root)'}: {error.message}"


def judge(words, chart):
    """Each chart's values against its own schema."""
    wrong = []
    for folder, values in json.loads(run("-chart", chart, *words, "-show", "values")).items():
        path = os.path.join(folder, "values.schema.json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                wrong += [told(e) for e in jsonschema.Draft7Validator(json.load(f)).iter_errors(values)]
    if wrong:
        raise Refused("\n".join(sorted(wrong)))


def render(values=None, chart=CHART, notes=False, upgrade=False, **more):
    """The manifests as text; Refused where helm would refuse."""
    with options(values, **more) as words:
        judge(words, chart)
        return run("-chart", chart, *words, *(["-notes"] if notes else []), *(["-upgrade"] if upgrade else []))


def without_chance(text):
    """A rendered text without what is another one each time: the token."""
    return re.sub(r'(?m)^  token: ".*"$', "  token: TOKEN", text)


def laid(under, over):
    """A patch laid on an object, as kustomize does: lists of things with names by the name, of ports by the port."""
    if isinstance(under, dict) and isinstance(over, dict):
        return {**under, **{key: laid(under.get(key), value) for key, value in over.items()}}
    if isinstance(under, list) and isinstance(over, list):
        key = next((k for k in ("port", "name") if all(isinstance(item, dict) and k in item for item in over)), None)
        if key:
            known = {item[key]: item for item in under}
            for item in over:
                known[item[key]] = laid(known.get(item[key]), item)
            return list(known.values())
    return over
