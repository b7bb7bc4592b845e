//! Which addresses may be connected to: the guard against requests forged through user-given URLs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Where clouds answer whoever runs on one of their machines, credentials included, besides 169.254.169.254.
const METADATA: [IpAddr; 5] = [
    // Alibaba Cloud.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Azure's WireServer.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // Oracle Cloud, first generation.
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    // Amazon's over IPv6.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    // Google's over IPv6.
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Networks that no remote may be on. Checked on the very address that is connected to, after name resolution, so
/// that a name which resolves differently the second time gains nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressPolicy {
    denied: Vec<IpNet>,
}

impl AddressPolicy {
    /// Denies exactly `denied`; use [`AddressPolicy::default`] and [`AddressPolicy::and_deny`] to add to the default.
    #[must_use]
    pub fn denying(denied: Vec<IpNet>) -> Self {
        Self { denied }
    }

    /// Also denies `networks`, such as a cluster's service network or a cloud's metadata service.
    #[must_use]
    pub fn and_deny(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.denied.extend(networks);
        self
    }

    /// The networks denied.
    #[must_use]
    pub fn denied(&self) -> &[IpNet] {
        &self.denied
    }

    /// Whether `address` may be connected to. IPv4 addresses inside IPv6 ones (mapped, or through NAT64's well-known
    /// prefix of RFC 6052) are judged as the IPv4 addresses they reach.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        let reached = reached(address);
        !self
            .denied
            .iter()
            .any(|network| network.contains(&address) || network.contains(&reached))
    }
}

impl Default for AddressPolicy {
    /// Denies loopback, link-local (where most clouds have their metadata service), unspecified ("this host"), multicast and
    /// broadcast addresses, and metadata services that are elsewhere. Other private addresses are permitted: servers inside
    /// a company or a cluster live there.
    fn default() -> Self {
        let networks = [
            v4([0, 0, 0, 0], 8),
            v4([127, 0, 0, 0], 8),
            v4([169, 254, 0, 0], 16),
            v4([224, 0, 0, 0], 4),
            v4([255, 255, 255, 255], 32),
            v6(Ipv6Addr::UNSPECIFIED, 128),
            v6(Ipv6Addr::LOCALHOST, 128),
            v6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
            v6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
        ];
        Self::denying(networks.to_vec()).and_deny(METADATA.map(IpNet::from))
    }
}

fn v4(octets: [u8; 4], prefix: u8) -> IpNet {
    Ipv4Net::new_assert(Ipv4Addr::from(octets), prefix).into()
}

fn v6(address: Ipv6Addr, prefix: u8) -> IpNet {
    Ipv6Net::new_assert(address, prefix).into()
}

fn reached(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => match address.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
            }
            _ => IpAddr::V6(address).to_canonical(),
        },
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_denies_addresses_of_this_host_and_of_metadata_services() {
        let policy = AddressPolicy::default();
        for denied in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
            "fd20:ce::254",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
        ] {
            assert!(!policy.permits(denied.parse().unwrap()), "{denied}");
        }
        for permitted in [
            "10.0.0.1",
            "100.64.0.1",
            "192.168.1.1",
            "203.0.113.7",
            "fd00::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(policy.permits(permitted.parse().unwrap()), "{permitted}");
        }
    }

    #[test]
    fn more_networks_can_be_denied() {
        let policy = AddressPolicy::default().and_deny(["10.96.0.0/12".parse().unwrap()]);
        assert!(!policy.permits("10.96.0.1".parse().unwrap()));
        assert!(policy.permits("10.0.0.1".parse().unwrap()));
    }
}
