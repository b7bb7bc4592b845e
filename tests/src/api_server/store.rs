//! Reaches behind the API into etcd, to store what the API would refuse: an object from before a change of the schema.

use super::ApiServer;
use crate::http;
use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

impl ApiServer {
    /// Changes the stored form of an IdlRepo.
    ///
    /// # Errors
    /// It is not there, or etcd does not answer.
    pub async fn edit_stored(
        &self,
        namespace: &str,
        name: &str,
        edit: impl FnOnce(&mut Value),
    ) -> Result<()> {
        let key = STANDARD.encode(format!("/registry/heddle.dev/idlrepos/{namespace}/{name}"));
        let found = self.etcd("range", &json!({ "key": key })).await?;
        let value = found
            .pointer("/kvs/0/value")
            .and_then(Value::as_str)
            .context("failed to find the object")?;
        let mut object: Value = serde_json::from_slice(&STANDARD.decode(value)?)?;
        edit(&mut object);
        let value = STANDARD.encode(serde_json::to_vec(&object)?);
        self.etcd("put", &json!({ "key": key, "value": value }))
            .await
            .map(drop)
    }

    /// etcd's gateway from JSON (<https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/>).
    async fn etcd(&self, call: &str, request: &Value) -> Result<Value> {
        let path = format!("/v3/kv/{call}");
        let answer = http::request("POST", self.etcd_port, &path, &request.to_string()).await?;
        serde_json::from_str(&answer.body)
            .with_context(|| format!("failed to read etcd's answer: {}", answer.body))
    }
}
