//! Secrets in files, read anew for each use.
use std::path::Path;
use std::time::Duration;

use config::SecretSource;

/// No key or password is longer; what is, is the wrong file.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// A folder behind a network that does not answer must not use up a whole attempt, which has told nobody yet.
const READ_MAX: Duration = Duration::from_secs(5);

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
    content_within(READ_MAX, path).await
}

async fn content_within(limit: Duration, path: &Path) -> Result<String, String> {
    let reading = tokio::time::timeout(limit, tokio::fs::read(path)).await;
    let bytes = reading
        .map_err(|_| format!("it is not there within {limit:?}"))?
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

    use std::process::Command;
    use std::time::Duration;

    use super::{content, content_within, read_text};

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_named_once() {
        let path = Path::new("/nowhere/secret");
        let reason = content(path).await.unwrap_err();
        let sentence = read_text(path).await.unwrap_err();
        assert_eq!(sentence, format!("cannot read /nowhere/secret: {reason}"));
        assert!(!reason.contains("cannot read"), "{reason}");
    }

    /// A pipe that nobody writes to, as a folder whose network is gone.
    #[tokio::test]
    async fn a_file_that_does_not_come_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("secret");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let content = content_within(Duration::from_millis(50), &pipe).await;
        assert_eq!(content.unwrap_err(), "it is not there within 50ms");
        // The thread that waits for it is let go.
        std::fs::write(&pipe, "late").unwrap();
    }
}
