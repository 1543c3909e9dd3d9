//! Who may sign: the root credentials.

use async_trait::async_trait;
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    auth::{S3Auth, SecretKey},
};
use subtle::ConstantTimeEq;

use crate::RootCredentials;

/// Knows one access key.
pub(crate) struct RootAuth(pub(crate) RootCredentials);

#[async_trait]
impl S3Auth for RootAuth {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        // The access key is not a secret, but there is no reason to answer faster for a
        // better guess.
        if bool::from(self.0.access_key.as_bytes().ct_eq(access_key.as_bytes())) {
            Ok(SecretKey::from(self.0.secret_key.as_str()))
        } else {
            Err(S3Error::new(S3ErrorCode::InvalidAccessKeyId))
        }
    }
}
