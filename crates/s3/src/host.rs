//! Virtual-host style: which bucket a `Host` header names.
//!
//! `photos.s3.example.com` names bucket `photos` when `s3.example.com` is a configured
//! domain; `*.localhost` works without configuration, because every resolver answers it
//! with the loopback address. Every other host, and every IP address, is path style.
//!
//! A host below the website domain names a bucket too, but means its website
//! ([`crate::website`]) and never the API.

use http::{Request, header};
use s3s::{
    S3Result,
    host::{S3Host, VirtualHost},
};

use crate::SettingsError;

/// The domains below which a host names a bucket.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    /// Of the API: in lower case and longest first, so that the longest match wins.
    api: Vec<String>,
    /// Of websites.
    website: Option<String>,
}

impl Hosts {
    /// Domains without port and scheme.
    pub(crate) fn new(domains: &[String], website: Option<&str>) -> Result<Self, SettingsError> {
        let mut api = vec!["localhost".to_owned()];
        for domain in domains {
            api.push(host_name(domain)?);
        }
        api.sort_by_key(|host| std::cmp::Reverse(host.len()));
        api.dedup();
        let website = website.map(host_name).transpose()?;
        if let Some(domain) = website.as_ref().filter(|domain| api.contains(domain)) {
            return Err(SettingsError::WebsiteDomain(domain.clone()));
        }
        Ok(Self { api, website })
    }

    /// The bucket that the host (with or without port) names for the API.
    pub(crate) fn bucket(&self, host: &str) -> Option<String> {
        let name = without_port(host).to_ascii_lowercase();
        if self.api.contains(&name) || self.website(host).is_some() {
            return None;
        }
        self.api.iter().find_map(|domain| below(&name, domain))
    }

    /// The bucket whose website the host names.
    pub(crate) fn website(&self, host: &str) -> Option<String> {
        let domain = self.website.as_ref()?;
        below(&without_port(host).to_ascii_lowercase(), domain)
    }
}

/// A domain in lower case, if it is one.
fn host_name(domain: impl AsRef<str>) -> Result<String, SettingsError> {
    let lower = domain.as_ref().to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if lower.split('.').all(label) { Ok(lower) } else { Err(SettingsError::Domain(lower)) }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// What stands before the domain, if the name is below it.
fn below(name: &str, domain: &str) -> Option<String> {
    let bucket = name.strip_suffix(domain)?.strip_suffix('.')?;
    (!bucket.is_empty()).then(|| bucket.to_owned())
}

/// Where a request goes, by its host and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The host as the client wrote it, with its port.
    pub(crate) host: String,
    /// As it is written: it may be no bucket's name.
    pub(crate) bucket: Option<String>,
    /// The host names the bucket, not the path.
    pub(crate) by_host: bool,
    /// The path names the bucket itself, not an object in it.
    pub(crate) is_bucket: bool,
    /// It is the bucket's website that is meant.
    pub(crate) website: bool,
}

impl Place {
    /// Of a request.
    pub(crate) fn of<B>(request: &Request<B>, hosts: &Hosts) -> Self {
        let authority = request.uri().authority().map(http::uri::Authority::as_str);
        let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let host = header.or(authority).unwrap_or_default().to_owned();
        let path = request.uri().path().trim_start_matches('/');
        if let Some(bucket) = hosts.website(&host) {
            let bucket = Some(bucket);
            return Self { host, bucket, by_host: true, is_bucket: path.is_empty(), website: true };
        }
        if let Some(bucket) = hosts.bucket(&host) {
            let bucket = Some(bucket);
            return Self {
                host,
                bucket,
                by_host: true,
                is_bucket: path.is_empty(),
                website: false,
            };
        }
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let bucket = (!bucket.is_empty()).then(|| bucket.to_owned());
        let is_bucket = key.is_empty();
        Self { host, bucket, by_host: false, is_bucket, website: false }
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
        let domains = ["s3.Example.com".to_owned(), "example.com".to_owned()];
        let hosts = Hosts::new(&domains, None).expect("valid domains");
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
            assert!(Hosts::new(&[domain.to_owned()], None).is_err(), "{domain}");
        }
    }

    #[test]
    fn websites_have_their_own_hosts() {
        let domains = ["example.com".to_owned()];
        let hosts = Hosts::new(&domains, Some("Web.example.com")).expect("valid domains");
        for (host, api, website) in [
            ("photos.web.example.com:80", None, Some("photos")),
            ("WWW.photos.WEB.example.com", None, Some("www.photos")),
            ("photos.example.com", Some("photos"), None),
            // The bucket `web`: nothing stands before the website domain.
            ("web.example.com", Some("web"), None),
            ("photosweb.example.com", Some("photosweb"), None),
            ("127.0.0.1", None, None),
        ] {
            assert_eq!(hosts.bucket(host).as_deref(), api, "{host}");
            assert_eq!(hosts.website(host).as_deref(), website, "{host}");
        }
        assert!(Hosts::new(&domains, Some("example.com")).is_err(), "one name, two meanings");
        assert!(Hosts::new(&domains, Some("localhost")).is_err());
        assert!(Hosts::new(&domains, Some("web:80")).is_err());
        let none = Hosts::new(&domains, None).expect("valid domains");
        assert_eq!(none.website("photos.web.example.com"), None);
    }

    #[test]
    fn places() {
        let hosts = Hosts::new(&[], Some("web.example.com")).expect("valid domains");
        let place = |host: &str, path: &str| {
            let request = Request::builder().uri(path).header("host", host);
            let place = Place::of(&request.body(()).expect("a request"), &hosts);
            (place.bucket, place.is_bucket, place.website)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(place("127.0.0.1:9", "/"), (None, true, false));
        assert_eq!(place("127.0.0.1:9", "/b"), (some("b"), true, false));
        assert_eq!(place("127.0.0.1:9", "/b/"), (some("b"), true, false));
        assert_eq!(place("127.0.0.1:9", "/b/k?x"), (some("b"), false, false));
        assert_eq!(place("b.localhost", "/"), (some("b"), true, false));
        assert_eq!(place("b.localhost", "/k/"), (some("b"), false, false));
        assert_eq!(place("b.web.example.com", "/k"), (some("b"), false, true));
    }
}
