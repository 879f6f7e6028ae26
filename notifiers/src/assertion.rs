//! A signed assertion (RFC 7523): a client that shows who it is by a key, in place of a secret.
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use config::{OAuth2, TemplateValue};
use model::Timestamp;
use runtime::pem::{NotPem, private_key};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use serde_json::{Value as Json, json};

/// How long an assertion is good for.
const LIFE_SECS: i64 = 600;

/// Why there is no assertion. None of the sentences holds the key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssertionError {
    #[error(transparent)]
    NotPem(#[from] NotPem),
    #[error("client_certificate_key is not an RSA key")]
    NotRsa,
    #[error("it cannot be signed")]
    Unsigned,
}

/// `number` is drawn anew for each.
pub(crate) fn assertion(
    settings: &OAuth2,
    key: &[u8],
    number: u128,
    now: Timestamp,
) -> Result<String, AssertionError> {
    let (name, scheme) = match settings.signature_algorithm.as_str() {
        "RS384" => ("RS384", SignatureScheme::RSA_PKCS1_SHA384),
        "RS512" => ("RS512", SignatureScheme::RSA_PKCS1_SHA512),
        _ => ("RS256", SignatureScheme::RSA_PKCS1_SHA256),
    };
    let mut head = json!({"alg": name, "typ": "JWT"});
    if !settings.client_certificate_key_id.is_empty() {
        head["kid"] = Json::from(settings.client_certificate_key_id.as_str());
    }
    let claims = json!(claims(settings, number, now));
    let part = |json: &Json| BASE64.encode(json.to_string());
    let signed = format!("{}.{}", part(&head), part(&claims));
    let key = any_supported_type(&private_key(key)?).map_err(|_| AssertionError::NotRsa)?;
    let signer = key.choose_scheme(&[scheme]).ok_or(AssertionError::NotRsa)?;
    let signature = signer
        .sign(signed.as_bytes())
        .map_err(|_| AssertionError::Unsigned)?;
    Ok(format!("{signed}.{}", BASE64.encode(signature)))
}

fn claims(settings: &OAuth2, number: u128, now: Timestamp) -> BTreeMap<String, Json> {
    let or = |own: &str, other: &str| {
        let text = if own.is_empty() { other } else { own };
        Json::from(text)
    };
    let now = now.as_millis().div_euclid(1000);
    let mut claims: BTreeMap<String, Json> = [
        ("aud", or(&settings.audience, &settings.token_url)),
        ("exp", Json::from(now + LIFE_SECS)),
        ("iat", Json::from(now)),
        ("iss", or(&settings.issuer, &settings.client_id)),
        ("jti", Json::from(uuid(number))),
        ("sub", Json::from(settings.client_id.as_str())),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if !settings.scopes.is_empty() {
        claims.insert("scope".to_owned(), Json::from(settings.scopes.join(" ")));
    }
    for (name, value) in &settings.claims {
        claims.insert(name.clone(), json_of(value));
    }
    claims
}

/// Version 4 of RFC 9562.
fn uuid(number: u128) -> String {
    let versioned = (number & !(0xf << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62);
    let digits = format!("{versioned:032x}");
    let [a, b, c, d, e] = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| &digits[range]);
    format!("{a}-{b}-{c}-{d}-{e}")
}

fn json_of(value: &TemplateValue) -> Json {
    match value {
        TemplateValue::Null => Json::Null,
        TemplateValue::Bool(value) => Json::from(*value),
        TemplateValue::Integer(value) => Json::from(*value),
        TemplateValue::Float(value) => Json::from(*value),
        TemplateValue::Text(text) => Json::from(text.as_str()),
        TemplateValue::List(items) => Json::Array(items.iter().map(json_of).collect()),
        TemplateValue::Map(entries) => Json::Object(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), json_of(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    use config::{AlertmanagerConfig, AlertmanagerOptions, HttpAuthorization, OAuth2};
    use model::Timestamp;
    use serde_json::{Value as Json, json};

    use super::assertion;

    /// Made for these tests.
    const KEY: &[u8] = include_bytes!("tests/rsa-key.pem");
    const NOW: Timestamp = Timestamp::from_millis(1_795_171_200_999);
    const NUMBER: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;

    fn oauth2(keys: &str) -> OAuth2 {
        let text = format!(
            "global: {{http_config: {{oauth2: {{client_id: id, token_url: 'http://t/'{keys}}}}}}}\n\
             route: {{receiver: r}}\nreceivers: [{{name: r}}]\n"
        );
        let config = AlertmanagerConfig::read("a.yml", &text, &AlertmanagerOptions::default());
        match config.unwrap().value.global.http.authorization {
            Some(HttpAuthorization::OAuth2(oauth2)) => *oauth2,
            other => panic!("{other:?}"),
        }
    }

    /// The head, and the claims without what every assertion has.
    fn read(keys: &str) -> (Json, Json) {
        let text = assertion(&oauth2(keys), KEY, NUMBER, NOW).unwrap();
        let mut parts = text
            .split('.')
            .map(|part| serde_json::from_slice(&BASE64.decode(part).unwrap()));
        let head = parts.next().unwrap().unwrap();
        let claims = parts.next().unwrap().unwrap();
        (head, claims)
    }

    #[test]
    fn keys_of_an_assertion() {
        let number = "01234567-89ab-4def-8123-456789abcdef";
        let plain = json!({"aud": "http://t/", "exp": 1_795_171_800, "iat": 1_795_171_200, "iss": "id", "jti": number, "sub": "id"});
        let with = |name: &str, value: Json| {
            let mut claims = plain.clone();
            claims[name] = value;
            claims
        };
        let rs256 = json!({"alg": "RS256", "typ": "JWT"});
        for (keys, head, claims) in [
            ("", rs256.clone(), plain.clone()),
            (
                ", signature_algorithm: RS512",
                json!({"alg": "RS512", "typ": "JWT"}),
                plain.clone(),
            ),
            (
                ", client_certificate_key_id: k1",
                json!({"alg": "RS256", "kid": "k1", "typ": "JWT"}),
                plain.clone(),
            ),
            (", iss: me", rs256.clone(), with("iss", json!("me"))),
            (", audience: you", rs256.clone(), with("aud", json!("you"))),
            (
                ", scopes: [a, b]",
                rs256.clone(),
                with("scope", json!("a b")),
            ),
            (", claims: {n: 1, deep: {a: [true, x]}}", rs256.clone(), {
                let mut claims = with("n", json!(1));
                claims["deep"] = json!({"a": [true, "x"]});
                claims
            }),
            (", claims: {sub: other}", rs256, with("sub", json!("other"))),
        ] {
            assert_eq!(read(keys), (head, claims), "{keys}");
        }
    }

    /// Signatures of the same text by `openssl dgst -sha256 -sign`, and its like: they are no matter of chance.
    #[test]
    fn signatures_are_openssls() {
        for (algorithm, signature) in [
            (
                "RS256",
                "Wc21qIfhwFlK-JprhCsZIUQ_OGfKM3sn-2BbNYNHpQ9zdpgspXqcDHFIDtopcmaQRcHd8uBFu-4PzXdyKbRPF9tIJRmK_GGzZ5C3039rqF8y0y489QMpFx_PkmiiHRKucW9xukH_N32Z0vSQYE8d4-wYnpJddlmWaj6sqs00geVv_lR8PgWq6oVGKKKGfKPA06x6JGEkkEn3wMVH5AaiF41S8UsK4H9OHFN0HrFVpSPOHG7BWVEewwLwb7Y73v0QWwd2IiNrp1us7Y1rFRRJAVxJxTo_wKCYEnl_wSWUhjyEde9wHyRFiXE2i2tELCcz9L4cynB0zD8oYo1aa5Xx0g",
            ),
            (
                "RS384",
                "qDSYKflFfdu3GSplpCq3n5aGK-iegO03A4jRqHi8rv8yVI_kX9qz98FOwhIDhnxbbx4UxAShCnMzPRlh0vcrq5Zt1VKQEZT7AXnJTMWkFCtU7NOtLUneDy9jPfbM-oDfmn-mo-wz5gfAXuP8Nbd9HtVXBIGcHUjEDm1NpN8-_vs1Qxu48J6kNFnbkIaJq5d2oHsa0tGFIGm0sd0PhzxXBTFyUwukg5xLbfG4ns3q9XBeikeodkq4cPOSw1nepUOo9olEYIxK7YnHhoQcnSfTBPrQ7B1gPv0PXd9WOyxipyeIhA9SMc3myg1rbMAXxkulU79Qy3kKzHnYV5xfJIO2Xw",
            ),
            (
                "RS512",
                "AQaCEYTFHjhEgGqd7DO9FKR_kDhNDelPeOhgH7x3pvlpdSXvxTNzy-XlbI0udrTxgJCeXqloHhUk9FNBDKDoXNOVUhXnVOl1QSDW8sYvobWTrrGwrI9fF5vyS72cdnIZ6fMomLvluL--tWMST4iUOWCXyozTqI_Y2M2VDQ9VByyDKi6iB6jePRlTPmZNuwlbSmeaoUVT3G4wFdT2BCIjt-wfZtXelLhxInKTRs8Zt_6XJ_gszFQ2b54Z9Ih0gNA4DG6vMzNXGJJCy_dY5BX2ens00k6JwdxOfCQDO3ieXm4QzxdzsBJe3YXtG7d8uGy2CgwOw1vbrDmoPWlGyu89gA",
            ),
        ] {
            let settings = oauth2(&format!(", signature_algorithm: {algorithm}"));
            let text = assertion(&settings, KEY, NUMBER, NOW).unwrap();
            assert_eq!(text.rsplit('.').next(), Some(signature), "{algorithm}");
        }
    }

    #[test]
    fn what_cannot_sign_is_named_and_not_shown() {
        let other = fakes::Tls::new();
        for (key, sentence) in [
            ("hunter2", "the key is not in PEM form"),
            (other.key_pem(), "client_certificate_key is not an RSA key"),
        ] {
            let error = assertion(&oauth2(""), key.as_bytes(), NUMBER, NOW).unwrap_err();
            assert_eq!(error.to_string(), sentence);
        }
    }
}
