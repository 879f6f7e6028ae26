//! Which text a scraper wants.
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFormat {
    /// 0.0.4: for whoever asks for nothing else.
    Classic,
    /// 1.0.0.
    OpenMetrics,
}

/// One of the kinds of text that a scraper takes.
struct Range<'h> {
    media: &'h str,
    version: &'h str,
    quality: f64,
}

impl TextFormat {
    /// OpenMetrics where it is named and nothing that the classic format satisfies is preferred.
    pub(crate) fn wanted(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).into_iter();
        let ranges: Vec<Range<'_>> = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(Range::read)
            .collect();
        let best = |is_meant: &dyn Fn(&Range<'_>) -> bool| {
            let meant = ranges.iter().filter(|range| is_meant(range));
            meant.map(|range| range.quality).reduce(f64::max)
        };
        let open_metrics = best(&|range| range.is("application/openmetrics-text", "1.0.0"));
        // The narrower range counts, whatever the wider one says.
        let classic = best(&|range| range.is("text/plain", "0.0.4"))
            .or_else(|| best(&|range| range.is("text/*", "")))
            .or_else(|| best(&|range| range.is("*/*", "")));
        match open_metrics {
            Some(quality) if quality > 0.0 && quality >= classic.unwrap_or(0.0) => {
                Self::OpenMetrics
            }
            Some(_) | None => Self::Classic,
        }
    }
}

impl<'h> Range<'h> {
    /// `None` where the quality is none.
    fn read(text: &'h str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Self {
            media: parts.next()?,
            version: "",
            quality: 1.0,
        };
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            if name.eq_ignore_ascii_case("version") {
                range.version = value;
            } else if name.eq_ignore_ascii_case("q") {
                range.quality = value
                    .parse()
                    .ok()
                    .filter(|quality| (0.0..=1.0).contains(quality))?;
            }
        }
        Some(range)
    }

    fn is(&self, media: &str, version: &str) -> bool {
        self.media.eq_ignore_ascii_case(media)
            && (self.version.is_empty() || self.version == version)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::ACCEPT;
    use axum::http::{HeaderMap, HeaderValue};

    use super::TextFormat::{self, Classic, OpenMetrics};

    #[test]
    fn the_scraper_decides() {
        for (accept, wanted) in [
            (&[][..], Classic),
            (&["*/*"], Classic),
            (&["text/html,application/xhtml+xml,*/*;q=0.8"], Classic),
            (&["application/json"], Classic),
            (&["application/openmetrics-text"], OpenMetrics),
            (
                &["Application/OpenMetrics-Text; version=\"1.0.0\""],
                OpenMetrics,
            ),
            (&["application/openmetrics-text;version=0.0.1"], Classic),
            (&["application/openmetrics-text;q=0"], Classic),
            (&["application/openmetrics-text;q=x"], Classic),
            (&["text/plain", "application/openmetrics-text"], OpenMetrics),
            (
                &["text/plain;version=0.0.4,application/openmetrics-text;q=0.9"],
                Classic,
            ),
            (&["application/openmetrics-text;q=0.5,*/*;q=0.8"], Classic),
            (
                &["application/openmetrics-text;q=0.5,text/*;q=0.1,*/*;q=0.8"],
                OpenMetrics,
            ),
            (
                &["application/openmetrics-text;q=0.5,text/plain;version=1.0.0"],
                OpenMetrics,
            ),
            // Prometheus 2.42 and 3.
            (
                &[
                    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ],
                OpenMetrics,
            ),
            (
                &[
                    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                ],
                OpenMetrics,
            ),
            // Where OpenMetrics is switched off: `scrape_protocols: [PrometheusText0.0.4]`.
            (&["text/plain;version=0.0.4;q=0.5,*/*;q=0.1"], Classic),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(TextFormat::wanted(&headers), wanted, "{accept:?}");
        }
    }
}
