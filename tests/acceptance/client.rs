//! The tests' own HTTP client, and what it says when it sends samples.
use fakes::REMOTE_WRITE_HEADERS;
use reqwest::{Client, RequestBuilder};

/// Whatever proxy the machine has is passed by.
pub(crate) fn plain_client() -> Client {
    let client = Client::builder().no_proxy().build();
    client.expect("a plain client")
}

/// A request of remote write 1.0 to whoever listens at `base`.
pub(crate) fn remote_write(client: &Client, base: &str, body: Vec<u8>) -> RequestBuilder {
    let request = client.post(format!("{base}/api/v1/write")).body(body);
    let headers = REMOTE_WRITE_HEADERS.into_iter();
    headers.fold(request, |request, (name, value)| {
        request.header(name, value)
    })
}
