//! Whose request this is.
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use model::TenantId;

/// First value wins where it is given twice, as in Cortex.
pub const TENANT_HEADER: &str = "x-scope-orgid";

/// The tenant named by `X-Scope-OrgID`, else `anonymous`. A name that is not allowed is answered with 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant(pub TenantId);

impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = (StatusCode, String);

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let Some(value) = parts.headers.get(TENANT_HEADER) else {
            return Ok(Self(TenantId::anonymous()));
        };
        let refused = |reason: String| (StatusCode::BAD_REQUEST, reason);
        let text = value
            .to_str()
            .map_err(|_| refused("tenant ID is not plain text".to_owned()))?;
        TenantId::parse(text)
            .map(Self)
            .map_err(|error| refused(error.to_string()))
    }
}
