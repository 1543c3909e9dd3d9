//! The gate between signature and operation: names the operation for logs and metrics,
//! turns away who did not sign, and refuses what would otherwise be ignored.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    access::{S3Access, S3AccessContext},
};

use crate::{Settings, unsupported};

/// Where the service learns which operation a request was; travels in the request's
/// extensions.
#[derive(Clone, Default)]
pub(crate) struct OperationSlot(Arc<Mutex<Option<String>>>);

impl OperationSlot {
    pub(crate) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, name: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.to_owned());
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
        if context.credentials().is_none() {
            return Err(S3Error::with_message(
                S3ErrorCode::AccessDenied,
                "Access denied: the request is not signed, and there is no anonymous access.",
            ));
        }
        unsupported::refuse(context.headers(), context.uri(), &self.0)
    }
}
