//! Certificates for a server on loopback, and the authority that signed them.

use std::{fmt, fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

use crate::{error::ServerError, redis_builder::files};

/// Certificates for a server on loopback, and the authority that signed them.
pub(crate) struct Certificates {
    pub(crate) authority: String,
    server: String,
    key: String,
}

impl Certificates {
    /// Of an authority of their own, which nobody else trusts.
    pub(crate) fn new() -> Result<Self, ServerError> {
        let mut authority = CertificateParams::default();
        // OpenSSL takes a certificate whose issuer has the same name as itself for signed by itself.
        authority.distinguished_name.push(DnType::CommonName, "test-servers");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = CertificateParams::new(names)?.signed_by(&key, &authority)?;
        Ok(Self { authority: authority.pem(), server: server.pem(), key: key.serialize_pem() })
    }

    pub(crate) fn write(&self, directory: &Path) -> Result<(), ServerError> {
        let files =
            [(files::AUTHORITY, &self.authority), (files::SERVER, &self.server), (files::KEY, &self.key)];
        for (name, pem) in files {
            fs::write(directory.join(name), pem).map_err(ServerError::io("write the certificates"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}
