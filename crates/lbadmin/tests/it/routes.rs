//! Every route of the web interface, read off the sources, so that a new page cannot be forgotten by the abuse tests.

use std::{fs, path::Path};

/// One `.route(PATH, METHODS)`.
#[derive(Debug, Clone)]
pub struct Route {
    pub path: String,
    pub get: bool,
    pub post: bool,
}

/// All routes below `/lbadmin/`, those with parameters with `1` in their place. The native API's are not here.
pub fn all() -> Vec<Route> {
    let mut routes = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut routes);
    routes.retain(|r: &Route| r.path.starts_with("/lbadmin"));
    assert!(routes.iter().filter(|r| r.post).count() >= 8, "the sources are read wrongly: {routes:?}");
    routes
}

/// Those that take a form.
pub fn forms() -> Vec<String> {
    all().into_iter().filter(|r| r.post).map(|r| r.path).collect()
}

fn visit(folder: &Path, routes: &mut Vec<Route>) {
    for entry in fs::read_dir(folder).expect("the sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            visit(&path, routes);
        } else if path.extension().is_some_and(|e| e == "rs") {
            scan(&fs::read_to_string(&path).expect("a source"), routes);
        }
    }
}

fn scan(source: &str, routes: &mut Vec<Route>) {
    for (at, opening) in source.match_indices(".route(") {
        let inside = arguments(&source[at + opening.len()..]);
        let (place, methods) = inside.split_once(',').expect("a path and methods");
        let path = match place.trim().strip_prefix('"') {
            Some(literal) => literal.trim_end_matches('"').to_owned(),
            None => constant(source, place.trim()),
        };
        let says = |method: &str| methods.contains(method);
        routes.push(Route { path: filled(&path), get: says("get("), post: says("post(") });
    }
}

/// Up to the parenthesis that closes the call.
fn arguments(rest: &str) -> &str {
    let mut depth = 1;
    for (at, c) in rest.char_indices() {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth == 0 {
            return &rest[..at];
        }
    }
    panic!("a route without an end: {rest}")
}

/// The text of `const NAME: &str = "…"` in the same file.
fn constant(source: &str, name: &str) -> String {
    let at =
        source.find(&format!("const {name}: &str = \"")).unwrap_or_else(|| panic!("{name}: a literal or a constant"));
    source[at..].split('"').nth(1).unwrap_or_default().to_owned()
}

fn filled(path: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in path.chars() {
        match c {
            '{' => {
                inside = true;
                text.push('1');
            }
            '}' => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text
}

#[test]
fn routes_are_found_in_sources() {
    let mut routes = Vec::new();
    scan(
        "const LIST: &str = \"/lbadmin/a\";\nx.route(LIST, get(list)).route(\n\"/lbadmin/b/{*name}\",\nget(a).post(b))",
        &mut routes,
    );
    let found: Vec<_> = routes.iter().map(|r| (r.path.as_str(), r.get, r.post)).collect();
    assert_eq!(found, [("/lbadmin/a", true, false), ("/lbadmin/b/1", true, true)]);
}
