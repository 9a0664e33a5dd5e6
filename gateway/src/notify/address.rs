//! Which addresses may be connected to.
//!
//! Owns: what is not a public address, and the operator's exceptions. Pure.
//! Leaves to others: resolving names ([`super::webhook`]).
//! Always: an IPv6 address that stands for one of IPv4 is judged as that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

/// Which addresses may be connected to: public ones, and what the operator allows besides.
#[derive(Clone, Debug, Default)]
pub struct Allowed(Vec<IpNet>);

impl Allowed {
    /// Public addresses and those in `networks`; one of IPv6 that stands for one of IPv4 is that.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into_iter().map(plain_network).collect())
    }

    /// Whether `address` may be connected to.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = plain(address);
        is_public(address) || self.0.iter().any(|network| network.contains(&address))
    }
}

/// An IPv6 address that stands for one of IPv4 as that.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let bytes = [g.to_be_bytes(), h.to_be_bytes()];
    let v4 = Ipv4Addr::new(bytes[0][0], bytes[0][1], bytes[1][0], bytes[1][1]);
    let is_mapped = [a, b, c, d, e] == [0; 5] && f == 0xffff;
    // NAT64, and addresses "compatible with IPv4" (`::1` and `::` are not among them).
    let is_nat64 = [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0];
    let is_compatible = [a, b, c, d, e, f] == [0; 6] && (g, h) != (0, 0) && (g, h) != (0, 1);
    match is_mapped || is_nat64 || is_compatible {
        true => IpAddr::V4(v4),
        false => address,
    }
}

/// A network of mapped addresses (`::ffff:…`) as that of IPv4. What else stands for addresses of
/// IPv4 is never meant by who allows a network of IPv6.
fn plain_network(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return network;
    };
    let (first, len) = (
        v6.network().to_ipv4_mapped(),
        v6.prefix_len().checked_sub(96),
    );
    let mapped = first.zip(len);
    let mapped = mapped.and_then(|(first, len)| Ipv4Net::new(first, len).ok());
    mapped.map_or(network, IpNet::V4)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = match (a, b, c) {
        // "This" network, carrier-grade NAT, IETF protocols, 6to4 relays, benchmarks; multicast and
        // reserved, broadcast included.
        (0, ..) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18 | 19, _) => true,
        (224.., ..) => true,
        _ => false,
    };
    !(is_special
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Of all that is given out, 2000::/3; without Teredo and other protocols, documentation, 6to4.
    let is_special = matches!((a, b), (0x2001, 0x0000..=0x01ff | 0x0db8) | (0x2002, _))
        || (a, b & 0xf000) == (0x3fff, 0);
    a & 0xe000 == 0x2000 && !is_special
}

#[cfg(test)]
mod tests {
    //! Facts about addresses.
    use super::*;

    #[test]
    fn only_public_addresses_may_be_connected_to() {
        let allowed = Allowed::default();
        for address in [
            "8.8.8.8",
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "2606:4700::1111",
        ] {
            assert!(allowed.allows(address.parse().unwrap()), "{address}");
        }
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.192",
            "198.18.0.1",
            "192.0.2.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b::a9fe:a9fe",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2001::1",
        ] {
            assert!(!allowed.allows(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn the_operator_makes_exceptions() {
        let networks = ["10.1.0.0/16", "fd00::/8"].map(|text| text.parse().unwrap());
        let allowed = Allowed::new(networks.to_vec());
        for (address, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("fd00::1", true),
            ("fe80::1", false),
        ] {
            assert_eq!(
                allowed.allows(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
    }

    #[test]
    fn an_exception_may_be_written_as_addresses_that_stand_for_those_of_ipv4() {
        let networks = [
            "::ffff:10.1.0.0/112",
            "64:ff9b::a02:0/112",
            "::ffff:10.3.0.1/128",
        ];
        let networks = networks.map(|text| text.parse().unwrap());
        let allowed = Allowed::new(networks.to_vec());
        for (address, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("64:ff9b::a02:1", false),
            ("10.3.0.1", true),
            ("10.3.0.2", false),
            ("::ffff:10.4.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(
                allowed.allows(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
        // What is more than those addresses stays what it is.
        let all = Allowed::new(vec!["::/0".parse().unwrap()]);
        assert!(all.allows("fd00::1".parse().unwrap()));
        assert!(!all.allows("::ffff:10.1.2.3".parse().unwrap()));
    }
}
