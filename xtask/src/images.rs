//! `cargo xtask images`: what a registry gets.

use crate::binaries::Binaries;
use crate::system::product_images;
use crate::{prepare, root};
use anyhow::Result;
use heddle_e2e_cluster::{Progress, images};

/// Builds the images and says where they lie. Their tag is the version, as the chart expects.
pub(crate) fn run() -> Result<()> {
    let progress = Progress::new();
    prepare(&progress)?;
    let root = root();
    let binaries = Binaries::build_release(&root)?;
    let specs = product_images(&root, &binaries, |name| {
        format!("{name}:{}", env!("CARGO_PKG_VERSION"))
    })?;
    println!("Push them where your cluster pulls from, for example:");
    for archive in images::build(&progress, &specs)? {
        println!(
            "  skopeo copy docker-archive:{} docker://<your registry>/{}",
            archive.path.display(),
            archive.name
        );
    }
    Ok(())
}
