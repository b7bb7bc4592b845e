//! The last step of a run: the descriptor set in the cluster.

use super::{Progress, Run};
use crate::compile::Compiled;
use crate::failure::Failure;
use crate::publish::{Package, Publisher};
use crate::stop::blocking;
use heddle_git_remote::CommitId;
use tracing::Instrument;

impl Run {
    /// Publishes, if that is asked for. The code is delivered by now, so this is not stopped half-way.
    pub(super) async fn publish(
        &self,
        compiled: &Compiled,
        commit: CommitId,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let Some(folder) = &self.surroundings.api_folder else {
            return Ok(());
        };
        let span = tracing::info_span!("publish");
        async {
            let compiled = compiled.clone();
            let package = blocking(move || Package::new(&compiled.published_set(), commit)).await??;
            progress.descriptor_chunks = u32::try_from(package.chunk_count()).ok();
            let publisher =
                Publisher::in_cluster(folder, &self.request.namespace, &self.request.name).await?;
            let published = publisher.publish(&package).await?;
            tracing::info!(
                config_map = published.config_map,
                digest = published.digest,
                bytes = published.bytes,
                chunks = published.chunks,
                "published the descriptor set"
            );
            Ok(())
        }
        .instrument(span)
        .await
    }
}
