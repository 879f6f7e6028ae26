//! Logging in at a mail server (RFC 4954): the first mechanism in the server's order that can be used.
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};
use notifiers_core::MailLogin;

/// What the server offers and what the operator has configured.
pub(crate) struct Mechanisms<'a> {
    offered: &'a str,
    login: &'a MailLogin,
    /// Whether a password may be sent as it is: over TLS, or to this very machine.
    private: bool,
}

/// One login under way.
pub(crate) enum LoginConversation<'a> {
    CramMd5 {
        username: &'a str,
        secret: &'a str,
    },
    Login {
        username: &'a str,
        password: &'a str,
        asked: u8,
    },
    Plain {
        identity: &'a str,
        username: &'a str,
        password: &'a str,
    },
}

/// What is said to a challenge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Login {
    Answer(String),
    GivesUp,
}

impl<'a> Mechanisms<'a> {
    /// `offered` is what stands behind `AUTH` in the server's greeting.
    pub(crate) fn new(offered: &'a str, login: &'a MailLogin, private: bool) -> Self {
        Self {
            offered,
            login,
            private,
        }
    }

    /// A sentence where none can be used.
    pub(crate) fn usable(&self) -> Result<LoginConversation<'a>, String> {
        let mut reasons = Vec::new();
        for name in self.offered.split_ascii_whitespace() {
            match self.mechanism(name) {
                Ok(conversation) => return Ok(conversation),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(format!(
            "no way to log in at the mail server: {}",
            reasons.join("; ")
        ))
    }

    fn mechanism(&self, name: &str) -> Result<LoginConversation<'a>, String> {
        let username = self.login.username.as_str();
        let password = || {
            let missing = || format!("missing password for {name} auth mechanism");
            self.login.password.as_deref().ok_or_else(missing)
        };
        match name.to_ascii_uppercase().as_str() {
            "CRAM-MD5" => {
                let missing = || "missing secret for CRAM-MD5 auth mechanism".to_owned();
                let secret = self.login.secret.as_deref().ok_or_else(missing)?;
                Ok(LoginConversation::CramMd5 { username, secret })
            }
            "LOGIN" => Ok(LoginConversation::Login {
                username,
                password: password()?,
                asked: 0,
            }),
            "PLAIN" if !self.private => Err("PLAIN on an unencrypted connection".to_owned()),
            "PLAIN" => Ok(LoginConversation::Plain {
                identity: &self.login.identity,
                username,
                password: password()?,
            }),
            _ => Err(format!("unknown auth mechanism: {name}")),
        }
    }
}

impl LoginConversation<'_> {
    /// The `AUTH` command.
    pub(crate) fn begin(&self) -> String {
        match self {
            Self::CramMd5 { .. } => "AUTH CRAM-MD5".to_owned(),
            Self::Login { .. } => "AUTH LOGIN".to_owned(),
            Self::Plain {
                identity,
                username,
                password,
            } => {
                let answer = format!("{identity}\0{username}\0{password}");
                format!("AUTH PLAIN {}", BASE64.encode(answer))
            }
        }
    }

    /// What is said to a challenge, which is in base 64.
    pub(crate) fn answer(&mut self, challenge: &str) -> Login {
        match self {
            Self::CramMd5 { username, secret } => match BASE64.decode(challenge.trim()) {
                Ok(challenge) => {
                    let digest = hmac_md5(secret.as_bytes(), &challenge);
                    Login::Answer(BASE64.encode(format!("{username} {digest}")))
                }
                Err(_) => Login::GivesUp,
            },
            Self::Login {
                username,
                password,
                asked,
            } => {
                *asked += 1;
                // Servers word their two questions in many ways, but all ask for the name first.
                match asked {
                    1 => Login::Answer(BASE64.encode(username)),
                    2 => Login::Answer(BASE64.encode(password)),
                    _ => Login::GivesUp,
                }
            }
            Self::Plain { .. } => Login::GivesUp,
        }
    }
}

/// HMAC (RFC 2104) over MD5, in lower-case hexadecimal digits, as CRAM-MD5 (RFC 2195) wants it.
fn hmac_md5(key: &[u8], text: &[u8]) -> String {
    const BLOCK_BYTES: usize = 64;
    let mut padded = [0_u8; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        padded[..16].copy_from_slice(&Md5::digest(key));
    } else {
        padded[..key.len()].copy_from_slice(key);
    }
    let inner = Md5::new_with_prefix(padded.map(|byte| byte ^ 0x36))
        .chain_update(text)
        .finalize();
    let outer = Md5::new_with_prefix(padded.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use notifiers_core::MailLogin;

    use super::{Login, Mechanisms};

    fn login(password: Option<&str>, secret: Option<&str>) -> MailLogin {
        MailLogin {
            username: "tim".into(),
            password: password.map(str::to_owned),
            secret: secret.map(str::to_owned),
            identity: String::new(),
        }
    }

    #[test]
    fn the_servers_order_decides_among_what_can_be_used() {
        for (offered, login, private, begins) in [
            (
                "PLAIN LOGIN",
                login(Some("p"), None),
                true,
                "AUTH PLAIN AHRpbQBw",
            ),
            ("LOGIN PLAIN", login(Some("p"), None), true, "AUTH LOGIN"),
            ("PLAIN login", login(Some("p"), None), false, "AUTH LOGIN"),
            (
                "XOAUTH2 PLAIN",
                login(Some("p"), None),
                true,
                "AUTH PLAIN AHRpbQBw",
            ),
            (
                "CRAM-MD5 PLAIN",
                login(Some("p"), None),
                true,
                "AUTH PLAIN AHRpbQBw",
            ),
            (
                "PLAIN CRAM-MD5",
                login(None, Some("s")),
                true,
                "AUTH CRAM-MD5",
            ),
            (
                "XOAUTH2 PLAIN",
                login(Some("p"), None),
                false,
                "no way to log in at the mail server: unknown auth mechanism: XOAUTH2; PLAIN on an unencrypted connection",
            ),
        ] {
            let mechanisms = Mechanisms::new(offered, &login, private);
            let begun = match mechanisms.usable() {
                Ok(conversation) => conversation.begin(),
                Err(reason) => reason,
            };
            assert_eq!(begun, begins, "{offered}");
        }
    }

    #[test]
    fn the_identity_goes_before_the_name() {
        let login = MailLogin {
            identity: "boss".into(),
            ..login(Some("p"), None)
        };
        let conversation = Mechanisms::new("PLAIN", &login, true).usable().unwrap();
        // `boss`, `tim` and `p` between zeros.
        assert_eq!(conversation.begin(), "AUTH PLAIN Ym9zcwB0aW0AcA==");
    }

    /// The example of RFC 2195.
    #[test]
    fn cram_md5_answers_the_challenge() {
        let login = login(None, Some("tanstaaftanstaaf"));
        let mut conversation = Mechanisms::new("CRAM-MD5", &login, false).usable().unwrap();
        let challenge = BASE64.encode("<1896.697170952@postoffice.reston.mci.net>");
        let answer = BASE64.encode("tim b913a602c7eda7a495b4e6e7334d3890");
        assert_eq!(conversation.answer(&challenge), Login::Answer(answer));
        assert_eq!(conversation.answer("%"), Login::GivesUp);
    }
}
