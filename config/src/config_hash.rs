//! The number by which a configuration is known among the figures.
use md5::{Digest, Md5};

/// As Alertmanager 0.25 was seen to compute `alertmanager_config_hash`: the first 48 bits, the lowest byte first, of the
/// MD5 of the file's bytes. So much fits exactly into a float, and nodes with one file show one number.
#[must_use]
pub fn config_hash(text: &str) -> u64 {
    Md5::digest(text)
        .iter()
        .take(6)
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::config_hash;

    /// The second is what Debian's 0.25.0 showed of that file.
    #[test]
    fn the_number_is_alertmanagers() {
        let seen = "route: {receiver: nobody}\nreceivers: [{name: nobody, webhook_configs: [{url: \"http://127.0.0.1:1/\"}]}]\n";
        for (text, hash) in [("", 0x008f_d98c_1dd4), (seen, 166_010_712_833_635)] {
            assert_eq!(config_hash(text), hash, "{text}");
        }
    }
}
