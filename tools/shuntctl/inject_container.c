/*
 * What is put into a pod: the container, its volumes, the ConfigMap. The same as in
 * helm/examples/kustomize/sidecar.yaml and, but for what the chart has more, as in helm/shunt/templates/_container.tpl;
 * tests/helm/test_inject.py compares.
 */
#include <string.h>

#include "tools/shuntctl/inject.h"

/* With ' for ". */
static const char container_text[] =
    "{'name': 'shunt', 'image': '', 'restartPolicy': 'Always',"
    " 'command': ['shunt'], 'args': ['--config', '/etc/shunt/config/shunt.yaml'],"
    " 'env': [{'name': 'POD_NAME', 'valueFrom': {'fieldRef': {'fieldPath': 'metadata.name'}}},"
    "         {'name': 'SHUNT_TOKEN_FILE', 'value': '/etc/shunt/admin/token'}],"
    " 'ports': [{'name': 'shunt', 'containerPort': 0}, {'name': 'shunt-admin', 'containerPort': 0}],"
    " 'startupProbe': {'httpGet': {'path': '/readyz', 'port': 'shunt-admin'}, 'periodSeconds': 1, 'failureThreshold': "
    "60},"
    " 'readinessProbe': {'httpGet': {'path': '/readyz', 'port': 'shunt-admin'}, 'periodSeconds': 2, "
    "'failureThreshold': 2},"
    " 'livenessProbe': {'httpGet': {'path': '/healthz', 'port': 'shunt-admin'}, 'periodSeconds': 10},"
    " 'lifecycle': {'preStop': {'exec': {'command': ['shuntctl', 'drain']}}},"
    " 'securityContext': {'runAsNonRoot': true, 'runAsUser': 65532, 'runAsGroup': 65532, 'readOnlyRootFilesystem': "
    "true,"
    "                     'allowPrivilegeEscalation': false, 'capabilities': {'drop': ['ALL']},"
    "                     'seccompProfile': {'type': 'RuntimeDefault'}},"
    " 'resources': {'requests': {'cpu': '100m', 'memory': '64Mi'}, 'limits': {'memory': '256Mi'}},"
    " 'volumeMounts': [{'name': 'shunt-config', 'mountPath': '/etc/shunt/config', 'readOnly': true},"
    "                  {'name': 'shunt-admin', 'mountPath': '/etc/shunt/admin', 'readOnly': true},"
    "                  {'name': 'shunt-state', 'mountPath': '/var/lib/shunt'}]}";

static json_t *read_text(const char *text)
{
    char json[sizeof(container_text)];
    size_t length = strlen(text);
    for (size_t i = 0; i <= length; i++)
        json[i] = text[i] == '\'' ? '"' : text[i];
    return json_loads(json, 0, NULL);
}

static int set_port(json_t *container, size_t at, unsigned port)
{
    return json_object_set_new(json_array_get(json_object_get(container, "ports"), at), "containerPort",
                               json_integer(port));
}

/* For the shuntctl in it. */
static int name_admin(json_t *container, unsigned port)
{
    json_t *address = json_sprintf("127.0.0.1:%u", port);
    return json_array_append_new(json_object_get(container, "env"),
                                 json_pack("{s:s, s:o}", "name", "SHUNT_ADMIN", "value", address));
}

json_t *inject_container(const struct inject *inject, const struct inject_plan *plan)
{
    json_t *container = read_text(container_text);
    int bad = json_object_set_new(container, "image", json_string(inject->options.image));
    bad |= set_port(container, 0, plan->port) | set_port(container, 1, plan->admin_port);
    if (inject->options.classic)
        bad |= json_object_del(container, "restartPolicy");
    if (inject->options.pre_stop_s == 0)
        bad |= json_object_del(container, "lifecycle");
    if (plan->admin_port != INJECT_ADMIN_PORT)
        bad |= name_admin(container, plan->admin_port);
    if (bad == 0)
        return container;
    json_decref(container);
    return NULL;
}

json_t *inject_volumes(const char *configmap, const char *token_secret)
{
    return json_pack("[{s:s, s:{s:s}}, {s:s, s:{s:s}}, {s:s, s:{s:s}}]", "name", "shunt-config", "configMap", "name",
                     configmap, "name", "shunt-admin", "secret", "secretName", token_secret, "name", "shunt-state",
                     "emptyDir", "sizeLimit", "256Mi");
}

json_t *inject_configmap(const struct inject_object *object, const char *name, const char *text)
{
    json_t *about = json_pack("{s:s, s:s*, s:{s:s}}", "name", name, "namespace", object->namespace, "annotations",
                              INJECT_ANNOTATION, object->id);
    return json_pack("{s:s, s:s, s:o, s:{s:s}}", "apiVersion", "v1", "kind", "ConfigMap", "metadata", about, "data",
                     "shunt.yaml", text);
}
