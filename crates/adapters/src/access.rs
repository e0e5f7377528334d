//! How requests prove who sends them: headers with the credential, and a scrubber that knows it.

use std::sync::Arc;

use llm_protocol::{Error, ErrorKind, Scrubber, Secret};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::builder::BuildError;
use crate::credentials::Credentials;
use crate::vendor::Vendor;

/// Where an adapter's credential comes from.
#[derive(Clone)]
pub(crate) enum Source {
    /// A value, or nothing where the host wants none.
    Fixed(Option<Secret>),
    Rotating(Arc<dyn Credentials>),
}

/// What all requests of an adapter carry, as far as it stays the same.
pub(crate) enum Access {
    Fixed(Pass),
    Rotating { credentials: Arc<dyn Credentials>, further: Vec<(String, Secret)>, secrets: Vec<Secret> },
}

/// What one request carries.
#[derive(Clone)]
pub(crate) struct Pass {
    pub(crate) headers: HeaderMap,
    pub(crate) scrubber: Arc<Scrubber>,
    /// Who lent the credential, and wants to hear when it is refused.
    lender: Option<(Arc<dyn Credentials>, Secret)>,
}

impl Access {
    /// `further` are headers of the user's, which replace those of the same name; `secrets` are what else no error
    /// may show.
    pub(crate) fn new(
        vendor: &impl Vendor,
        source: Source,
        further: Vec<(String, Secret)>,
        secrets: Vec<Secret>,
    ) -> Result<Self, BuildError> {
        match source {
            Source::Fixed(key) => {
                let pass = Pass::new(vendor, key.as_ref(), &further, &secrets)?;
                Ok(Self::Fixed(pass))
            }
            Source::Rotating(credentials) => {
                // Whatever the credential will be, these have to be right.
                Pass::new(vendor, None, &further, &secrets)?;
                Ok(Self::Rotating { credentials, further, secrets })
            }
        }
    }

    /// What the next request carries.
    pub(crate) async fn pass(&self, vendor: &impl Vendor) -> Result<Pass, Error> {
        match self {
            Self::Fixed(pass) => Ok(pass.clone()),
            Self::Rotating { credentials, further, secrets } => {
                let key = credentials.credential().await?;
                let pass = Pass::new(vendor, Some(&key), further, secrets)
                    .map_err(|error| Error::new(ErrorKind::Authentication, error.to_string()))?;
                Ok(Pass { lender: Some((Arc::clone(credentials), key)), ..pass })
            }
        }
    }
}

impl Pass {
    fn new(
        vendor: &impl Vendor,
        key: Option<&Secret>,
        further: &[(String, Secret)],
        secrets: &[Secret],
    ) -> Result<Self, BuildError> {
        let headers = headers(vendor, key, further)?;
        let known = further.iter().map(|(_, value)| value).chain(key).chain(secrets);
        Ok(Self { headers, scrubber: Arc::new(Scrubber::new(known.cloned())), lender: None })
    }

    /// Tells whoever lent the credential that it was refused.
    pub(crate) fn settle(&self, error: &Error) {
        if let Some((credentials, key)) = &self.lender
            && error.kind() == ErrorKind::Authentication
        {
            credentials.refused(key);
        }
    }
}

fn headers(
    vendor: &impl Vendor,
    key: Option<&Secret>,
    further: &[(String, Secret)],
) -> Result<HeaderMap, BuildError> {
    if key.is_some_and(|key| value(key).is_none_or(|value| value.is_empty())) {
        return Err(BuildError::ApiKey);
    }
    let own = vendor.headers(key);
    let own = own.iter().map(|(name, value)| (*name, value));
    let mut headers = HeaderMap::new();
    for (name, secret) in own.chain(further.iter().map(|(name, value)| (name.as_str(), value))) {
        let broken = || BuildError::Header(name.to_owned());
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| broken())?;
        headers.insert(parsed, value(secret).ok_or_else(broken)?);
    }
    Ok(headers)
}

/// Marked sensitive, so that the HTTP stack does not print it and HTTP/2 does not index it.
fn value(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(all(test, feature = "openai"))]
mod tests {
    use super::*;

    #[test]
    fn every_header_is_marked_sensitive() {
        let key = Secret::from("marmalade");
        let further = [("x-a".to_owned(), Secret::from("marmalade"))];
        let vendor = crate::OpenAi::builder("m").vendor;
        let headers = headers(&vendor, Some(&key), &further).unwrap();
        assert_eq!(headers.len(), 2);
        assert!(headers.values().all(HeaderValue::is_sensitive));
        assert!(!format!("{headers:?}").contains("marmalade"));
    }
}
