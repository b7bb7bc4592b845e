{{- define "heddle.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" }}
{{- end }}

{{- define "heddle.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else if contains (include "heddle.name" .) .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "heddle.name" .) | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "heddle.selector" -}}
app.kubernetes.io/name: {{ include "heddle.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "heddle.labels" -}}
{{ include "heddle.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: heddle
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "heddle.serviceAccount" -}}
{{- default (ternary (include "heddle.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- /* The Service that leads sidecars to the leader, and its EndpointSlice. */ -}}
{{- define "heddle.configuration" -}}
{{- printf "%s-configuration" (include "heddle.fullname" . | trunc 49 | trimSuffix "-") }}
{{- end }}

{{- /* The Service of the webhook. */ -}}
{{- define "heddle.webhook" -}}
{{- printf "%s-webhook" (include "heddle.fullname" . | trunc 49 | trimSuffix "-") }}
{{- end }}

{{- /* The Secret with the certificate of both. */ -}}
{{- define "heddle.certificates" -}}
{{- printf "%s-certificates" (include "heddle.fullname" . | trunc 49 | trimSuffix "-") }}
{{- end }}

{{- /* An image reference: of a map with registry, repository and tag, and the tag to take when that is empty. */ -}}
{{- define "heddle.image" -}}
{{- with .image.registry }}{{ . | trimSuffix "/" }}/{{ end }}{{ .image.repository }}:{{ .image.tag | default .tag }}
{{- end }}

{{- /* What the operator does in the namespaces it looks after; nothing else is granted anywhere. */ -}}
{{- define "heddle.rules" -}}
- apiGroups: [heddle.dev]
  resources: [idlrepos, ssesubscriptions, wsroutes]
  verbs: [get, list, watch]
- apiGroups: [heddle.dev]
  resources: [idlrepos/status{{ if .Values.subscriptions.enabled }}, ssesubscriptions/status{{ end }}{{ if .Values.proxy.enabled }}, wsroutes/status{{ end }}]
  verbs: [patch]
{{- if .Values.subscriptions.enabled }}
# SseSubscriptions may ask IdlRepos to look.
- apiGroups: [heddle.dev]
  resources: [idlrepos]
  verbs: [patch]
{{- end }}
# Owner references with blockOwnerDeletion need this where that admission plugin is on.
- apiGroups: [heddle.dev]
  resources: [idlrepos/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch, create, delete]
# How a Job's pod ended, or why it does not start. Which pods WsRoutes select.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Whose namespace is left out by the webhook's selectors.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
# Credentials for asking the source, and whether those of WsRoutes can be used; watched so that a Secret that appears is
# acted on at once.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
# The Jobs' accounts.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [create, patch]
# Checkpoints of SseSubscriptions. Published descriptor sets, which are sent to the sidecars of transcoding routes and which data of SseSubscriptions is
# transcoded by; get is here to be granted to Jobs, too.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
# The right of each IdlRepo's Jobs to write to its own ConfigMaps. Nobody can grant more than they have.
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [create, patch, delete]
# What Heddle tells, and what keeps a Job from making its pod.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [list, create]
{{- end }}
