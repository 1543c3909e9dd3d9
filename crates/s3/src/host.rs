//! Virtual-host style: which bucket a `Host` header names.
//!
//! `photos.s3.example.com` names bucket `photos` when `s3.example.com` is a configured
//! domain; `*.localhost` works without configuration, because every resolver answers it
//! with the loopback address. Every other host, and every IP address, is path style.

use s3s::{
    S3Result,
    host::{S3Host, VirtualHost},
};

use crate::SettingsError;

/// The base domains, in lower case and longest first, so that the longest match wins.
#[derive(Clone, Debug)]
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    /// Domains without port and scheme.
    pub(crate) fn new(domains: &[String]) -> Result<Self, SettingsError> {
        let mut hosts = vec!["localhost".to_owned()];
        for domain in domains {
            let lower = domain.to_ascii_lowercase();
            let label = |label: &str| {
                !label.is_empty()
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            };
            if !lower.split('.').all(label) {
                return Err(SettingsError::Domain(domain.clone()));
            }
            hosts.push(lower);
        }
        hosts.sort_by_key(|host| std::cmp::Reverse(host.len()));
        hosts.dedup();
        Ok(Self(hosts))
    }

    /// The bucket that the host (with or without port) names.
    pub(crate) fn bucket(&self, host: &str) -> Option<String> {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.to_ascii_lowercase();
        if self.0.contains(&name) {
            return None;
        }
        self.0.iter().find_map(|domain| {
            let bucket = name.strip_suffix(domain.as_str())?.strip_suffix('.')?;
            (!bucket.is_empty()).then(|| bucket.to_owned())
        })
    }
}

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let virtual_host = VirtualHost::new(host);
        Ok(match self.bucket(host) {
            Some(bucket) => virtual_host.with_bucket(bucket),
            None => virtual_host,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_domains_name_buckets() {
        let hosts = Hosts::new(&["s3.Example.com".to_owned(), "example.com".to_owned()])
            .expect("valid domains");
        for (host, bucket) in [
            ("localhost:9000", None),
            ("photos.localhost:9000", Some("photos")),
            ("my.dotted.localhost", Some("my.dotted")),
            ("photos.s3.example.com", Some("photos")),
            ("PHOTOS.S3.EXAMPLE.COM:443", Some("photos")),
            ("s3.example.com", None),
            ("example.com", None),
            ("photos.other.org", None),
            ("photos-localhost", None),
            (".localhost", None),
            ("10.0.0.1:9000", None),
            ("[::1]:9000", None),
        ] {
            assert_eq!(hosts.bucket(host).as_deref(), bucket, "{host}");
        }
    }

    #[test]
    fn a_domain_is_a_host_name() {
        for domain in ["http://s3.example.com", "s3.example.com:9000", "", "a..b", "*.example.com"]
        {
            assert!(Hosts::new(&[domain.to_owned()]).is_err(), "{domain}");
        }
    }
}
