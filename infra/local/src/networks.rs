//! The networks that this machine is in: which of its addresses a phone can call, and who is near enough for the page.

use std::net::{IpAddr, SocketAddr};

/// An address of this machine, and how many of its first bits the whole network shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub address: IpAddr,
    pub prefix: u8,
}

impl Network {
    fn contains(self, other: IpAddr) -> bool {
        let shared = |one: u128, other: u128, bits: u8| (one ^ other).checked_shr(u32::from(bits)).unwrap_or(0) == 0;
        match (self.address, other) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                shared(one.to_bits().into(), other.to_bits().into(), 32_u8.saturating_sub(self.prefix))
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => {
                shared(one.to_bits(), other.to_bits(), 128_u8.saturating_sub(self.prefix))
            }
            _ => false,
        }
    }
}

/// The networks of the machine, loopback aside.
#[derive(Clone, Debug, Default)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// As they are at this moment. None if the system does not tell.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default().into_iter();
        let networks = interfaces.filter(|interface| !interface.is_loopback()).map(|interface| match interface.addr {
            if_addrs::IfAddr::V4(v4) => Network { address: v4.ip.into(), prefix: v4.prefixlen },
            if_addrs::IfAddr::V6(v6) => Network { address: v6.ip.into(), prefix: v6.prefixlen },
        });
        networks.collect()
    }

    /// Whether the address is this machine's own, or a neighbour's.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_loopback() || self.0.iter().any(|network| network.contains(address))
    }

    /// The addresses, loopback aside, at which a server is reached that listens on this one.
    #[must_use]
    pub fn reaching(&self, listen: SocketAddr) -> Vec<SocketAddr> {
        let is_served = |address: IpAddr| match listen.ip() {
            IpAddr::V4(all) if all.is_unspecified() => address.is_ipv4(),
            // On most systems it stands for both kinds. A link-local address leads nowhere without the name of an interface.
            IpAddr::V6(all) if all.is_unspecified() => {
                !matches!(address, IpAddr::V6(own) if own.is_unicast_link_local())
            }
            one => address == one,
        };
        let addresses = self.0.iter().map(|network| network.address).filter(|address| is_served(*address));
        addresses.map(|address| SocketAddr::new(address, listen.port())).collect()
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<T: IntoIterator<Item = Network>>(networks: T) -> Self {
        Self(networks.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks() -> Networks {
        let network = |address: &str, prefix| Network { address: address.parse().unwrap(), prefix };
        let all = [("192.168.1.7", 24), ("10.0.0.1", 32), ("fd00::7", 64), ("fe80::7", 64)];
        all.into_iter().map(|(address, prefix)| network(address, prefix)).collect()
    }

    #[test]
    fn neighbours_are_told_from_strangers() {
        for near in ["127.0.0.1", "::1", "192.168.1.7", "192.168.1.200", "10.0.0.1", "fd00::1:2", "::ffff:192.168.1.9"]
        {
            assert!(networks().contain(near.parse().unwrap()), "{near}");
        }
        for far in ["192.168.2.7", "10.0.0.2", "8.8.8.8", "fd01::7", "::ffff:8.8.8.8", "::"] {
            assert!(!networks().contain(far.parse().unwrap()), "{far}");
        }
        assert!(!Networks::default().contain("192.168.1.7".parse().unwrap()));
    }

    #[test]
    fn a_network_may_be_as_large_as_all_addresses_or_as_small_as_one() {
        let all = Network { address: "192.168.1.7".parse().unwrap(), prefix: 0 };

        assert!(all.contains("8.8.8.8".parse().unwrap()) && !all.contains("fd00::7".parse().unwrap()));
        assert!(Network { prefix: 0, address: "fd00::7".parse().unwrap() }.contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn a_server_is_reached_at_the_addresses_that_it_listens_on() {
        let reaching = |listen: &str| {
            let addresses = networks().reaching(listen.parse().unwrap());
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
        };

        assert_eq!(reaching("0.0.0.0:9000"), ["192.168.1.7:9000", "10.0.0.1:9000"]);
        assert_eq!(reaching("[::]:9000"), ["192.168.1.7:9000", "10.0.0.1:9000", "[fd00::7]:9000"]);
        assert_eq!(reaching("10.0.0.1:9000"), ["10.0.0.1:9000"]);
        assert_eq!(reaching("127.0.0.1:9000"), Vec::<String>::new());
    }
}
