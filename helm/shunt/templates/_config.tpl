{{/*
shunt's file. `config` of the values is the plan; where the admin server and the state are follows from the chart.
*/}}

{{/*
A value as JSON for shunt's file: texts are rendered as templates, and what YAML 1.1 has made of `off` and `on` (a key, too)
is those words again, which shunt takes wherever it takes true and false.
*/}}
{{- define "shunt.plain" -}}
{{- $context := .context -}}
{{- $value := .value -}}
{{- if kindIs "map" $value -}}
{
{{- $comma := "" -}}
{{- range $key, $below := $value -}}
{{- $comma }}{{ eq $key "true" | ternary "on" $key | toJson }}:{{ include "shunt.plain" (dict "value" $below "context" $context) -}}
{{- $comma = "," -}}
{{- end -}}
}
{{- else if kindIs "slice" $value -}}
[
{{- range $at, $below := $value -}}
{{- if $at }},{{ end }}{{ include "shunt.plain" (dict "value" $below "context" $context) -}}
{{- end -}}
]
{{- else if kindIs "bool" $value -}}
{{- $value | ternary "on" "off" | toJson -}}
{{- else if and (kindIs "string" $value) (contains "{{" $value) -}}
{{- tpl $value $context | toJson -}}
{{- else -}}
{{- toJson $value -}}
{{- end -}}
{{- end -}}

{{/*
How long shunt serves on from where draining begins: as long as the application pauses, but not longer than shunt may take at all.
Nothing when that is no time.
*/}}
{{- define "shunt.drainMin" -}}
{{- $timeouts := .Values.config.timeouts | default dict -}}
{{- $drain := get $timeouts "drain" | default "30s" -}}
{{- if hasKey $timeouts "drain_min" -}}
{{- $timeouts.drain_min -}}
{{- else if int .Values.preStopSeconds -}}
{{- ge (int .Values.preStopSeconds) (include "shunt.seconds" $drain | int) | ternary $drain (printf "%ds" (int .Values.preStopSeconds)) -}}
{{- end -}}
{{- end -}}

{{/* Namespace and name, at most 64 characters: what is longer is told from others by a digest, lest two share one plan. */}}
{{- define "shunt.redisGroup" -}}
{{- $whole := printf "%s.%s" .Release.Namespace (include "shunt.fullname" .) -}}
{{- if le (len $whole) 64 -}}
{{- $whole -}}
{{- else -}}
{{- printf "%s-%s" (trunc 47 $whole) (sha256sum $whole | trunc 16) -}}
{{- end -}}
{{- end -}}

{{- define "shunt.config" -}}
{{- if not (get (.Values.config.backends | default dict) "legacy") -}}
{{- fail "config.backends.legacy is missing: say who answers today, such as: --set config.backends.legacy.url=http://orders:80" -}}
{{- end -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config "admin" (dict "address" (printf "%s:%d" .Values.admin.host (int .Values.admin.port)) "token_file" "/etc/shunt/admin/token") -}}
{{- $state := dict "directory" "/var/lib/shunt" -}}
{{- if include "shunt.hasRedis" . -}}
{{- $group := .Values.redis.group | default (include "shunt.redisGroup" .) -}}
{{- $redis := merge (dict "url" "${SHUNT_REDIS_URL}" "group" $group) (deepCopy (.Values.redis.options | default dict)) -}}
{{- if .Values.redis.passwordSecret -}}
{{- $_ := set $redis "password_file" "/etc/shunt/redis/password" -}}
{{- end -}}
{{- $_ := set $state "redis" $redis -}}
{{- end -}}
{{- $_ := set $config "state" $state -}}
{{- with include "shunt.drainMin" . -}}
{{- $_ := set $config "timeouts" (set ($config.timeouts | default dict) "drain_min" .) -}}
{{- end -}}
{{- include "shunt.plain" (dict "value" $config "context" .) | fromJson | toYaml -}}
{{- end -}}

{{/*
The ports clients connect to, as JSON: { "ports": [ { "name", "port" } ] }. A socket of the file system has none, and two addresses
may have one port.
*/}}
{{- define "shunt.ports" -}}
{{- $ports := list -}}
{{- $seen := list -}}
{{- range .Values.config.listeners -}}
{{- if not (hasPrefix "unix:" .address) -}}
{{- $port := regexFind "[0-9]+$" .address | int -}}
{{- if not $port -}}
{{- fail (printf "config.listeners: the address %s has no port; expected HOST:PORT, with a port that a Service can name" .address) -}}
{{- end -}}
{{- if eq $port (int $.Values.admin.port) -}}
{{- fail (printf "config.listeners: port %d is admin.port too; choose another for one of them" $port) -}}
{{- end -}}
{{- if not (has $port $seen) -}}
{{- $seen = append $seen $port -}}
{{- $name := len $ports | eq 0 | ternary "shunt" (printf "shunt-%d" (len $ports)) -}}
{{- $ports = append $ports (dict "name" $name "port" $port) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- dict "ports" $ports | toJson -}}
{{- end -}}

{{/*
Where a Service leads clients: the first listener's port. By its number, as Services know names of a native sidecar's ports from
Kubernetes 1.32 on only, and before that lead nowhere.
*/}}
{{- define "shunt.targetPort" -}}
{{- (first (include "shunt.ports" . | fromJson).ports).port | int -}}
{{- end -}}

{{/* A duration of shunt's file in whole seconds, rounded up. */}}
{{- define "shunt.seconds" -}}
{{- $ms := 0 -}}
{{- range regexFindAll "[0-9]+(d|h|ms|m|s)" . -1 -}}
{{- $number := regexFind "^[0-9]+" . | int -}}
{{- $unit := trimPrefix (regexFind "^[0-9]+" .) . -}}
{{- $ms = add $ms (mul $number (get (dict "d" 86400000 "h" 3600000 "m" 60000 "s" 1000 "ms" 1) $unit)) -}}
{{- end -}}
{{- div (add $ms 999) 1000 -}}
{{- end -}}

{{/* What a pod with shunt has to end in: the pause, the drain time, and what saving the state may take. */}}
{{- define "shunt.terminationGracePeriodSeconds" -}}
{{- if kindIs "string" .Values.terminationGracePeriodSeconds -}}
{{- $drain := get (.Values.config.timeouts | default dict) "drain" | default "30s" -}}
{{- add (int .Values.preStopSeconds) (include "shunt.seconds" $drain | int) 10 -}}
{{- else -}}
{{- int .Values.terminationGracePeriodSeconds -}}
{{- end -}}
{{- end -}}

{{/* The whole ConfigMap. */}}
{{- define "shunt.configmap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "shunt.fullname" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
  labels:
    {{- include "shunt.labels" . | nindent 4 }}
data:
  shunt.yaml: |
    {{- include "shunt.config" . | nindent 4 }}
{{- end -}}
