//! The address of the endpoint, as a user writes it, and the sockets that it stands for.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs},
    str::FromStr,
};
use thiserror::Error;

/// Where to listen: `HOST:PORT` with a name or an address (all addresses of a name), `:PORT` (all addresses of this host) or
/// `PORT` (the loopback alone). Port 0 takes a free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// 127.0.0.1.
    Loopback,
    /// All addresses of this host.
    Any,
    /// A name or an address.
    Named(String),
}

/// Why the endpoint can't listen.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The name is not known.
    #[error("metrics can't be served on {listen}: {source}; another address: --metrics 127.0.0.1:PORT")]
    Resolve {
        /// What was asked for.
        listen: Listen,
        /// What the resolver said.
        source: io::Error,
    },
    /// An address is in use, or not one of this host's.
    #[error("metrics can't be served on {address}: {source}; another address: --metrics 127.0.0.1:PORT")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Loopback => write!(f, "127.0.0.1:{}", self.port),
            Host::Any => write!(f, ":{}", self.port),
            Host::Named(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Host::Named(host) => write!(f, "{host}:{}", self.port),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || {
            "a name or an address with a port, such as localhost:9464 or [::1]:9464; :9464 for all addresses of this \
             host; or a port of the loopback alone, such as 9464, or 0 for a free one"
                .to_owned()
        };
        let number = |port: &str| port.parse::<u16>().map_err(|_| wrong());
        let Some((host, port)) = s.rsplit_once(':') else {
            return Ok(Self { host: Host::Loopback, port: number(s)? });
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match (host, bracketed) {
            ("" | "*", _) => Host::Any,
            (_, Some(address)) => Host::Named(address.parse::<Ipv6Addr>().map_err(|_| wrong())?.to_string()),
            (name, None) if !name.contains([':', '[', ']', '/', ' ']) => Host::Named(name.to_owned()),
            _ => return Err(wrong()),
        };
        Ok(Self { host, port: number(port)? })
    }
}

impl Listen {
    /// Listens on every address that it stands for. Addresses of a protocol that this host does not have are left out, as
    /// long as one remains.
    ///
    /// # Errors
    /// If the name is not known, or an address is in use or not one of this host's.
    pub fn bind(&self) -> Result<Vec<TcpListener>, ListenError> {
        let mut listeners: Vec<TcpListener> = Vec::new();
        let mut missing = None;
        for mut address in self.addresses()? {
            // A free port is the same for all addresses.
            let taken = listeners.first().and_then(|first| first.local_addr().ok());
            address.set_port(taken.map_or(self.port, |taken| taken.port()));
            match TcpListener::bind(address) {
                Ok(listener) => listeners.push(listener),
                // [::] takes the addresses of IPv4, too, unless the system is set otherwise.
                Err(error)
                    if self.host == Host::Any && !listeners.is_empty() && error.kind() == ErrorKind::AddrInUse => {}
                Err(source) if is_missing(&source) => _ = missing.get_or_insert(ListenError::Bind { address, source }),
                Err(source) => return Err(ListenError::Bind { address, source }),
            }
        }
        match missing {
            Some(error) if listeners.is_empty() => Err(error),
            _ => Ok(listeners),
        }
    }

    fn addresses(&self) -> Result<Vec<SocketAddr>, ListenError> {
        let resolved = |source| ListenError::Resolve { listen: self.clone(), source };
        let mut addresses = match &self.host {
            Host::Loopback => vec![(Ipv4Addr::LOCALHOST, self.port).into()],
            Host::Any => vec![(Ipv6Addr::UNSPECIFIED, self.port).into(), (Ipv4Addr::UNSPECIFIED, self.port).into()],
            Host::Named(host) => {
                (host.as_str(), self.port).to_socket_addrs().map_err(resolved)?.collect::<Vec<SocketAddr>>()
            }
        };
        addresses.dedup();
        if addresses.is_empty() { Err(resolved(ErrorKind::NotFound.into())) } else { Ok(addresses) }
    }
}

/// Whether this host does not have an address, or not its protocol.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}
