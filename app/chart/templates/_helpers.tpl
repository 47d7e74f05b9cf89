{{/* Labels of every object. Call with (dict "root" $ "component" "web"). */}}
{{- define "vars.labels" -}}
{{ include "vars.selector" . }}
app.kubernetes.io/part-of: vars
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* The labels that pick a component's pods; they never change, because a Deployment's selector cannot. */}}
{{- define "vars.selector" -}}
app.kubernetes.io/name: vars
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of a pod: those that pick it, and the whole it belongs to. */}}
{{- define "vars.podLabels" -}}
{{ include "vars.selector" . }}
app.kubernetes.io/part-of: vars
{{- end }}

{{/* Name and namespace, labels and annotations of an object. Call with (dict "root" $ "component" "web" "name" "web" "annotations" $a). */}}
{{- define "vars.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "vars.labels" . | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
The environment that holds a connection string. Call with (dict "root" $ "user" "vars_app" "key" "app-password").
The kubelet puts the password in: it is in the Secret and in the process, and in no manifest.
*/}}
{{- define "vars.databaseUrl" -}}
{{- $database := .root.Values.database -}}
- name: DATABASE_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $database.existingSecret }}
      key: {{ .key }}
- name: DATABASE_URL
  value: {{ printf "postgresql://%s:$(DATABASE_PASSWORD)@%s:%v/%s" .user $database.host $database.port $database.name | quote }}
{{- end }}

{{/* What the `restricted` Pod Security level asks of a pod. Call with the user id. */}}
{{- define "vars.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What it asks of a container, and a root file system that cannot be written. */}}
{{- define "vars.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end }}

{{/* An init container that runs a command of the migrations and ends. Call with (dict "root" $ "name" .. "image" .. "command" (list ..) "user" .. "key" ..). */}}
{{- define "vars.waitContainer" -}}
- name: {{ .name }}
  image: {{ .image }}
  imagePullPolicy: {{ .root.Values.images.pullPolicy }}
  command:
    {{- toYaml .command | nindent 4 }}
  env:
    {{- include "vars.databaseUrl" . | nindent 4 }}
  resources:
    {{- toYaml .root.Values.services.migrations.resources | nindent 4 }}
  securityContext:
    {{- include "vars.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
{{- end }}

{{/* The tag of a full image reference, or its digest's first letters, as part of a name. */}}
{{- define "vars.tag" -}}
{{- $last := regexFind "[^/]+$" . -}}
{{- $tag := regexFind "[:@][^:@]+$" $last | trimPrefix ":" | trimPrefix "@" | default "latest" -}}
{{- $tag | lower | replace "_" "-" | replace "." "-" | trunc 30 | trimSuffix "-" -}}
{{- end }}

{{/* A probe that asks PostgreSQL whether it takes connections. */}}
{{- define "vars.databaseProbe" -}}
exec:
  command:
    - pg_isready
    - --host=127.0.0.1
    - --username=postgres
    - --quiet
{{- end }}

{{/* The commands that wait for the database to answer, and for the schema this image knows. */}}
{{- define "vars.waitCommand" -}}
[python, -m, app.migrate, wait, --timeout, {{ .Values.services.waitSeconds | quote }}]
{{- end }}

{{- define "vars.waitSchemaCommand" -}}
[python, -m, app.migrate, wait, --schema, --timeout, {{ .Values.services.waitSeconds | quote }}]
{{- end }}
