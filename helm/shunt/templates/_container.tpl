{{/*
The container and what it needs of its pod. A chart that has shunt beside its application includes
  shunt.initContainer   in initContainers   (a native sidecar; nothing where it is a classic one)
  shunt.container       in containers       (a classic one; nothing where it is native)
  shunt.volumes         in volumes
each with the scope of this chart, .Subcharts.shunt.
*/}}

{{- define "shunt.isNative" -}}
{{- if eq .Values.mode "sidecar" -}}
{{- if eq (toString .Values.sidecar.native) "auto" -}}
{{- if semverCompare ">=1.29.0-0" .Capabilities.KubeVersion.Version -}}yes{{- end -}}
{{- else if .Values.sidecar.native -}}
yes
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "shunt.initContainer" -}}
{{- if include "shunt.isNative" . -}}
{{- include "shunt.containerAlways" . -}}
{{- end -}}
{{- end -}}

{{- define "shunt.container" -}}
{{- if not (include "shunt.isNative" .) -}}
{{- include "shunt.containerAlways" . -}}
{{- end -}}
{{- end -}}

{{- define "shunt.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/*
The application's pause before its end, while the cluster learns that the pod goes. shunt's own container needs none: it is told to
drain, and serves on for config.timeouts.drain_min.
*/}}
{{- define "shunt.lifecycle" -}}
{{- if not .Values.preStopSeconds -}}
{}
{{- else if semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version -}}
preStop:
  sleep: { seconds: {{ int .Values.preStopSeconds }} }
{{- else -}}
preStop:
  exec:
    command: ["sleep", {{ .Values.preStopSeconds | toString | quote }}]
{{- end -}}
{{- end -}}

{{/* A probe's figures: dict "values" a probe of the values, "path" what is asked for. */}}
{{- define "shunt.probe" -}}
httpGet: { path: {{ .path }}, port: shunt-admin, scheme: HTTP }
{{- with .values }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "shunt.containerAlways" -}}
- name: shunt
  image: {{ include "shunt.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  {{- if include "shunt.isNative" . }}
  restartPolicy: Always
  {{- end }}
  command: ["shunt"]
  args: ["--config", "/etc/shunt/config/shunt.yaml"]
  env:
    - name: POD_NAME
      valueFrom: { fieldRef: { fieldPath: metadata.name } }
    - name: POD_NAMESPACE
      valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
    - name: NODE_NAME
      valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
    - name: SHUNT_ADMIN
      value: {{ printf "%s:%d" (eq .Values.admin.host "[::]" | ternary "[::1]" "127.0.0.1") (int .Values.admin.port) | quote }}
    - name: SHUNT_TOKEN_FILE
      value: /etc/shunt/admin/token
    {{- if include "shunt.hasRedis" . }}
    - name: SHUNT_REDIS_URL
      valueFrom: { secretKeyRef: { name: {{ include "shunt.redisSecret" . | quote }}, key: {{ include "shunt.redisKey" . | quote }} } }
    {{- end }}
    {{- with .Values.extraEnv }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
  ports:
    {{- range (include "shunt.ports" . | fromJson).ports }}
    - { name: {{ .name }}, containerPort: {{ .port }}, protocol: TCP }
    {{- end }}
    - { name: shunt-admin, containerPort: {{ int .Values.admin.port }}, protocol: TCP }
  startupProbe:
    {{- include "shunt.probe" (dict "values" .Values.probes.startup "path" "/readyz") | nindent 4 }}
  readinessProbe:
    {{- include "shunt.probe" (dict "values" .Values.probes.readiness "path" "/readyz") | nindent 4 }}
  livenessProbe:
    {{- include "shunt.probe" (dict "values" .Values.probes.liveness "path" "/healthz") | nindent 4 }}
  {{- if include "shunt.drainMin" . }}
  lifecycle:
    preStop:
      exec:
        command: ["shuntctl", "drain"]
  {{- end }}
  securityContext:
    {{- toYaml (.Values.securityContext | default dict) | nindent 4 }}
  resources:
    {{- toYaml (.Values.resources | default dict) | nindent 4 }}
  volumeMounts:
    - { name: shunt-config, mountPath: /etc/shunt/config, readOnly: true }
    - { name: shunt-admin, mountPath: /etc/shunt/admin, readOnly: true }
    - { name: shunt-state, mountPath: /var/lib/shunt }
    {{- if .Values.tls.secret }}
    - { name: shunt-tls, mountPath: /etc/shunt/tls, readOnly: true }
    {{- end }}
    {{- if .Values.redis.passwordSecret }}
    - { name: shunt-redis, mountPath: /etc/shunt/redis, readOnly: true }
    {{- end }}
    {{- with .Values.extraVolumeMounts }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Volumes are mounted as folders, so that the kubelet can swap what is in them under a running shunt. */}}
{{- define "shunt.volumes" -}}
- name: shunt-config
  configMap: { name: {{ include "shunt.fullname" . | quote }} }
- name: shunt-admin
  secret:
    secretName: {{ include "shunt.tokenSecret" . | quote }}
    items: [ { key: {{ include "shunt.tokenKey" . | quote }}, path: token } ]
{{- if not (include "shunt.ownVolumes" .) }}
- name: shunt-state
  {{- if .Values.state.persistent }}
  persistentVolumeClaim: { claimName: {{ include "shunt.claim" . | quote }} }
  {{- else }}
  emptyDir: {{ with .Values.state.sizeLimit }}{ sizeLimit: {{ . | quote }} }{{ else }}{}{{ end }}
  {{- end }}
{{- end }}
{{- if .Values.tls.secret }}
- name: shunt-tls
  secret: { secretName: {{ .Values.tls.secret | quote }} }
{{- end }}
{{- if .Values.redis.passwordSecret }}
- name: shunt-redis
  secret:
    secretName: {{ .Values.redis.passwordSecret | quote }}
    items: [ { key: {{ .Values.redis.passwordKey | quote }}, path: password } ]
{{- end }}
{{- with .Values.extraVolumes }}
{{ tpl (toYaml .) $ }}
{{- end }}
{{- end -}}
