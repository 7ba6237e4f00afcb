{{- define "sluice.labels" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{- define "sluice.selector" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "sluice.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "sluice.decisionHost" -}}
{{ .Release.Name }}-decision.{{ .Release.Namespace }}.svc
{{- end }}

{{/* Names in certificates: both sides ask for the other's. */}}
{{- define "sluice.mountSan" -}}
mount.{{ .Release.Name }}.{{ .Release.Namespace }}
{{- end }}

{{- define "sluice.pull" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A container without privilege, as Pod Security restricted wants it. */}}
{{- define "sluice.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* The configuration of the driver (docs/kubernetes.md). */}}
{{- define "sluice.driverConfig" -}}
{{- $policies := dict -}}
{{- range $name, $_ := .Values.driver.policies -}}
{{- $_ := set $policies $name (printf "/etc/sluice/policies/%s.yaml" $name) -}}
{{- end -}}
{{- $decisions := deepCopy .Values.driver.decisions -}}
{{- if .Values.decision.enabled -}}
{{- $host := include "sluice.decisionHost" . -}}
{{- $_ := set $decisions "central" (dict "target" (printf "dns:///%s:50051" $host) "ca" "/certificates/ca.crt" "cert" "/certificates/tls.crt" "key" "/certificates/tls.key" "serverSan" (printf "DNS:%s" $host)) -}}
{{- end -}}
{{- dict "roots" .Values.driver.roots "sources" .Values.driver.sources "policies" $policies "decisions" $decisions "ephemeral" .Values.driver.ephemeral | toYaml -}}
{{- end }}
