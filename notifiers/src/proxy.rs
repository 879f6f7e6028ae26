//! Which requests go through a proxy: what `proxy_url` or the environment names, less the exceptions, by Go's rules.
use std::net::IpAddr;

use config::ProxyConfig;
use url::{Host, Url};

/// The proxies of one `http_config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProxyRules {
    for_http: Option<Url>,
    for_https: Option<Url>,
    /// `None`: there is none, not even this machine.
    exceptions: Option<Exceptions>,
}

/// What `no_proxy` lists; this machine itself is always among it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Exceptions(Vec<Exception>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    Everything,
    Network {
        address: IpAddr,
        prefix_bits: u32,
    },
    Address {
        address: IpAddr,
        port: Option<u16>,
    },
    Domain {
        /// With a dot before it.
        suffix: String,
        /// Whether the domain itself is meant too, and not only what is below it.
        itself: bool,
        port: Option<u16>,
    },
}

impl ProxyRules {
    /// `environment` looks a variable up. `None` where no request goes through a proxy; an address that is none is an
    /// error.
    pub(crate) fn read(
        config: &ProxyConfig,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, NotAnAddress> {
        let rules = match &config.url {
            Some(url) => {
                let url = proxy_url(url.as_str())?;
                let listed = (!config.no_proxy.is_empty()).then_some(config.no_proxy.as_str());
                Self {
                    for_http: url.clone(),
                    for_https: url,
                    exceptions: listed.map(Exceptions::read),
                }
            }
            None if config.from_environment => {
                let either = |upper: &str, lower: &str| {
                    let given = |name: &str| environment(name).filter(|text| !text.is_empty());
                    given(upper).or_else(|| given(lower)).unwrap_or_default()
                };
                Self {
                    for_http: proxy_url(&either("HTTP_PROXY", "http_proxy"))?,
                    for_https: proxy_url(&either("HTTPS_PROXY", "https_proxy"))?,
                    exceptions: Some(Exceptions::read(&either("NO_PROXY", "no_proxy"))),
                }
            }
            None => return Ok(None),
        };
        let is_empty = rules.for_http.is_none() && rules.for_https.is_none();
        Ok((!is_empty).then_some(rules))
    }

    /// The proxy that a request to this address goes through.
    pub(crate) fn proxy_for(&self, url: &Url) -> Option<&Url> {
        let proxy = match url.scheme() {
            "http" => self.for_http.as_ref(),
            "https" => self.for_https.as_ref(),
            _ => None,
        }?;
        let is_excepted = self
            .exceptions
            .as_ref()
            .is_some_and(|exceptions| exceptions.hold(url));
        (!is_excepted).then_some(proxy)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnAddress;

/// An address without a scheme is one of HTTP; the empty text is none.
fn proxy_url(text: &str) -> Result<Option<Url>, NotAnAddress> {
    if text.is_empty() {
        return Ok(None);
    }
    let usable = |text: &str| {
        let url = Url::parse(text).ok()?;
        let is_http = matches!(url.scheme(), "http" | "https");
        (is_http && url.has_host()).then_some(url)
    };
    let url = if text.contains("://") {
        usable(text)
    } else {
        usable(&format!("http://{text}"))
    };
    url.map(Some).ok_or(NotAnAddress)
}

impl Exceptions {
    fn read(listed: &str) -> Self {
        Self(listed.split(',').filter_map(Exception::read).collect())
    }

    fn hold(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        let (name, address) = match url.host() {
            Some(Host::Domain(name)) => (name.to_lowercase(), name.parse().ok()),
            Some(Host::Ipv4(address)) => (String::new(), Some(IpAddr::V4(address))),
            Some(Host::Ipv6(address)) => (String::new(), Some(IpAddr::V6(address))),
            None => return false,
        };
        name == "localhost"
            || address.is_some_and(|address| address.is_loopback())
            || self
                .0
                .iter()
                .any(|exception| exception.holds(&name, address, port))
    }
}

impl Exception {
    /// An element that names nothing is passed over.
    fn read(element: &str) -> Option<Self> {
        let element = element.trim().to_lowercase();
        if element == "*" {
            return Some(Self::Everything);
        }
        if let Some((address, bits)) = element.split_once('/')
            && let (Ok(address), Ok(prefix_bits)) = (address.parse::<IpAddr>(), bits.parse::<u32>())
        {
            let bits_max = if address.is_ipv4() { 32 } else { 128 };
            return (prefix_bits <= bits_max).then_some(Self::Network {
                address,
                prefix_bits,
            });
        }
        // An address of version 6 holds colons, and stands in brackets where a port follows.
        let whole: Result<IpAddr, _> = element.parse();
        let (host, port) = match element.rsplit_once(':') {
            Some((host, port)) if whole.is_err() => (host, Some(port.parse().ok()?)),
            Some(_) | None => (element.as_str(), None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = host.parse() {
            return Some(Self::Address { address, port });
        }
        let host = host.strip_prefix('*').unwrap_or(host);
        if host.is_empty() {
            return None;
        }
        let itself = !host.starts_with('.');
        Some(Self::Domain {
            suffix: if itself {
                format!(".{host}")
            } else {
                host.to_owned()
            },
            itself,
            port,
        })
    }

    fn holds(&self, name: &str, address: Option<IpAddr>, port: Option<u16>) -> bool {
        let is_port = |wanted: &Option<u16>| wanted.is_none() || *wanted == port;
        match self {
            Self::Everything => true,
            Self::Network {
                address: network,
                prefix_bits,
            } => address.is_some_and(|address| shares_prefix(address, *network, *prefix_bits)),
            Self::Address {
                address: own,
                port: wanted,
            } => address == Some(*own) && is_port(wanted),
            Self::Domain {
                suffix,
                itself,
                port: wanted,
            } => {
                let is_meant = name.ends_with(suffix.as_str()) || (*itself && name == &suffix[1..]);
                is_meant && is_port(wanted)
            }
        }
    }
}

fn shares_prefix(one: IpAddr, other: IpAddr, bits: u32) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let differing = one.to_bits() ^ other.to_bits();
            differing.leading_zeros() >= bits
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            let differing = one.to_bits() ^ other.to_bits();
            differing.leading_zeros() >= bits
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use config::{HttpUrl, ProxyConfig};
    use url::Url;

    use super::{NotAnAddress, ProxyRules};

    fn config(url: &str, no_proxy: &str, from_environment: bool) -> ProxyConfig {
        ProxyConfig {
            url: (!url.is_empty()).then(|| HttpUrl::parse(url).unwrap()),
            no_proxy: no_proxy.to_owned(),
            from_environment,
            ..ProxyConfig::default()
        }
    }

    fn proxy_of(rules: Option<&ProxyRules>, target: &str) -> String {
        let target = Url::parse(target).unwrap();
        let proxy = rules.and_then(|rules| rules.proxy_for(&target));
        proxy.map(Url::to_string).unwrap_or_default()
    }

    #[test]
    fn exceptions_are_those_of_go() {
        for (no_proxy, target, proxied) in [
            // Without exceptions there is none.
            ("", "http://localhost/", true),
            ("", "http://127.0.0.1/", true),
            // With any, this machine is one.
            ("other.test", "http://localhost:1/", false),
            ("other.test", "https://127.8.9.1/", false),
            ("other.test", "https://[::1]/", false),
            ("other.test", "https://a.test/", true),
            ("*", "https://a.test/", false),
            (" A.test , b.test", "https://a.TEST/", false),
            ("a.test", "https://x.a.test/", false),
            ("a.test", "https://xa.test/", true),
            (".a.test", "https://x.a.test/", false),
            (".a.test", "https://a.test/", true),
            ("*.a.test", "https://x.a.test/", false),
            ("*.a.test", "https://a.test/", true),
            ("a.test:8443", "https://a.test:8443/", false),
            ("a.test:8443", "https://a.test/", true),
            ("a.test:443", "https://a.test/", false),
            ("10.1.2.3", "https://10.1.2.3/", false),
            ("10.1.2.3", "https://10.1.2.4/", true),
            ("10.1.2.3:80", "http://10.1.2.3/", false),
            ("10.1.2.3:80", "https://10.1.2.3/", true),
            ("10.1.0.0/16", "https://10.1.255.4/", false),
            ("10.1.0.0/16", "https://10.2.0.4/", true),
            ("10.1.0.0/16", "https://a.test/", true),
            ("0.0.0.0/0", "https://10.2.0.4/", false),
            ("fd00::/8", "https://[fd12::1]/", false),
            ("fd00::1", "https://[fd00::1]/", false),
            ("[fd00::1]:8443", "https://[fd00::1]:8443/", false),
            ("[fd00::1]:8443", "https://[fd00::1]/", true),
            (",,:80", "http://a.test/", true),
        ] {
            let rules = ProxyRules::read(&config("http://p:1", no_proxy, false), &|_| None);
            let found = proxy_of(rules.unwrap().as_ref(), target);
            assert_eq!(!found.is_empty(), proxied, "{no_proxy:?} {target}: {found}");
        }
    }

    #[test]
    fn the_environment_names_a_proxy_for_each_scheme() {
        let environment = |name: &str| {
            let value = match name {
                "HTTP_PROXY" => "",
                "http_proxy" => "lower:1",
                "HTTPS_PROXY" => "https://u:p@upper:2",
                "https_proxy" => "http://lost:3",
                "no_proxy" => "a.test",
                _ => return None,
            };
            Some(value.to_owned())
        };
        for (from_environment, target, proxy) in [
            (true, "http://b.test/", "http://lower:1/"),
            (true, "https://b.test/", "https://u:p@upper:2/"),
            (true, "https://a.test/", ""),
            (true, "https://localhost/", ""),
            (false, "https://b.test/", ""),
        ] {
            let rules = ProxyRules::read(&config("", "", from_environment), &environment);
            assert_eq!(proxy_of(rules.unwrap().as_ref(), target), proxy, "{target}");
        }
        let read = |value: &str| {
            let value = value.to_owned();
            ProxyRules::read(&config("", "", true), &move |_| Some(value.clone()))
        };
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("socks5://a:1"), Err(NotAnAddress));
        assert_eq!(read("http://"), Err(NotAnAddress));
    }
}
