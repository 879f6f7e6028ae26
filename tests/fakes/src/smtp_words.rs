//! The words of SMTP: paths, replies of several lines, the digest of CRAM-MD5.
use md5::{Digest, Md5};

/// `250-a`, `250 b`: a reply's lines, without the last line end.
pub(crate) fn multiline(code: u16, lines: &[String]) -> String {
    let mut reply = String::new();
    for (index, line) in lines.iter().enumerate() {
        let last = index + 1 == lines.len();
        let mark = if last { ' ' } else { '-' };
        let end = if last { "" } else { "\r\n" };
        reply.push_str(&format!("{code}{mark}{line}{end}"));
    }
    reply
}

/// `FROM:<a@b> X=Y` to `a@b` and `X=Y`.
pub(crate) fn path(rest: &str, word: &str) -> Option<(String, String)> {
    let (own, rest) = rest.split_at_checked(word.len())?;
    if !own.eq_ignore_ascii_case(word) {
        return None;
    }
    let (address, parameters) = rest.strip_prefix('<')?.split_once('>')?;
    let clean = !address.contains(|letter: char| letter.is_control() || letter == ' ');
    clean.then(|| (address.to_owned(), parameters.trim().to_owned()))
}

/// HMAC-MD5 (RFC 2104), lower-case hexadecimal.
pub(crate) fn hmac_md5(key: &[u8], text: &[u8]) -> String {
    const BLOCK: usize = 64;
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..16].copy_from_slice(&Md5::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Md5::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(text)
        .finalize();
    let outer = Md5::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{hmac_md5, path};

    #[test]
    fn hashes_as_rfc_2195_says() {
        assert_eq!(
            hmac_md5(
                b"tanstaaftanstaaf",
                b"<1896.697170952@postoffice.reston.mci.net>"
            ),
            "b913a602c7eda7a495b4e6e7334d3890"
        );
    }

    #[test]
    fn paths_have_angle_brackets() {
        for (rest, read) in [
            ("FROM:<a@b> BODY=8BITMIME", Some(("a@b", "BODY=8BITMIME"))),
            ("from:<>", Some(("", ""))),
            ("FROM: <a@b>", None),
            ("FROM:a@b", None),
            ("FROM:<a b>", None),
        ] {
            let answer = path(rest, "FROM:");
            let answer = answer
                .as_ref()
                .map(|(address, rest)| (address.as_str(), rest.as_str()));
            assert_eq!(answer, read, "{rest}");
        }
    }
}
