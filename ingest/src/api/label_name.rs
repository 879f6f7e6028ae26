//! Label names as they stand in an address.

/// A name that begins with `U__` is escaped: `__` is an underscore, `_HEX_` the character of that number.
/// `None` where it is escaped wrongly or names no label.
pub(crate) fn unescape(name: &str) -> Option<String> {
    let Some(escaped) = name.strip_prefix("U__") else {
        return (!name.is_empty()).then(|| name.to_owned());
    };
    let mut plain = String::new();
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('_') {
        plain.push_str(before);
        rest = match after.strip_prefix('_') {
            Some(after) => {
                plain.push('_');
                after
            }
            None => {
                let (number, after) = after.split_once('_')?;
                plain.push(char::from_u32(u32::from_str_radix(number, 16).ok()?)?);
                after
            }
        };
    }
    plain.push_str(rest);
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn escaped_names_are_read() {
        for (name, plain) in [
            ("job", Some("job")),
            ("U__http_2e_status", Some("http.status")),
            ("U__a__b", Some("a_b")),
            ("U__a_zz_b", None),
            ("U__a_2e", None),
            ("", None),
        ] {
            assert_eq!(unescape(name).as_deref(), plain, "{name}");
        }
    }
}
