//! What there is: every place with its methods, for routing and for the description that a client may load.

use crate::Request;
use serde_json::{Map, Value, json};

/// A place, its method, and what it answers. `{name}` stands for one part of the path.
type Row = (&'static str, &'static str, &'static str);

const AUTH: &[Row] = &[
    ("/auth/time", "GET", "long"),
    ("/auth/credential", "POST", "auth.Credential"),
    ("/auth/currentCredential", "GET", "api.Credential"),
    ("/auth/logout", "POST", "void"),
];

const SERVICE: &[Row] = &[
    ("/ipLoadbalancing", "GET", "string[]"),
    ("/ipLoadbalancing/{serviceName}", "GET", "ipLoadbalancing.Ip"),
    ("/ipLoadbalancing/{serviceName}", "PUT", "void"),
    ("/ipLoadbalancing/{serviceName}/zone", "GET", "string[]"),
    ("/ipLoadbalancing/{serviceName}/zone/{name}", "GET", "ipLoadbalancing.Zone"),
    ("/ipLoadbalancing/{serviceName}/status", "GET", "ipLoadbalancing.Status"),
    ("/ipLoadbalancing/{serviceName}/definedFarms", "GET", "ipLoadbalancing.DefinedFarm[]"),
    ("/ipLoadbalancing/{serviceName}/definedFrontends", "GET", "ipLoadbalancing.DefinedFrontend[]"),
    ("/ipLoadbalancing/{serviceName}/availableFarmProbes", "GET", "ipLoadbalancing.FarmAvailableProbe[]"),
    ("/ipLoadbalancing/{serviceName}/availableFarmType", "GET", "string[]"),
    ("/ipLoadbalancing/{serviceName}/availableFrontendType", "GET", "string[]"),
    ("/ipLoadbalancing/{serviceName}/natIp", "GET", "ipLoadbalancing.NatIps[]"),
    ("/ipLoadbalancing/{serviceName}/ssl", "GET", "long[]"),
    ("/ipLoadbalancing/{serviceName}/ssl", "POST", "ipLoadbalancing.Ssl.Ssl"),
    ("/ipLoadbalancing/{serviceName}/ssl/{id}", "GET", "ipLoadbalancing.Ssl.Ssl"),
    ("/ipLoadbalancing/{serviceName}/ssl/{id}", "PUT", "void"),
    ("/ipLoadbalancing/{serviceName}/ssl/{id}", "DELETE", "void"),
    ("/ipLoadbalancing/{serviceName}/pendingChanges", "GET", "ipLoadbalancing.PendingChanges[]"),
    ("/ipLoadbalancing/{serviceName}/refresh", "POST", "ipLoadbalancing.Task"),
    ("/ipLoadbalancing/{serviceName}/task", "GET", "long[]"),
    ("/ipLoadbalancing/{serviceName}/task/{id}", "GET", "ipLoadbalancing.Task"),
];

/// For each of http, tcp and udp, whose word takes the place of KIND.
const KIND: &[Row] = &[
    ("/ipLoadbalancing/{serviceName}/KIND/farm", "GET", "long[]"),
    ("/ipLoadbalancing/{serviceName}/KIND/farm", "POST", "ipLoadbalancing.Farm"),
    ("/ipLoadbalancing/{serviceName}/KIND/farm/{farmId}", "GET", "ipLoadbalancing.Farm"),
    ("/ipLoadbalancing/{serviceName}/KIND/farm/{farmId}", "PUT", "void"),
    ("/ipLoadbalancing/{serviceName}/KIND/farm/{farmId}", "DELETE", "void"),
    ("/ipLoadbalancing/{serviceName}/KIND/farm/{farmId}/server", "GET", "long[]"),
    ("/ipLoadbalancing/{serviceName}/KIND/farm/{farmId}/server", "POST", "ipLoadbalancing.Server"),
    ("/ipLoadbalancing/{serviceName}/KIND/farm/{farmId}/server/{serverId}", "GET", "ipLoadbalancing.Server"),
    ("/ipLoadbalancing/{serviceName}/KIND/farm/{farmId}/server/{serverId}", "PUT", "void"),
    ("/ipLoadbalancing/{serviceName}/KIND/farm/{farmId}/server/{serverId}", "DELETE", "void"),
    ("/ipLoadbalancing/{serviceName}/KIND/frontend", "GET", "long[]"),
    ("/ipLoadbalancing/{serviceName}/KIND/frontend", "POST", "ipLoadbalancing.Frontend"),
    ("/ipLoadbalancing/{serviceName}/KIND/frontend/{frontendId}", "GET", "ipLoadbalancing.Frontend"),
    ("/ipLoadbalancing/{serviceName}/KIND/frontend/{frontendId}", "PUT", "void"),
    ("/ipLoadbalancing/{serviceName}/KIND/frontend/{frontendId}", "DELETE", "void"),
];

const KINDS: [&str; 3] = ["http", "tcp", "udp"];

fn rows() -> impl Iterator<Item = (String, &'static str, &'static str)> {
    let plain = AUTH.iter().chain(SERVICE).map(|(path, method, answer)| ((*path).to_owned(), *method, *answer));
    let of = |kind: &'static str| {
        KIND.iter().map(move |(path, method, answer)| (path.replace("KIND", kind), *method, *answer))
    };
    plain.chain(KINDS.into_iter().flat_map(of))
}

fn fits(pattern: &str, parts: &[&str]) -> bool {
    let wanted: Vec<&str> = pattern.split('/').skip(1).collect();
    wanted.len() == parts.len() && wanted.iter().zip(parts).all(|(word, part)| word.starts_with('{') || word == part)
}

/// What may be done at a place; nothing: there is no such place.
pub fn methods(parts: &[&str]) -> Option<Vec<&'static str>> {
    let found: Vec<&str> = rows().filter(|(path, ..)| fits(path, parts)).map(|(_, method, _)| method).collect();
    (!found.is_empty()).then_some(found)
}

/// `GET /1.0/ipLoadbalancing.json` and `/1.0/auth.json`
pub fn describe(request: &Request, file: &str) -> Value {
    let root = format!("/{}", file.trim_end_matches(".json"));
    let mut apis: Vec<(String, Vec<Value>)> = Vec::new();
    for (path, method, answer) in rows().filter(|(path, ..)| *path == root || path.starts_with(&format!("{root}/"))) {
        let open = path == "/auth/time" || path == "/auth/credential";
        let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let mut parameters: Vec<Value> = names
            .map(|name| {
                let kind = if name == "serviceName" || name == "name" { "string" } else { "long" };
                json!({"name": name, "paramType": "path", "dataType": kind, "fullType": kind, "required": true,
                       "description": ""})
            })
            .collect();
        if matches!(method, "POST" | "PUT") {
            parameters.push(json!({"name": null, "paramType": "body", "dataType": "object", "fullType": "object",
                                   "required": method == "PUT", "description": ""}));
        }
        let operation = json!({
            "httpMethod": method,
            "description": "",
            "parameters": parameters,
            "responseType": answer,
            "noAuthentication": open,
            "apiStatus": {"value": "PRODUCTION", "description": "Stable production version"},
        });
        match apis.iter_mut().find(|(known, _)| *known == path) {
            Some((_, operations)) => operations.push(operation),
            None => apis.push((path, vec![operation])),
        }
    }
    let apis: Vec<Value> = apis
        .into_iter()
        .map(|(path, operations)| json!({"path": path, "description": "", "operations": operations}))
        .collect();
    json!({
        "apiVersion": "1.0",
        "basePath": format!("{}://{}/1.0", request.scheme, request.host),
        "resourcePath": root,
        "apis": apis,
        "models": Map::new(),
    })
}
