//! Pages that a website answers with when it has none of its own: as AWS words them.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::{
    response::{ResponseBody, full},
    text::escape_html as escape,
};

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Status of the answer.
    pub(crate) status: StatusCode,
    /// AWS's code.
    pub(crate) code: String,
    /// One sentence.
    pub(crate) message: String,
    /// Further lines: name and value.
    pub(crate) details: Vec<(&'static str, String)>,
}

impl Problem {
    /// One without further lines.
    pub(crate) fn new(status: StatusCode, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), message: message.to_owned(), details: Vec::new() }
    }

    /// With a further line.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.details.push((name, value.to_owned()));
        self
    }

    fn list(&self) -> String {
        let mut list = format!(
            "<li>Code: {}</li>\n<li>Message: {}</li>\n",
            escape(&self.code),
            escape(&self.message)
        );
        for (name, value) in &self.details {
            list.push_str(&format!("<li>{name}: {}</li>\n", escape(value)));
        }
        list
    }

    /// The page. `document` is what kept the website's own error document from being shown.
    pub(crate) fn page(
        &self,
        request_id: &str,
        document: Option<&Problem>,
    ) -> Response<ResponseBody> {
        let reason = self.status.canonical_reason().unwrap_or_default();
        let title = format!("{} {reason}", self.status.as_u16());
        let nested = document.map_or_else(String::new, |document| {
            format!(
                "<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n\
                 <ul>\n{}</ul>\n",
                document.list()
            )
        });
        let html = format!(
            "<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<ul>\n{}\
             <li>RequestId: {request_id}</li>\n<li>HostId: {request_id}</li>\n</ul>\n{nested}<hr/>\n\
             </body>\n</html>\n",
            self.list()
        );
        let mut response = Response::new(full(Bytes::from(html)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        for (name, text) in
            [("x-amz-error-code", &self.code), ("x-amz-error-message", &self.message)]
        {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_page_shows_no_markup_of_the_request() {
        let missing =
            Problem::new(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.");
        let problem = missing.clone().with("Key", "<script>\"&");
        let response = problem.page("ID", Some(&missing.with("Key", "error.html")));
        assert_eq!(response.headers()["x-amz-error-code"], "NoSuchKey");
        let body = response.into_body().collect().await.expect("in memory").to_bytes();
        assert_eq!(
            String::from_utf8_lossy(&body),
            "<html>\n<head><title>404 Not Found</title></head>\n<body>\n<h1>404 Not Found</h1>\n\
             <ul>\n<li>Code: NoSuchKey</li>\n<li>Message: The specified key does not exist.</li>\n\
             <li>Key: &lt;script&gt;&quot;&amp;</li>\n<li>RequestId: ID</li>\n\
             <li>HostId: ID</li>\n</ul>\n\
             <h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n\
             <ul>\n<li>Code: NoSuchKey</li>\n<li>Message: The specified key does not exist.</li>\n\
             <li>Key: error.html</li>\n</ul>\n<hr/>\n</body>\n</html>\n"
        );
    }
}
