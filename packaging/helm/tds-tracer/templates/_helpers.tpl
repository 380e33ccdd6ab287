{{- define "tds-tracer.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "tds-tracer.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "tds-tracer.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "tds-tracer.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "tds-tracer.serviceAccount" -}}
{{- default (include "tds-tracer.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "tds-tracer.selector" -}}
app.kubernetes.io/name: {{ include "tds-tracer.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tds-tracer.labels" -}}
{{ include "tds-tracer.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{- /* Who is answered: the node, or whoever reaches it. */ -}}
{{- define "tds-tracer.listener" -}}
{{- $address := .Values.metrics.serviceMonitor.enabled | ternary "0.0.0.0" "127.0.0.1" }}
{{- printf "%s:%d" $address (int .Values.metrics.port) }}
{{- end }}

{{- /* Directories of the node that hold names, by whose they are. */ -}}
{{- define "tds-tracer.runtimeFolder" -}}
{{- get (dict
  "containerd" "/run/containerd/io.containerd.runtime.v2.task"
  "k3s" "/run/k3s/containerd/io.containerd.runtime.v2.task"
  "microk8s" "/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task"
  "cri-o" "/var/lib/containers/storage/overlay-containers"
  "docker" "/var/lib/docker/containers") .Values.names.runtime }}
{{- end }}

{{- define "tds-tracer.probe" -}}
httpGet:
  # On the node's network: nobody else is answered there.
  host: 127.0.0.1
  path: {{ .path }}
  port: {{ .port }}
{{ toYaml .probe }}
{{- end }}
