//! The parameters of a request: of its address and, of a form, of its body. As in Go the body comes first, but where it is
//! in many parts.
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use model::{Matcher, Timestamp, duration, go_quote};
use promql::{Expr, ParserOptions};

use crate::api::envelope::ApiError;
use crate::api::multipart::{boundary, fields};

/// Go's bound for a form.
const FORM_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Go's bound for an address or a form.
const PAIRS_MAX: usize = 10_000;
/// Each of them may look at every series. A federation that names its metrics one by one has some hundred.
const SELECTORS_MAX: usize = 1000;
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

#[derive(Debug, Default)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    pub(crate) async fn read(request: Request) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default();
        let in_address = parsed(query.as_bytes())?;
        let content_type = parts.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default();
        let media = content_type.split(';').next().unwrap_or_default().trim();
        let mut pairs = Vec::new();
        if parts.method != Method::POST {
            pairs.extend(in_address);
        } else if media.eq_ignore_ascii_case(MULTIPART) {
            let body = form_body(body).await?;
            let fields = boundary(content_type).and_then(|boundary| fields(&body, &boundary));
            let fields = fields.map_err(wrong_form)?;
            pairs.extend(in_address.chain(fields));
        } else {
            if media.eq_ignore_ascii_case(FORM) {
                let body = form_body(body).await?;
                pairs.extend(parsed(&body)?);
            }
            pairs.extend(in_address);
        }
        Ok(Self { pairs })
    }

    /// The first value; empty where there is none.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or("")
    }

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs
            .iter()
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// A time that must be given.
    pub(crate) fn time(&self, name: &str) -> Result<Timestamp, ApiError> {
        parse_time(self.value(name)).map_err(|detail| ApiError::parameter(name, detail))
    }

    pub(crate) fn time_or(&self, name: &str, absent: Timestamp) -> Result<Timestamp, ApiError> {
        match self.value(name) {
            "" => Ok(absent),
            text => parse_time(text).map_err(|detail| {
                ApiError::parameter(name, format!("invalid time value for '{name}': {detail}"))
            }),
        }
    }

    /// A duration in milliseconds, of either sign, that must be given.
    pub(crate) fn duration_millis(&self, name: &str) -> Result<i64, ApiError> {
        parse_duration(self.value(name)).map_err(|detail| ApiError::parameter(name, detail))
    }

    /// `None` where it is not given.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, ApiError> {
        if self.value(name).is_empty() {
            return Ok(None);
        }
        let millis = self.duration_millis(name)?;
        Ok(Some(Duration::from_millis(
            u64::try_from(millis).unwrap_or(0),
        )))
    }

    /// How many results are wanted; `None` for all.
    pub(crate) fn limit(&self) -> Result<Option<usize>, ApiError> {
        let text = self.value("limit");
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<i64>() {
            Ok(0) => Ok(None),
            Ok(limit) => usize::try_from(limit)
                .map(Some)
                .map_err(|_| ApiError::parameter("limit", "limit must be non-negative")),
            Err(_) => {
                let quoted = go_quote::quote(text);
                Err(ApiError::parameter(
                    "limit",
                    format!("strconv.Atoi: parsing {quoted}: invalid syntax"),
                ))
            }
        }
    }

    /// The selectors of all `match[]`, each a list of matchers of which one at least does not match the empty string.
    pub(crate) fn selectors(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        self.parsed_selectors().map_err(ApiError::bad_data)
    }

    /// The same where a mistake names the parameter.
    pub(crate) fn named_selectors(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        self.parsed_selectors()
            .map_err(|detail| ApiError::parameter("match[]", detail))
    }

    fn parsed_selectors(&self) -> Result<Vec<Vec<Matcher>>, String> {
        if self.all("match[]").nth(SELECTORS_MAX).is_some() {
            return Err(format!("more than {SELECTORS_MAX} selectors in match[]"));
        }
        self.all("match[]").map(parse_selector).collect()
    }
}

/// The pairs of an address or a form, if they are not too many: each takes much more memory than its two characters.
fn parsed(encoded: &[u8]) -> Result<impl Iterator<Item = (String, String)> + '_, ApiError> {
    let pairs = encoded.iter().filter(|byte| **byte == b'&').count() + 1;
    if pairs > PAIRS_MAX {
        return Err(wrong_form("number of parameters exceeds the limit"));
    }
    Ok(form_urlencoded::parse(encoded).into_owned())
}

async fn form_body(body: Body) -> Result<Bytes, ApiError> {
    let read = to_bytes(body, FORM_BYTES_MAX).await;
    read.map_err(|_| wrong_form("form is too large"))
}

fn wrong_form(problem: impl std::fmt::Display) -> ApiError {
    ApiError::bad_data(format!("error parsing form values: {problem}"))
}

fn parse_selector(text: &str) -> Result<Vec<Matcher>, String> {
    // The parser itself refuses `{}`, and says it in words that fit a query; here they speak of `match[]`.
    let expr = match promql::parse(text, &ParserOptions::default()) {
        Ok(expr) => expr,
        Err(error) if error.message.contains("at least one non-empty matcher") => {
            return Err("match[] must contain at least one non-empty matcher".to_owned());
        }
        Err(error) => return Err(error.to_string()),
    };
    if let Expr::Selector(selector) = expr
        && selector.at.is_none()
        && selector.offset.is_none()
    {
        return Ok(selector.matchers);
    }
    Err(format!(
        "{} is not a selector of series",
        go_quote::quote(text)
    ))
}

/// What Prometheus' clients send for a window without an end: the first and the last time that Go can tell apart, in years
/// that RFC 3339 does not have.
const TIME_MIN: &str = "-292273086-05-16T16:47:06Z";
const TIME_MAX: &str = "292277025-08-18T07:12:54.999999999Z";
/// Between 1970 and Go's year 1.
const GO_EPOCH_SECS: i64 = 62_135_596_801;
const TIME_MIN_MILLIS: i64 = (i64::MIN / 1000 + GO_EPOCH_SECS) * 1000;
const TIME_MAX_MILLIS: i64 = (i64::MAX / 1000 - GO_EPOCH_SECS) * 1000 + 999;

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let wrong = || {
        format!(
            "cannot parse {} to a valid timestamp",
            go_quote::quote(text)
        )
    };
    if let Ok(seconds) = text.parse::<f64>() {
        // Prometheus reckons in nanoseconds and tells of some other time where they do not fit.
        return Timestamp::from_secs_f64(seconds)
            .filter(|at| (TIME_MIN_MILLIS..=TIME_MAX_MILLIS).contains(&at.as_millis()))
            .ok_or_else(wrong);
    }
    match text {
        TIME_MIN => Ok(Timestamp::from_millis(TIME_MIN_MILLIS)),
        TIME_MAX => Ok(Timestamp::from_millis(TIME_MAX_MILLIS)),
        _ => Timestamp::parse_rfc3339(text).map_err(|_| wrong()),
    }
}

fn parse_duration(text: &str) -> Result<i64, String> {
    let quoted = || go_quote::quote(text);
    if let Ok(seconds) = text.parse::<f64>() {
        // Go counts nanoseconds in 63 bits.
        return if (seconds * 1e9).abs() < 9.223_372_036_854_776e18 {
            Ok((seconds * 1000.0) as i64)
        } else {
            Err(format!(
                "cannot parse {} to a valid duration. It overflows int64",
                quoted()
            ))
        };
    }
    duration::parse(text)
        .map(|duration| duration.as_millis() as i64)
        .map_err(|_| format!("cannot parse {} to a valid duration", quoted()))
}

#[cfg(test)]
mod tests {
    use super::{Params, parse_duration, parse_time, parsed};

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params {
            pairs: pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn a_form_has_ten_thousand_pairs_at_most() {
        let pairs = "a&".repeat(9_999);
        assert_eq!(parsed(pairs.as_bytes()).unwrap().count(), 9_999);
        let error = parsed(format!("{pairs}&").as_bytes()).err().unwrap();
        assert_eq!(
            error.message(),
            "error parsing form values: number of parameters exceeds the limit"
        );
    }

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        for (text, millis) in [
            ("1", Some(1000)),
            ("1.0006", Some(1001)),
            ("-1.5", Some(-1500)),
            ("1.0005", Some(1000)),
            ("1e3", Some(1_000_000)),
            ("253402300800", Some(253_402_300_800_000)),
            ("-1e15", Some(-1_000_000_000_000_000_000)),
            // The first and the last time of Go as clients spell them in seconds.
            ("-9223309901257974", Some(-9_223_309_901_257_974_000)),
            ("9223309901257974", Some(9_223_309_901_257_974_000)),
            ("9223309901257976", None),
            ("1e300", None),
            ("-Inf", None),
            ("2015-06-03T13:21:58.555Z", Some(1_433_337_718_555)),
            (
                "-292273086-05-16T16:47:06Z",
                Some(-9_223_309_901_257_974_000),
            ),
            (
                "292277025-08-18T07:12:54.999999999Z",
                Some(9_223_309_901_257_974_999),
            ),
            ("292277025-08-18T07:12:55Z", None),
            ("", None),
            ("NaN", None),
            ("now", None),
        ] {
            let parsed = parse_time(text);
            assert_eq!(
                parsed.as_ref().ok().map(|at| at.as_millis()),
                millis,
                "{text}"
            );
        }
        assert_eq!(
            parse_time("x").unwrap_err(),
            "cannot parse \"x\" to a valid timestamp"
        );
    }

    #[test]
    fn durations_are_seconds_or_prometheus_own() {
        for (text, outcome) in [
            ("15", Ok(15_000)),
            ("0.1", Ok(100)),
            ("-1", Ok(-1000)),
            ("1m30s", Ok(90_000)),
            ("x", Err("cannot parse \"x\" to a valid duration")),
            ("", Err("cannot parse \"\" to a valid duration")),
            (
                "1e10",
                Err("cannot parse \"1e10\" to a valid duration. It overflows int64"),
            ),
        ] {
            assert_eq!(
                parse_duration(text),
                outcome.map_err(str::to_owned),
                "{text}"
            );
        }
    }

    #[test]
    fn limits_are_counts() {
        for (text, outcome) in [
            ("", Ok(None)),
            ("0", Ok(None)),
            ("3", Ok(Some(3))),
            ("-1", Err("limit must be non-negative")),
            ("x", Err("strconv.Atoi: parsing \"x\": invalid syntax")),
        ] {
            let limit = params(&[("limit", text)]).limit();
            assert_eq!(
                limit.map_err(|error| error.message().to_owned()),
                outcome.map_err(|detail| format!("invalid parameter \"limit\": {detail}")),
                "{text}"
            );
        }
    }

    #[test]
    fn selectors_select_something() {
        let selectors = |text: &str| {
            params(&[("match[]", text)])
                .named_selectors()
                .map(|all| all[0].iter().map(ToString::to_string).collect::<Vec<_>>())
                .map_err(|error| error.message().to_owned())
        };
        assert_eq!(
            selectors("up{job=~\"a|b\"}").unwrap(),
            ["job=~\"a|b\"", "__name__=\"up\""]
        );
        assert_eq!(
            selectors("{}").unwrap_err(),
            "invalid parameter \"match[]\": match[] must contain at least one non-empty matcher"
        );
        assert_eq!(
            selectors("sum(up)").unwrap_err(),
            "invalid parameter \"match[]\": \"sum(up)\" is not a selector of series"
        );
        assert!(
            selectors("up{").unwrap_err().contains("parse error"),
            "with the parser's words"
        );
    }
}
