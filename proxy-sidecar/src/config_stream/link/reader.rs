//! Reads what the operator sends.

use super::{Arrived, LinkError, Received};
use heddle_crds::publication::{SET_BYTES_LIMIT, digest, uncompress};
use heddle_route_config::protocol::{Assembly, DescriptorsPart, LINE_BYTES_LIMIT, Lines, ToSidecar};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Makes configurations of what arrives.
#[derive(Debug)]
pub(super) struct Reader {
    lines: Lines,
    assembly: Assembly,
    sets: BTreeMap<String, Arc<[u8]>>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            lines: Lines::new(LINE_BYTES_LIMIT),
            assembly: Assembly::default(),
            sets: BTreeMap::new(),
        }
    }
}

impl Reader {
    /// The next configuration with the sets before it, or broadcast; nothing at the end. Can be dropped and called again without losing
    /// anything.
    pub(super) async fn next(&mut self, incoming: &mut Incoming) -> Result<Option<Arrived>, LinkError> {
        loop {
            match self.lines.next_line()? {
                Some(ToSidecar::Configuration(configuration)) => {
                    let sets = std::mem::take(&mut self.sets);
                    return Ok(Some(Arrived::Configuration(Received { configuration, sets })));
                }
                Some(ToSidecar::Broadcast(broadcast)) => return Ok(Some(Arrived::Broadcast(broadcast))),
                Some(ToSidecar::DescriptorsPart(part)) => self.add(&part)?,
                None => {
                    let Some(frame) = incoming.frame().await else {
                        return Ok(None);
                    };
                    let frame = frame.map_err(LinkError::Http)?;
                    if let Some(bytes) = frame.data_ref() {
                        self.lines.push(bytes);
                    }
                }
            }
        }
    }

    fn add(&mut self, part: &DescriptorsPart) -> Result<(), LinkError> {
        let Some(compressed) = self.assembly.add(part)? else {
            return Ok(());
        };
        let announced = usize::try_from(part.bytes).unwrap_or(SET_BYTES_LIMIT);
        let set = uncompress(&*compressed, announced.min(SET_BYTES_LIMIT))?;
        if digest(&set) != part.digest {
            return Err(LinkError::Digest);
        }
        self.sets.insert(part.digest.clone(), Arc::from(set));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_crds::publication::UncompressError;
    use heddle_route_config::protocol::parts;

    #[test]
    fn a_set_is_taken_only_if_it_is_the_one_that_was_announced() {
        let set = vec![7; 3_000_000];
        let compressed = zstd::encode_all(&*set, 3).unwrap();
        let add = |digest_: &str, bytes: u64| {
            let mut reader = Reader::default();
            for part in parts(digest_, bytes, &compressed) {
                reader.add(&part)?;
            }
            Ok::<_, LinkError>(reader.sets)
        };
        let right = digest(&set);
        let sets = add(&right, set.len() as u64).unwrap();
        assert_eq!(*sets[&right], *set);
        assert!(matches!(add("sha256:0", 3_000_000), Err(LinkError::Digest)));
        // One that is larger than it says is not read to its end.
        assert!(matches!(
            add(&right, 1000),
            Err(LinkError::Uncompress(UncompressError::Exceed { limit: 1000 }))
        ));
    }
}
