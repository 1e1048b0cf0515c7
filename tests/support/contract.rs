//! The contract: what the functions say of their routes, and the examples.

use std::{fs, path::PathBuf};

use serde_json::Value;
use shared::contract;

#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/contract")
}

/// `openapi.json` as it should be.
#[must_use]
pub fn openapi() -> String {
    format!("{:#}\n", contract::document(&local::mounts::operations()))
}

/// A request of `examples/`, and the answer to it. `{name}` stands for what differs each time.
pub struct Example {
    /// The folder: the name of the route.
    pub route: String,
    /// What is special about it.
    pub case: String,
    /// `method`, `path`, and `headers` and `body` if there are.
    pub request: Value,
    /// `status`, `headers`, and `body` if there is.
    pub response: Value,
}

impl Example {
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.response["body"]["code"].as_str()
    }
}

pub fn examples() -> Vec<Example> {
    let mut examples = Vec::new();
    for route in fs::read_dir(folder().join("examples")).expect("examples") {
        let route = route.expect("a folder").path();
        for file in fs::read_dir(&route).expect("a folder") {
            let path = file.expect("a file").path();
            let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_owned();
            let Some(case) = name(&path).strip_suffix(".request.json").map(str::to_owned) else {
                // An answer without its request is missed here.
                let request = path.with_file_name(name(&path).replace(".response.", ".request."));
                assert!(request.exists(), "{}", request.display());
                continue;
            };
            let read = |part: &str| {
                let path = route.join(format!("{case}.{part}.json"));
                let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            };
            let (request, response) = (read("request"), read("response"));
            examples.push(Example { route: name(&route), case, request, response });
        }
    }
    examples
}
