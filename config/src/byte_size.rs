//! Sizes as Prometheus' flags have them: `512MB`, where K is 1024.

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no size: a whole number with one of the units B, KB, MB, GB, TB, PB, EB was expected, such as 512MB"
)]
pub(crate) struct ByteSizeError(String);

pub(crate) fn parse(text: &str) -> Result<u64, ByteSizeError> {
    let malformed = || ByteSizeError(text.to_owned());
    let digits_end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let power = match unit.to_ascii_uppercase().as_str() {
        "B" => 0,
        "KB" | "KIB" => 1,
        "MB" | "MIB" => 2,
        "GB" | "GIB" => 3,
        "TB" | "TIB" => 4,
        "PB" | "PIB" => 5,
        "EB" | "EIB" => 6,
        // Nothing needs no unit.
        "" if digits == "0" => 0,
        _ => return Err(malformed()),
    };
    let number: u64 = digits.parse().map_err(|_| malformed())?;
    number.checked_mul(1 << (10 * power)).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("0B", Some(0)),
            ("17B", Some(17)),
            ("512MB", Some(512 << 20)),
            ("1gb", Some(1 << 30)),
            ("2TiB", Some(2 << 40)),
            ("15EB", Some(15 << 60)),
            ("16EB", None),
            ("100", None),
            ("1.5GB", None),
            ("GB", None),
            ("-1GB", None),
            ("", None),
        ] {
            assert_eq!(parse(text).ok(), bytes, "{text}");
        }
    }
}
