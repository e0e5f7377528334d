//! TLS: whom to trust, and who does the cryptography.

use redis::{Client, ConnectionAddr, ConnectionInfo, TlsCertificates};
use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub(super) fn is_wanted(node: &ConnectionInfo) -> bool {
    matches!(node.addr(), ConnectionAddr::TcpTls { .. })
}

/// These nodes, trusted by these certificates alone. `None` when there is none, or no TLS.
pub(super) fn trusting(roots: &[u8], nodes: Vec<ConnectionInfo>) -> Option<Vec<ConnectionInfo>> {
    // A text without any would be taken for certificates that nobody has.
    let begin = b"-----BEGIN CERTIFICATE-----";
    roots.windows(begin.len()).any(|window| window == begin).then_some(())?;
    let trusting = |node| {
        let certificates = TlsCertificates { client_tls: None, root_cert: Some(roots.to_vec()) };
        let client = Client::build_with_tls(node, certificates).ok()?;
        Some(client.get_connection_info().clone())
    };
    nodes.into_iter().map(trusting).collect()
}

/// Sees to it that this process has somebody who does the cryptography: it would panic where several are linked and none
/// was chosen.
pub(super) fn provide() {
    if CryptoProvider::get_default().is_none() {
        // Somebody else may have been faster, who serves as well.
        let _ = aws_lc_rs::default_provider().install_default();
    }
}
