//! Errors that end the process with one clear line.

/// Something that the user must change: printed on stderr as one line, exit status 2.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UserError(String);

impl UserError {
    /// One sentence that says what to do.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
