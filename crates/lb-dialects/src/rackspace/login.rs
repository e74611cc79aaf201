//! The log-in: Keystone v2.0, with the vendor's API keys.

use super::{Fault, ROOT, TOKENS};
use crate::{Accounts, Login, Request, Response, Secret, http::without_nulls, timestamp};
use serde_json::{Value, json};

/// The region that clients look for first.
const REGION: &str = "ORD";

/// Answers everything below `/v2.0`. `account`: the number that the configuration says. May hash.
pub fn login(accounts: &dyn Accounts, account: u32, request: &Request) -> Response {
    answer(accounts, account, request).unwrap_or_else(Fault::response)
}

fn answer(accounts: &dyn Accounts, account: u32, request: &Request) -> Result<Response, Fault> {
    let wrong = |status: u16, name: &'static str, message: &str| Fault::new(status, message).wrapped(name);
    if request.path.trim_end_matches('/').trim_end_matches(".json") != TOKENS {
        return Err(wrong(404, "itemNotFound", "The resource could not be found."));
    }
    if request.method != "POST" {
        return Err(Fault::method_not_allowed(&["POST"]).wrapped("badMethod"));
    }
    let unread = || wrong(400, "badRequest", "Expecting to find valid JSON with credentials in the request body.");
    let body: Value = serde_json::from_slice(&request.body).map_err(|_| unread())?;
    let auth = without_nulls(body).get("auth").cloned().ok_or_else(unread)?;
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    let key = auth.get("RAX-KSKEY:apiKeyCredentials");
    let password = auth.get("passwordCredentials");
    let (user, secret, by_key) = match (key, password) {
        (Some(of), _) => (text(of, "username"), text(of, "apiKey"), true),
        (None, Some(of)) => (text(of, "username"), text(of, "password"), false),
        (None, None) => return Err(unread()),
    };
    let (user, secret) = user.zip(secret).ok_or_else(unread)?;
    let secret = if by_key { Secret::ApiKey(&secret) } else { Secret::Password(&secret) };
    match accounts.login(&user, secret) {
        Some(login) => Ok(Response::json(200, access(&login, account, by_key, request))),
        None => Err(wrong(401, "unauthorized", "Unable to authenticate user with credentials provided.")),
    }
}

fn access(login: &Login, account: u32, by_key: bool, request: &Request) -> Value {
    let tenant = account.to_string();
    let url = format!("{}://{}{ROOT}{tenant}", request.scheme, request.host);
    json!({"access": {
        "token": {
            "id": login.token,
            "expires": timestamp(login.expires),
            "tenant": {"id": tenant, "name": tenant},
            "RAX-AUTH:authenticatedBy": [if by_key { "APIKEY" } else { "PASSWORD" }],
        },
        "serviceCatalog": [{
            "name": "cloudLoadBalancers",
            "type": "rax:load-balancer",
            "endpoints": [{"region": REGION, "tenantId": tenant, "publicURL": url}],
        }],
        "user": {
            "id": "1",
            "name": login.user,
            "RAX-AUTH:defaultRegion": REGION,
            "roles": [{"id": "3", "name": "identity:user-admin", "description": "User of this unit"}],
        },
    }})
}
