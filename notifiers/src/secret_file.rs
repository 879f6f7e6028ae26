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

/// A file's text without the white space around it, or a sentence that names the file.
pub(crate) async fn read_text(path: &Path) -> Result<String, String> {
    let text = content(path).await;
    text.map_err(|reason| format!("cannot read {}: {reason}", path.display()))
}

/// A file's text without the white space around it, or why it cannot be had.
pub(crate) async fn content(path: &Path) -> Result<String, String> {
    let bytes = tokio::fs::read(path)
        .await
        .map_err(|error| error.to_string())?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err("it is longer than any secret".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not text")?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{content, read_text};

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_named_once() {
        let path = Path::new("/nowhere/secret");
        let reason = content(path).await.unwrap_err();
        let sentence = read_text(path).await.unwrap_err();
        assert_eq!(sentence, format!("cannot read /nowhere/secret: {reason}"));
        assert!(!reason.contains("cannot read"), "{reason}");
    }
}
