{{/*
Names and labels. Every template takes the chart's own scope: `.` here, `.Subcharts.shunt` in a chart that depends on this one.
*/}}

{{- define "shunt.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- $name = .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- $name = .Release.Name -}}
{{- else -}}
{{- $name = printf "%s-%s" .Release.Name $name -}}
{{- end -}}
{{- regexReplaceAll "[-.]+$" (trunc 50 $name) "" -}}
{{- end -}}

{{/* The name, where a Service has it: that is one label of DNS, and begins with a letter. */}}
{{- define "shunt.serviceName" -}}
{{- $name := include "shunt.fullname" . -}}
{{- if not (regexMatch "^[a-z][-a-z0-9]*$" $name) -}}
{{- fail (printf "%s is no name of a Service, which begins with a letter and has letters, digits and dashes; set fullnameOverride" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* What selects the pods shunt is in. A sidecar's pods have the application's labels, and this one. */}}
{{- define "shunt.selectorLabels" -}}
{{- if eq .Values.mode "gateway" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- else -}}
shunt-sidecar: {{ include "shunt.fullname" . | quote }}
{{- end -}}
{{- end -}}

{{/* What selects the pod of `helm test`, which nothing else selects, and which a NetworkPolicy lets in. */}}
{{- define "shunt.testLabels" -}}
app.kubernetes.io/name: shunt-test
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* Labels of one's own, which must not take the place of those that select: dict "given" "taken" "key". */}}
{{- define "shunt.own" -}}
{{- range $label, $_ := .taken -}}
{{- if hasKey $.given $label -}}
{{- fail (printf "%s: %s is the chart's own, by which its objects find each other; leave it out" $.key $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "shunt.labels" -}}
{{- $selects := dict "app.kubernetes.io/name" (.Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-") "app.kubernetes.io/instance" .Release.Name -}}
{{- $tells := dict "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") "app.kubernetes.io/version" .Chart.AppVersion "app.kubernetes.io/managed-by" .Release.Service -}}
{{- include "shunt.own" (dict "given" (.Values.labels | default dict) "taken" $selects "key" "labels") -}}
{{- merge (deepCopy (.Values.labels | default dict)) $selects $tells | toYaml -}}
{{- end -}}

{{/* Labels that the pods shunt is in must have. */}}
{{- define "shunt.podLabels" -}}
{{- include "shunt.selectorLabels" . -}}
{{- end -}}

{{/* How metrics are found: `auto` decided. */}}
{{- define "shunt.scrape" -}}
{{- if ne .Values.monitoring.scrape "auto" -}}
{{- .Values.monitoring.scrape -}}
{{- else if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1/PodMonitor" -}}
podMonitor
{{- else -}}
annotations
{{- end -}}
{{- end -}}

{{/*
Annotations that the pods shunt is in should have. The first changes with what a running shunt does not take into use by itself,
so that the pods are replaced then, and only then.
*/}}
{{- define "shunt.podAnnotations" -}}
shunt/restart: {{ list .Values.config.workers .Values.redis | toJson | sha256sum | trunc 16 | quote }}
{{- if eq (include "shunt.scrape" .) "annotations" }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .Values.admin.port | toString | quote }}
prometheus.io/path: /metrics
{{- end }}
{{- end -}}

{{- define "shunt.tokenSecret" -}}
{{- .Values.admin.tokenSecret | default (printf "%s-admin" (include "shunt.fullname" .)) -}}
{{- end -}}

{{/* The keys in the two Secrets: the reader's in the reader's own, ours in those the chart makes. */}}
{{- define "shunt.tokenKey" -}}
{{- if .Values.admin.tokenSecret -}}{{- .Values.admin.tokenKey -}}{{- else -}}token{{- end -}}
{{- end -}}

{{- define "shunt.redisKey" -}}
{{- if .Values.redis.secret -}}{{- .Values.redis.key -}}{{- else -}}url{{- end -}}
{{- end -}}

{{- define "shunt.hasRedis" -}}
{{- if or .Values.redis.url .Values.redis.secret -}}yes{{- end -}}
{{- end -}}

{{- define "shunt.redisSecret" -}}
{{- .Values.redis.secret | default (printf "%s-redis" (include "shunt.fullname" .)) -}}
{{- end -}}

{{- define "shunt.claim" -}}
{{- .Values.state.claim | default (printf "%s-state" (include "shunt.fullname" .)) -}}
{{- end -}}

{{/* The gateway's pods have a volume each, which they keep: a StatefulSet. With one claim that exists, or none, a Deployment. */}}
{{- define "shunt.ownVolumes" -}}
{{- if and (eq .Values.mode "gateway") .Values.state.persistent (not .Values.state.claim) -}}yes{{- end -}}
{{- end -}}

{{- define "shunt.workload" -}}
{{- if include "shunt.ownVolumes" . -}}StatefulSet{{- else -}}Deployment{{- end -}}
{{- end -}}

{{- define "shunt.claimSpec" -}}
accessModes: [ReadWriteOnce]
{{- with .Values.state.storageClass }}
storageClassName: {{ . | quote }}
{{- end }}
resources:
  requests:
    storage: {{ .Values.state.size | quote }}
{{- end -}}
