//! Query parameters: repeated names, and the many words for true.
use axum::http::Uri;

/// Words that mean true, in any case; anything else that is not empty means false.
const TRUE: [&str; 10] = [
    "true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled",
];

pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(crate) fn of(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or("");
        Self {
            pairs: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        }
    }

    /// Every value of a parameter, in order.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs
            .iter()
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> bool {
        match self.all(name).last() {
            None | Some("") => default,
            Some(value) => TRUE.contains(&value.to_ascii_lowercase().as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn many_words_are_true_and_all_others_false() {
        for (query, active) in [
            ("", true),
            ("?active=", true),
            ("?active=true", true),
            ("?active=YES", true),
            ("?active=enabled", true),
            ("?active=0", false),
            ("?active=whatever", false),
            ("?active=true&active=false", false),
        ] {
            let uri = format!("/api/v2/alerts{query}").parse().unwrap();
            assert_eq!(Query::of(&uri).flag("active", true), active, "{query}");
        }
        let uri = "/x?filter=a%3D1&filter=b%3D%22x+y%22".parse().unwrap();
        let query = Query::of(&uri);
        assert_eq!(
            query.all("filter").collect::<Vec<_>>(),
            ["a=1", "b=\"x y\""]
        );
    }
}
