//! Ports on the loopback interface that nobody uses.

use std::net::{Ipv4Addr, TcpListener};

use crate::error::ServerError;

/// How many ports are tried before giving up.
pub(crate) const ATTEMPTS: usize = 20;

/// How far the port of a cluster's bus is from the port for its clients.
const BUS: u16 = 10_000;

/// A port on which nobody listens at the moment, nor on the one for a cluster's bus.
///
/// It is below those that the system gives to outgoing connections: a client that tries to connect to a dead server's
/// port could be given that very port, and would then talk to itself. Nothing keeps others from taking it meanwhile,
/// so that whoever starts a server there must be ready to try again.
pub(crate) fn free() -> u16 {
    loop {
        let port = fastrand::u16(BUS..32_768 - BUS);
        if [port, port + BUS].iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()) {
            return port;
        }
    }
}

/// Whether a server did not start because another was faster on its port.
pub(crate) fn was_taken(error: &ServerError) -> bool {
    matches!(error, ServerError::Died { output, .. } if output.contains("Address already in use"))
}
