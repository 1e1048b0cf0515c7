//! TLS for HTTP clients: the roots that are compiled in, and those of `SSL_CERT_FILE`.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::vars::{ConfigError, Vars};

/// The certificates of `SSL_CERT_FILE`; none if it is not set.
pub fn extra_roots(vars: &Vars) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let Some(path) = vars.get("SSL_CERT_FILE") else { return Ok(Vec::new()) };
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(roots) if !roots.is_empty() => Ok(roots),
        _ => Err(ConfigError::new("SSL_CERT_FILE", "a PEM file with at least one certificate")),
    }
}

/// Trusts the compiled-in roots and `extra`. Loading the machine's own roots would cost more than everything else in a cold
/// start.
pub fn client_config(extra: &[CertificateDer<'static>]) -> Result<ClientConfig, ConfigError> {
    let unfit = || ConfigError::new("SSL_CERT_FILE", "a PEM file of certificates that a TLS client accepts");
    let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // A machine's bundle may hold roots in forms that are refused today. One usable root is enough.
    let (usable, _) = store.add_parsable_certificates(extra.iter().cloned());
    if usable == 0 && !extra.is_empty() {
        return Err(unfit());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(versions.map_err(|_| unfit())?.with_root_certificates(store).with_no_client_auth())
}
