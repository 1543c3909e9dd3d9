//! Reading a form: its fields, up to the file, and the file as a stream.
//!
//! The file is the part named `file`, and the last one: what follows it is ignored, as on
//! AWS, and not even looked at.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream::BoxStream};
use http::HeaderMap;
use http_body::Body;
use http_body_util::BodyExt;
use objects::BodyError;
use s3s::{S3Error, S3ErrorCode, S3Result, StdError};
use s3s_multipart::{Boundary, Error, Multipart, Part, parse_content_disposition};

use super::policy::Fields;
use crate::errors::{from_body, invalid_argument};

/// Names and values before the file, in bytes: 20 KB as on AWS.
const FIELDS_BYTES_MAX: usize = 20 << 10;
/// Parts before the file.
const FIELDS_MAX: usize = 200;
/// The head of one part, in bytes.
const PART_HEAD_BYTES_MAX: usize = 4 << 10;
/// Bytes before the file as they are sent, with all that is between its fields and before the
/// first of them. All fields that are allowed fit, with the longest heads.
const BYTES_BEFORE_FILE_MAX: usize = 1 << 20;

/// A form up to its file.
pub(super) struct Form {
    /// Before the file.
    pub(super) fields: Fields,
    /// The file's name as the browser sent it; empty without one.
    pub(super) file_name: Option<String>,
    /// Its bytes.
    pub(super) file: BoxStream<'static, Result<Bytes, BodyError>>,
}

type Source = BoxStream<'static, Result<Bytes, Error>>;

impl Form {
    /// Reads the fields of a `multipart/form-data` body.
    pub(super) async fn read<B>(headers: &HeaderMap, body: B) -> S3Result<Self>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        let boundary = boundary(headers).ok_or_else(malformed)?;
        let at_file = Arc::new(AtomicBool::new(false));
        let mut seen = 0;
        let ended = at_file.clone();
        let frames = body.into_data_stream().map(move |frame| {
            let frame = frame.map_err(Error::stream_read_failed)?;
            if seen > BYTES_BEFORE_FILE_MAX && !ended.load(Ordering::Relaxed) {
                return Err(Error::HeaderSizeExceeded { limit: BYTES_BEFORE_FILE_MAX });
            }
            seen = seen.saturating_add(frame.len());
            Ok(frame)
        });
        let mut parts = Multipart::new(frames.boxed(), &boundary, PART_HEAD_BYTES_MAX);
        let (mut fields, mut bytes) = (Fields::new(), 0);
        while let Some(mut part) = parts.next_part().await.map_err(refused)? {
            let Some((name, file_name)) = disposition(&mut part).await? else {
                return Err(malformed());
            };
            let key = name.to_ascii_lowercase();
            if key == "file" {
                at_file.store(true, Ordering::Relaxed);
                let file = part.take_data_stream().map_err(refused)?;
                return Ok(Self { fields, file_name, file: bytes_of(file).boxed() });
            }
            let value = value(&mut part, FIELDS_BYTES_MAX - bytes.min(FIELDS_BYTES_MAX)).await?;
            bytes += name.len() + value.len();
            if bytes > FIELDS_BYTES_MAX || fields.len() >= FIELDS_MAX {
                return Err(too_much());
            }
            if fields.insert(key, (name.clone(), value)).is_some() {
                return Err(invalid_argument(format!("The form has the field '{name}' twice.")));
            }
        }
        Err(invalid_argument("POST requires exactly one file upload per request."))
    }

    /// The value of a field, by its lower-case name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|(_, value)| value.as_str())
    }

    /// Puts the file's name where the form has `${filename}`. Some browsers send a whole
    /// path, of which only the end counts. A file without a name changes nothing.
    pub(super) fn name_file(&mut self) {
        let Some(name) = &self.file_name else { return };
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
        for (key, (_, value)) in &mut self.fields {
            if key != "policy" && value.contains("${filename}") {
                *value = value.replace("${filename}", name);
            }
        }
    }
}

fn boundary(headers: &HeaderMap) -> Option<Boundary> {
    let kind = headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?;
    let text = kind.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then_some(value.trim_matches('"'))
    })?;
    Boundary::new(text.as_bytes()).ok()
}

/// Name of a part and of its file; `None` if it is no field of a form.
async fn disposition(part: &mut Part<'_, Source>) -> S3Result<Option<(String, Option<String>)>> {
    let mut found = None;
    while let Some(header) = part.next_header().await.map_err(refused)? {
        if header.name.eq_ignore_ascii_case("content-disposition")
            && let Some(disposition) = parse_content_disposition(header.value)
            && let Some(name) = disposition.name
        {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| malformed());
            let file = disposition.file_name.map(text).transpose()?;
            // Browsers write quotes in names as %22, others as \".
            let file = file.map(|name| name.replace("%22", "\"").replace("\\\"", "\""));
            found = Some((text(name)?, file));
        }
    }
    Ok(found)
}

async fn value(part: &mut Part<'_, Source>, bytes_max: usize) -> S3Result<String> {
    let mut value = Vec::new();
    while let Some(bytes) = part.next_data().await.map_err(refused)? {
        if value.len() + bytes.len() > bytes_max {
            return Err(too_much());
        }
        value.extend_from_slice(&bytes);
    }
    String::from_utf8(value).map_err(|_| malformed())
}

fn bytes_of(
    file: impl Stream<Item = Result<Bytes, Error>>,
) -> impl Stream<Item = Result<Bytes, BodyError>> {
    file.map(|bytes| bytes.map_err(|error| BodyError::Incomplete(error.to_string())))
}

fn refused(error: Error) -> S3Error {
    match error {
        Error::StreamReadFailed(error) => from_body(BodyError::Incomplete(error.to_string())),
        Error::HeaderSizeExceeded { .. } => too_much(),
        _ => malformed(),
    }
}

fn too_much() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::MaxPostPreDataLengthExceededError,
        format!(
            "Your POST request fields preceding the upload file were too large: at most \
             {FIELDS_BYTES_MAX} bytes in {FIELDS_MAX} fields."
        ),
    )
}

fn malformed() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::MalformedPOSTRequest,
        "The body of your POST request is not well-formed multipart/form-data.",
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    fn part(disposition: &str, value: &str) -> String {
        format!("--B\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n")
    }

    async fn read(body: String) -> Result<Form, String> {
        read_frames(body, usize::MAX).await
    }

    /// The body in frames of so many bytes.
    async fn read_frames(body: String, bytes: usize) -> Result<Form, String> {
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("multipart/form-data; charset=x; boundary=\"B\"");
        headers.insert("content-type", kind);
        let chunks: Vec<_> = body.as_bytes().chunks(bytes).map(Bytes::copy_from_slice).collect();
        let frames = chunks.into_iter().map(|chunk| Ok::<_, StdError>(Frame::data(chunk)));
        let form = Form::read(&headers, StreamBody::new(futures::stream::iter(frames))).await;
        form.map_err(|error| error.code().as_str().to_owned())
    }

    async fn file(form: Form) -> Result<Vec<u8>, BodyError> {
        let mut bytes = Vec::new();
        let mut file = form.file;
        while let Some(frame) = file.next().await {
            bytes.extend_from_slice(&frame?);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn fields_file_and_what_is_ignored() {
        let body = part("name=\"Key\"", "up/${filename}")
            + &part("name=\"policy\"", "${filename}")
            + &part("name=\"file\"; filename=\"C:\\dir\\a b.txt\"", "bytes\r\n--")
            + &part("name=\"late\"", "ignored")
            + "--B--\r\n";
        let mut form = read(body).await.unwrap_or_else(|code| panic!("{code}"));
        form.name_file();
        assert_eq!(form.get("key"), Some("up/a b.txt"));
        assert_eq!(form.get("policy"), Some("${filename}"));
        assert_eq!(form.fields["key"].0, "Key");
        assert_eq!(form.get("late"), None);
        assert_eq!(file(form).await.expect("whole"), b"bytes\r\n--");
        let body = part("name=key", "${filename}") + &part("name=file", "");
        let mut form = read(body + "--B--\r\n").await.unwrap_or_else(|code| panic!("{code}"));
        form.name_file();
        assert_eq!(form.get("key"), Some("${filename}"), "the file has no name");
        assert_eq!(file(form).await.expect("whole"), b"");
    }

    #[tokio::test]
    async fn frames_end_anywhere() {
        let bytes = "\r\n--B\r--B\r\n-".repeat(3);
        let body =
            part("name=\"key\"", "k") + &part("name=\"file\"; filename=\"f\"", &bytes) + "--B--";
        let expected = bytes.as_bytes();
        // The text looks like a delimiter and is one: the file ends there, in every cut.
        for size in 1..60 {
            let form = read_frames(body.clone(), size).await;
            let form = form.unwrap_or_else(|code| panic!("{size}: {code}"));
            assert_eq!(form.get("key"), Some("k"), "{size}");
            let found = file(form).await.expect("whole");
            assert_eq!(found, &expected[..found.len()], "{size}");
            assert_eq!(found.len(), 0, "{size}");
        }
        let bytes = "\r\n-B\r\n--A\r".repeat(50);
        let body = part("name=\"key\"", "k") + &part("name=\"file\"", &bytes) + "--B--";
        for size in 1..60 {
            let form = read_frames(body.clone(), size).await;
            let form = form.unwrap_or_else(|code| panic!("{size}: {code}"));
            assert_eq!(file(form).await.expect("whole"), bytes.as_bytes(), "{size}");
        }
    }

    /// Whoever sends it has not been asked who he is.
    #[tokio::test]
    async fn what_comes_before_the_fields_is_bounded() {
        let file = part("name=\"key\"", "k") + &part("name=\"file\"", &"x".repeat(3 << 20));
        let form = read_frames("x".repeat(1 << 20) + "\r\n" + &file + "--B--", 1 << 16).await;
        assert!(form.is_ok(), "{:?}", form.err());
        let form = read_frames("x".repeat(2 << 20) + "\r\n" + &file + "--B--", 1 << 16).await;
        assert_eq!(form.err().as_deref(), Some("MaxPostPreDataLengthExceededError"));
    }

    #[tokio::test]
    async fn what_is_no_form() {
        let end = "--B--\r\n";
        let many: String = (0..201).map(|i| part(&format!("name=\"f{i}\""), "")).collect();
        for (body, code) in [
            (part("name=\"key\"", "k") + end, "InvalidArgument"),
            (part("name=\"key\"", "k") + &part("name=\"KEY\"", "k") + end, "InvalidArgument"),
            (part("filename=\"key\"", "k") + end, "MalformedPOSTRequest"),
            (part("name=\"key\"", "k"), "MalformedPOSTRequest"),
            ("nothing".to_owned(), "MalformedPOSTRequest"),
            (part("name=\"a\"", &"x".repeat(20 << 10)) + end, "MaxPostPreDataLengthExceededError"),
            (
                part("name=\"a\"", &"x".repeat(12 << 10))
                    + &part("name=\"b\"", &"x".repeat(9 << 10)),
                "MaxPostPreDataLengthExceededError",
            ),
            (
                part(&format!("name=\"{}\"", "x".repeat(5000)), ""),
                "MaxPostPreDataLengthExceededError",
            ),
            (many + &part("name=\"file\"", "x") + end, "MaxPostPreDataLengthExceededError"),
        ] {
            assert_eq!(read(body.clone()).await.err().as_deref(), Some(code), "{body:.200}");
        }
        // The end of the file is where the form goes on, and nowhere else.
        let form = read("--B\r\nContent-Disposition: form-data; name=file\r\n\r\nbyt".to_owned());
        let form = form.await.unwrap_or_else(|code| panic!("{code}"));
        assert!(matches!(file(form).await, Err(BodyError::Incomplete(_))));
    }
}
