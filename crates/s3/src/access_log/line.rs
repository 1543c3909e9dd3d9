//! One line of an access log: fields in AWS's order, separated by spaces, `-` where there is
//! nothing to say.

use std::{fmt::Write, net::IpAddr, time::Duration};

use http::{HeaderMap, HeaderName, Method, Request, header};
use time::OffsetDateTime;

/// A field longer than this is cut: a line stays a line.
const FIELD_BYTES_MAX: usize = 2048;

/// What is known of a request when it comes in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: OffsetDateTime,
    pub(crate) request_id: String,
    pub(crate) remote: Option<IpAddr>,
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) http_version: http::Version,
    pub(crate) host: Option<String>,
    pub(crate) referer: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) bucket: String,
    pub(crate) key: Option<String>,
    pub(crate) authentication: Option<&'static str>,
}

/// A request that has been answered.
#[derive(Clone, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) seen: &'a Seen,
    /// Canonical id of the bucket's owner.
    pub(crate) owner: &'a str,
    /// Who signed; `None` for nobody.
    pub(crate) requester: Option<&'a str>,
    /// As the protocol layer names it; `None` if the request was refused before that.
    pub(crate) operation: Option<&'a str>,
    pub(crate) status: u16,
    pub(crate) error_code: Option<&'a str>,
    pub(crate) sent_bytes: u64,
    pub(crate) object_bytes: Option<u64>,
    pub(crate) version: Option<&'a str>,
    /// Until the last byte of the answer.
    pub(crate) total: Duration,
    /// Until the answer's head.
    pub(crate) turnaround: Duration,
}

impl Seen {
    /// Of a request for `bucket`.
    pub(crate) fn of<B>(
        request: &Request<B>,
        request_id: &str,
        remote: Option<IpAddr>,
        at: OffsetDateTime,
        bucket: String,
        key: Option<String>,
    ) -> Self {
        let headers = request.headers();
        let text = |name: HeaderName| {
            headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let query = request.uri().query().unwrap_or_default();
        Self {
            at,
            request_id: request_id.to_owned(),
            remote,
            method: request.method().clone(),
            target: without_signature(request.uri().path(), query),
            http_version: request.version(),
            host: text(header::HOST),
            referer: text(header::REFERER),
            user_agent: text(header::USER_AGENT),
            bucket,
            key,
            authentication: authentication(headers, query),
        }
    }
}

/// How the request was signed.
fn authentication(headers: &HeaderMap, query: &str) -> Option<&'static str> {
    if headers.contains_key(header::AUTHORIZATION) {
        Some("AuthHeader")
    } else if query.contains("X-Amz-Signature=") {
        Some("QueryString")
    } else {
        None
    }
}

/// The request's target. A presigned query can be replayed until it expires, and a log is
/// read by more people than may sign: its signature is left out.
fn without_signature(path: &str, query: &str) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let kept = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name @ ("X-Amz-Signature" | "X-Amz-Security-Token"), _)) => format!("{name}=..."),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", kept.collect::<Vec<_>>().join("&"))
}

impl Line<'_> {
    /// The line with its end.
    pub(crate) fn text(&self) -> String {
        let seen = self.seen;
        let mut line = String::with_capacity(512);
        plain(&mut line, Some(self.owner));
        plain(&mut line, Some(&seen.bucket));
        let _ = write!(line, "[{}] ", clf_time(seen.at));
        plain(&mut line, seen.remote.map(|ip| ip.to_string()).as_deref());
        plain(&mut line, self.requester);
        plain(&mut line, Some(&seen.request_id));
        plain(&mut line, Some(&operation(self.operation, &seen.method, seen.key.is_some())));
        plain(&mut line, seen.key.as_deref().map(crate::text::url_encode).as_deref());
        quoted(
            &mut line,
            Some(&format!("{} {} {:?}", seen.method, seen.target, seen.http_version)),
        );
        let _ = write!(line, "{} ", self.status);
        plain(&mut line, self.error_code);
        number(&mut line, Some(self.sent_bytes).filter(|bytes| *bytes > 0));
        number(&mut line, self.object_bytes);
        number(&mut line, u64::try_from(self.total.as_millis()).ok());
        number(&mut line, u64::try_from(self.turnaround.as_millis()).ok());
        quoted(&mut line, seen.referer.as_deref());
        quoted(&mut line, seen.user_agent.as_deref());
        plain(&mut line, self.version);
        plain(&mut line, Some(&seen.request_id));
        plain(&mut line, seen.authentication.map(|_| "SigV4"));
        // No TLS on this listener: no cipher, no version of it.
        plain(&mut line, None);
        plain(&mut line, seen.authentication);
        plain(&mut line, seen.host.as_deref());
        plain(&mut line, None);
        // No access point, no ACL that was needed.
        plain(&mut line, None);
        plain(&mut line, None);
        line.pop();
        line.push('\n');
        line
    }
}

fn cut(text: &str) -> &str {
    if text.len() <= FIELD_BYTES_MAX {
        return text;
    }
    let end = (0..=FIELD_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// A field without spaces; what would break the line is written as `?`.
fn plain(line: &mut String, field: Option<&str>) {
    match field {
        None | Some("") => line.push('-'),
        Some(text) => line.extend(
            cut(text).chars().map(|c| if c.is_control() || c == ' ' || c == '"' { '?' } else { c }),
        ),
    }
    line.push(' ');
}

fn quoted(line: &mut String, field: Option<&str>) {
    match field {
        None | Some("") => line.push('-'),
        Some(text) => {
            line.push('"');
            line.extend(cut(text).chars().map(|c| match c {
                '"' => '\'',
                c if c.is_control() => '?',
                c => c,
            }));
            line.push('"');
        }
    }
    line.push(' ');
}

fn number(line: &mut String, field: Option<u64>) {
    let _ = match field {
        Some(number) => write!(line, "{number} "),
        None => line.write_str("- "),
    };
}

/// `06/Feb/2019:00:00:38 +0000`.
fn clf_time(at: OffsetDateTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS[usize::from(u8::from(at.month()) - 1)];
    format!(
        "{:02}/{month}/{:04}:{:02}:{:02}:{:02} +0000",
        at.day(),
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// `REST.method.resource` as AWS has it.
fn operation(name: Option<&str>, method: &Method, of_object: bool) -> String {
    let resource = match name {
        Some("CopyObject") => return "REST.COPY.OBJECT".to_owned(),
        Some("UploadPartCopy") => return "REST.COPY.PART".to_owned(),
        Some("UploadPart" | "ListParts") => {
            if *method == Method::GET {
                "UPLOAD"
            } else {
                "PART"
            }
        }
        Some("CreateMultipartUpload" | "ListMultipartUploads") => "UPLOADS",
        Some("CompleteMultipartUpload" | "AbortMultipartUpload") => "UPLOAD",
        Some("DeleteObjects") => "MULTI_OBJECT_DELETE",
        Some("ListObjectVersions") => "BUCKETVERSIONS",
        Some("GetObjectAttributes") => "OBJECT_ATTRIBUTES",
        Some(name) if name.ends_with("ObjectTagging") => "OBJECT_TAGGING",
        Some(name) if name.ends_with("ObjectRetention") => "OBJECT_RETENTION",
        Some(name) if name.ends_with("ObjectLegalHold") => "OBJECT_LEGAL_HOLD",
        Some(name) if name.ends_with("ObjectLockConfiguration") => "OBJECT_LOCK_CONFIGURATION",
        Some(name) if name.ends_with("BucketTagging") => "TAGGING",
        Some(name) if name.ends_with("BucketVersioning") => "VERSIONING",
        Some(name) if name.ends_with("BucketCors") => "CORS",
        Some(name) if name.ends_with("BucketWebsite") => "WEBSITE",
        Some(name) if name.ends_with("BucketLogging") => "LOGGING_STATUS",
        Some(name) if name.contains("BucketLifecycle") => "LIFECYCLE",
        Some("GetBucketLocation") => "LOCATION",
        _ if of_object => "OBJECT",
        _ => "BUCKET",
    };
    format!("REST.{method}.{resource}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        let request = Request::builder()
            .uri("/photos/a%20b?x=1&X-Amz-Signature=secret")
            .header("host", "localhost:9000")
            .header("user-agent", "a \"quoted\" agent")
            .body(())
            .expect("a request");
        let at = OffsetDateTime::from_unix_timestamp(1_700_000_000).expect("in range");
        let remote = Some(IpAddr::from([192, 0, 2, 3]));
        Seen::of(&request, "ID", remote, at, "photos".into(), Some("a b".into()))
    }

    #[test]
    fn a_line_as_aws_writes_it() {
        let seen = seen();
        let line = Line {
            seen: &seen,
            owner: "79a5",
            requester: Some("79a5"),
            operation: Some("GetObject"),
            status: 200,
            error_code: None,
            sent_bytes: 113,
            object_bytes: Some(2000),
            version: None,
            total: Duration::from_millis(70),
            turnaround: Duration::from_millis(10),
        };
        assert_eq!(
            line.text(),
            "79a5 photos [14/Nov/2023:22:13:20 +0000] 192.0.2.3 79a5 ID REST.GET.OBJECT a%20b \
             \"GET /photos/a%20b?x=1&X-Amz-Signature=... HTTP/1.1\" 200 - 113 2000 70 10 - \
             \"a 'quoted' agent\" - ID SigV4 - QueryString localhost:9000 - - -\n"
        );
    }

    #[test]
    fn fields_cannot_break_the_line() {
        let mut seen = seen();
        seen.user_agent = Some(format!("a\nb{}", "ü".repeat(3000)));
        seen.host = Some("x y".to_owned());
        let line = Line {
            seen: &seen,
            owner: "o",
            requester: None,
            operation: None,
            status: 403,
            error_code: Some("AccessDenied"),
            sent_bytes: 0,
            object_bytes: None,
            version: None,
            total: Duration::ZERO,
            turnaround: Duration::ZERO,
        };
        let text = line.text();
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text.ends_with('\n') && text.contains("a?b") && text.contains(" x?y "));
        assert!(text.len() < 5000);
    }

    #[test]
    fn operations() {
        for (name, method, of_object, text) in [
            (Some("GetObject"), Method::GET, true, "REST.GET.OBJECT"),
            (Some("ListObjectsV2"), Method::GET, false, "REST.GET.BUCKET"),
            (Some("CopyObject"), Method::PUT, true, "REST.COPY.OBJECT"),
            (Some("UploadPart"), Method::PUT, true, "REST.PUT.PART"),
            (Some("CreateMultipartUpload"), Method::POST, true, "REST.POST.UPLOADS"),
            (Some("CompleteMultipartUpload"), Method::POST, true, "REST.POST.UPLOAD"),
            (Some("DeleteObjects"), Method::POST, false, "REST.POST.MULTI_OBJECT_DELETE"),
            (Some("PutBucketVersioning"), Method::PUT, false, "REST.PUT.VERSIONING"),
            (None, Method::GET, true, "REST.GET.OBJECT"),
        ] {
            assert_eq!(operation(name, &method, of_object), text);
        }
    }
}
