{{/* Name of an object of the stack: `kube-prometheus-stack-<part>`. Call with (dict "root" $ "part" "prometheus"). */}}
{{- define "stack.name" -}}
{{ .root.Release.Name }}-{{ .part }}
{{- end }}

{{/* Labels of every object of the stack. Call with (dict "root" $ "part" "prometheus"). */}}
{{- define "stack.labels" -}}
app: {{ .root.Chart.Name }}-{{ .part }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
heritage: {{ .root.Release.Service }}
release: {{ .root.Release.Name }}
{{- end }}

{{/* Name, namespace and labels of an object of the stack. Call with (dict "root" $ "part" "prometheus"). */}}
{{- define "stack.metadata" -}}
name: {{ include "stack.name" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "stack.labels" . | nindent 2 }}
{{- end }}

{{/* The same for an object that belongs to no namespace. */}}
{{- define "stack.clusterMetadata" -}}
name: {{ include "stack.name" . }}
labels:
  {{- include "stack.labels" . | nindent 2 }}
{{- end }}

{{/* The labels that pick the pods of kube-state-metrics or of the node exporter. Call with (dict "root" $ "name" ..). */}}
{{- define "exporter.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{/* Labels of their objects. */}}
{{- define "exporter.labels" -}}
{{ include "exporter.selector" . }}
app.kubernetes.io/component: metrics
app.kubernetes.io/part-of: {{ .name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
release: {{ .root.Release.Name }}
{{- end }}

{{/* A full image reference from registry, repository and tag. */}}
{{- define "stack.image" -}}
{{ printf "%s/%s:%s" .registry .repository (required "image.tag is needed" .tag) }}
{{- end }}

{{/* What the `restricted` Pod Security level asks of a pod. Call with the user id. */}}
{{- define "stack.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What it asks of a container, and a root file system that cannot be written. */}}
{{- define "stack.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* An Ingress that leads to a part's Service. Call with (dict "root" $ "part" "prometheus" "ingress" .. "port" "http-web"). */}}
{{- define "stack.ingress" -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "stack.metadata" . | nindent 2 }}
spec:
  {{- with .ingress.ingressClassName }}
  ingressClassName: {{ . }}
  {{- end }}
  rules:
    {{- range .ingress.hosts }}
    - host: {{ . }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {{ include "stack.name" $ }}
                port:
                  name: {{ $.port }}
    {{- end }}
{{- end }}

{{/* What a part of the stack may be bound to: a ServiceAccount and a ClusterRoleBinding. Call with (dict "root" $ "part" ..). */}}
{{- define "stack.account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "stack.metadata" . | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  {{- include "stack.clusterMetadata" . | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ include "stack.name" . }}
subjects:
  - kind: ServiceAccount
    name: {{ include "stack.name" . }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}
