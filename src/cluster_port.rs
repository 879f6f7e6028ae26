//! The gossip port of `watchbell alertmanager`.
//!
//! This version is a cluster of one. It holds its port all the same: no second process may believe that it is this
//! member, and who looks at the status finds the address there. Members that call are turned away at once, which they
//! take for a member that is not there; left unanswered, each of their calls would hang until its time is over.
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use alertmanager::ClusterMember;
use anyhow::{Context, bail};
use model::Timestamp;
use runtime::{Stop, Trouble};
use tokio::net::{TcpListener, UdpSocket};
use tracing::{info, warn};

use crate::alertmanager_flags::ClusterFlags;

/// The system chooses a port for TCP, and UDP may have it in use already.
const ATTEMPTS_MAX: usize = 16;
/// While the process may open no more files, trying again at once would only burn a processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// An address that is nobody's: asked for the way there, the system names our own. Nothing is sent.
const SOMEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);
/// Crockford's digits, of which a ULID is made.
const ULID_DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ULID_LENGTH: usize = 26;

#[derive(Debug)]
pub(crate) struct ClusterPort {
    stream: TcpListener,
    /// Held, so that nobody else has it.
    _packets: UdpSocket,
    pub(crate) member: ClusterMember,
}

impl ClusterPort {
    /// None where clustering is off.
    pub(crate) async fn bind(flags: &ClusterFlags, now: Timestamp) -> anyhow::Result<Option<Self>> {
        if flags.listen_address.is_empty() {
            return Ok(None);
        }
        let port = Self::open(flags, now)
            .await
            .context("unable to initialize gossip mesh")?;
        let ClusterMember { name, address } = &port.member;
        info!(name, %address, "holding the cluster's port");
        if !flags.peers.is_empty() {
            let peers = flags.peers.join(",");
            warn!(
                peers,
                "these members are not joined: this version is a cluster of one"
            );
        }
        Ok(Some(port))
    }

    async fn open(flags: &ClusterFlags, now: Timestamp) -> anyhow::Result<Self> {
        let (stream, packets) = listen(&flags.listen_address)
            .await
            .with_context(|| format!("cannot listen on {}", flags.listen_address))?;
        let bound = stream.local_addr()?;
        let address = if flags.advertise_address.is_empty() {
            reachable(bound).await
        } else {
            advertised(&flags.advertise_address, bound)?
        };
        let name = if flags.peer_name.is_empty() {
            ulid(now)
        } else {
            flags.peer_name.clone()
        };
        Ok(Self {
            stream,
            _packets: packets,
            member: ClusterMember { name, address },
        })
    }

    /// Turns everybody away until `stop`.
    pub(crate) async fn hold(self, mut stop: Stop) {
        let called = Trouble::new();
        loop {
            let caller = tokio::select! {
                caller = self.stream.accept() => caller,
                () = stop.stopped() => return,
            };
            match caller {
                Ok((_, peer)) => {
                    if let Some(left_out) = called.happened() {
                        warn!(%peer, left_out, "turned away: this version is a cluster of one");
                    }
                }
                Err(_) => {
                    tokio::select! {
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                        () = stop.stopped() => return,
                    }
                }
            }
        }
    }
}

/// TCP and UDP on one port.
async fn listen(address: &str) -> io::Result<(TcpListener, UdpSocket)> {
    let mut attempt = 1;
    loop {
        let stream = listen_stream(address).await?;
        let bound = stream.local_addr()?;
        match UdpSocket::bind(bound).await {
            Ok(packets) => return Ok((stream, packets)),
            Err(error) if !address.ends_with(":0") || attempt == ATTEMPTS_MAX => return Err(error),
            Err(_) => attempt += 1,
        }
    }
}

/// An empty host is every address of the machine.
async fn listen_stream(address: &str) -> io::Result<TcpListener> {
    let Some(port) = address.strip_prefix(':') else {
        return TcpListener::bind(address).await;
    };
    match TcpListener::bind(format!("[::]:{port}")).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(format!("0.0.0.0:{port}")).await
        }
        bound => bound,
    }
}

/// What is told where the port is open on every address: the one from which others are reached, if there is one.
async fn reachable(bound: SocketAddr) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    own_address()
        .await
        .map_or(bound, |ip| SocketAddr::new(ip, bound.port()))
}

async fn own_address() -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(SOMEWHERE).await?;
    Ok(socket.local_addr()?.ip())
}

/// Port 0 is the one that was bound.
fn advertised(text: &str, bound: SocketAddr) -> anyhow::Result<SocketAddr> {
    let Ok(mut address) = text.parse::<SocketAddr>() else {
        bail!("invalid advertise address {text:?}: an IP address and a port are wanted");
    };
    if address.port() == 0 {
        address.set_port(bound.port());
    }
    Ok(address)
}

/// Milliseconds and 80 random bits, as 26 digits: names of members sort by when they came.
fn ulid(now: Timestamp) -> String {
    let word = |salt: u64| u128::from(RandomState::new().hash_one(salt));
    let millis = u128::try_from(now.as_millis()).unwrap_or_default() & 0xffff_ffff_ffff;
    let value = millis << 80 | (word(1) & 0xffff) << 64 | word(2);
    (0..ULID_LENGTH)
        .rev()
        .map(|digit| char::from(ULID_DIGITS[(value >> (5 * digit) & 31) as usize]))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use model::Timestamp;

    use super::{advertised, ulid};

    #[test]
    fn names_that_nobody_gave_sort_by_their_time_and_are_not_alike() {
        let name = |millis| ulid(Timestamp::from_millis(millis));
        // The time of the form's own example.
        assert!(
            name(1_469_918_176_385).starts_with("01ARYZ6S41"),
            "{}",
            name(1_469_918_176_385)
        );
        assert_eq!(name(5).len(), 26);
        assert!(name(1_000) < name(1_001));
        assert_ne!(name(5), name(5));
    }

    #[test]
    fn an_advertised_address_is_told_and_its_port_may_be_the_bound_one() {
        let bound: SocketAddr = "127.0.0.1:4444".parse().unwrap();
        for (text, told) in [
            ("10.0.0.1:9094", Some("10.0.0.1:9094")),
            ("10.0.0.1:0", Some("10.0.0.1:4444")),
            ("[::1]:7", Some("[::1]:7")),
            ("10.0.0.1", None),
            ("member:9094", None),
        ] {
            let address = advertised(text, bound)
                .ok()
                .map(|address| address.to_string());
            assert_eq!(address.as_deref(), told, "{text}");
        }
    }
}
