//! Secrets in files, read anew for each use.
use std::path::Path;

use config::SecretSource;

/// No key or password is longer; what is, is the wrong file.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// The secret, or a sentence that names the file.
pub(crate) async fn reveal(source: &SecretSource) -> Result<String, String> {
    match source {
        SecretSource::Inline(secret) => Ok(secret.reveal().to_owned()),
        SecretSource::File(path) => read_text(path).await,
    }
}

/// A file's text without the white space around it.
pub(crate) async fn read_text(path: &Path) -> Result<String, String> {
    let named = |reason: &str| format!("cannot read {}: {reason}", path.display());
    let bytes = tokio::fs::read(path)
        .await
        .map_err(|error| named(&error.to_string()))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(named("it is longer than any secret"));
    }
    let text = String::from_utf8(bytes).map_err(|_| named("it is not text"))?;
    Ok(text.trim().to_owned())
}
