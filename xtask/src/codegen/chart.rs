//! A definition as a template of the chart: helm never upgrades what lies in a chart's `crds/`, so ours is a
//! template, switched by `crds.enabled` and kept on uninstall by `crds.keep`.

use anyhow::{Context, Result};

/// The template for a definition's YAML.
pub(super) fn template(yaml: &str) -> Result<String> {
    // What is documentation to us would be a template to helm.
    let escaped = yaml.replace("{{", r#"{{ "{{" }}"#);
    let (head, tail) = escaped
        .split_once("metadata:\n")
        .context("failed to find metadata in a definition")?;
    let metadata = "metadata:
  annotations:
    {{- if .Values.crds.keep }}
    helm.sh/resource-policy: keep
    {{- end }}
    {{- with .Values.crds.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include \"heddle.labels\" . | nindent 4 }}
";
    Ok(format!(
        "{{{{- if .Values.crds.enabled }}}}\n{head}{metadata}{tail}{{{{- end }}}}\n"
    ))
}
