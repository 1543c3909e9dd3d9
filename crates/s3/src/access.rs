//! The gate between signature and operation: names the operation for logs and metrics,
//! turns away who did not sign, and refuses what would otherwise be ignored.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    access::{S3Access, S3AccessContext},
    path::S3Path,
};

use crate::{
    Settings,
    errors::not_implemented,
    operations::{self, Target},
    unsupported,
};

/// Where the service learns which operation a request was; travels in the request's
/// extensions.
#[derive(Clone, Default)]
pub(crate) struct OperationSlot(Arc<Mutex<Option<String>>>);

impl OperationSlot {
    pub(crate) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn set(&self, name: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.to_owned());
    }
}

/// Lets a request pass without a signature. In the extensions, where only this crate can put
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// A read through the bucket's website.
    Website,
    /// The same request's signature was verified a moment ago.
    Verified,
}

/// In the extensions: everything is checked up to the operation, which is not called.
#[derive(Clone, Default)]
pub(crate) struct SignatureOnly(Arc<AtomicBool>);

impl SignatureOnly {
    /// Whether the operation would have been called.
    pub(crate) fn holds(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Root may do everything, everybody else nothing.
pub(crate) struct Access(pub(crate) Settings);

#[async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = context.s3_op().name().to_owned();
        if let Some(slot) = context.extensions_mut().get::<OperationSlot>() {
            slot.set(&operation);
        }
        let granted = match context.extensions_mut().get::<Grant>() {
            None => false,
            Some(Grant::Verified) => true,
            Some(Grant::Website) => ["GetObject", "HeadObject"].contains(&operation.as_str()),
        };
        if context.credentials().is_none() && !granted {
            return Err(S3Error::with_message(
                S3ErrorCode::AccessDenied,
                "Access denied: the request is not signed, and there is no anonymous access.",
            ));
        }
        let target = match context.s3_path() {
            S3Path::Root => Target::Service,
            S3Path::Bucket { .. } => Target::Bucket,
            S3Path::Object { .. } => Target::Object,
        };
        let query = context.uri().query().unwrap_or_default();
        if let Some(name) = operations::refused(context.method(), target, query) {
            return Err(not_implemented(name));
        }
        unsupported::refuse(context.headers(), context.uri(), &self.0)?;
        unsupported::refuse_version(&operation, context.uri())?;
        if let Some(only) = context.extensions_mut().get::<SignatureOnly>() {
            only.0.store(true, Ordering::Release);
            return Err(S3Error::new(S3ErrorCode::AccessDenied));
        }
        Ok(())
    }
}
