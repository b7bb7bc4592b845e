//! The cluster's name server.

/// CoreDNS with its account, configuration and Service.
pub(super) const MANIFEST: &str = include_str!("../../manifests/coredns.yaml");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::DNS_ADDRESS;

    #[test]
    fn the_service_has_the_address_that_pods_are_given() {
        assert!(MANIFEST.contains(&format!("clusterIP: {DNS_ADDRESS}\n")));
    }
}
