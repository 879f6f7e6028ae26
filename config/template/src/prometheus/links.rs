//! Addresses: links to graphs, and parts of `host:port`.
use crate::encoding::escape_query;

/// A link to an expression on the page of graphs; `tab` 0 is the graph, 1 the table.
pub(crate) fn graph(expr: &str, tab: u8) -> String {
    format!("/graph?g0.expr={}&g0.tab={tab}", escape_query(expr))
}

/// `host:port` without its port; unchanged where it is no such pair.
pub(crate) fn strip_port(address: &str) -> &str {
    split(address).map_or(address, |(host, _)| host)
}

/// The host up to its first dot, with the port; addresses of numbers stay whole.
pub(crate) fn strip_domain(address: &str) -> String {
    let (host, port) = split(address).map_or((address, None), |(host, port)| (host, Some(port)));
    if host.parse::<std::net::IpAddr>().is_ok() {
        return address.to_owned();
    }
    let first = host.split('.').next().unwrap_or_default();
    match port {
        Some(port) => format!("{first}:{port}"),
        None => first.to_owned(),
    }
}

/// The path of a URL, without a slash at its end.
pub(crate) fn path(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = after_scheme.find(['?', '#']).unwrap_or(after_scheme.len());
    let rest = &after_scheme[..end];
    rest.find('/').map_or("", |slash| &rest[slash..])
}

/// Go's `net.SplitHostPort`.
fn split(address: &str) -> Option<(&str, &str)> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return Some((host, rest.strip_prefix(':')?));
    }
    let (host, port) = address.rsplit_once(':')?;
    (!host.contains([':', '[', ']'])).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::{path, strip_domain, strip_port};

    #[test]
    fn addresses() {
        for (address, without_port, without_domain) in [
            ("foo.example.com:9100", "foo.example.com", "foo:9100"),
            ("foo.example.com", "foo.example.com", "foo"),
            ("10.0.0.1:80", "10.0.0.1", "10.0.0.1:80"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
            ("[2001:db8::1]:80", "2001:db8::1", "[2001:db8::1]:80"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::1"),
            ("", "", ""),
        ] {
            assert_eq!(strip_port(address), without_port);
            assert_eq!(strip_domain(address), without_domain);
        }
        assert_eq!(path("http://prom:9090/some/path"), "/some/path");
        assert_eq!(path("http://prom:9090"), "");
    }
}
