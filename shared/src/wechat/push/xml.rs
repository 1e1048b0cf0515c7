//! A message in XML as JSON.

use serde_json::{Map, Value as Json};

/// The elements in the root. A DTD is refused, so no entity grows; so are namespaces, which WeChat's messages do not have and whose
/// resolution takes the square of their number.
pub(super) fn members(body: &str, deepest: usize) -> Option<Map<String, Json>> {
    if has_namespaces(body) {
        return None;
    }
    let document = roxmltree::Document::parse(body).ok()?;
    match element(document.root_element(), deepest)? {
        Json::Object(members) => Some(members),
        // Nothing but text, or nothing.
        _ => Some(Map::new()),
    }
}

/// Whether namespaces are declared. What stands in a CDATA section is somebody's text.
fn has_namespaces(body: &str) -> bool {
    let mut parts = body.split("<![CDATA[");
    let before = parts.next().unwrap_or_default();
    let after = parts.map(|part| part.split_once("]]>").map_or("", |(_, after)| after));
    std::iter::once(before).chain(after).any(|part| part.contains("xmlns"))
}

/// An element that holds elements as an object, in which those of one name are an array; any other as its text. `None` if it
/// nests too deep, has attributes, or holds text beside elements: nothing of a message may be left out.
fn element(node: roxmltree::Node<'_, '_>, deeper: usize) -> Option<Json> {
    if node.attributes().len() > 0 {
        return None;
    }
    let texts = node.children().filter(roxmltree::Node::is_text).filter_map(|part| part.text());
    let own: String = texts.collect();
    let mut members = Map::new();
    for child in node.children().filter(roxmltree::Node::is_element) {
        let value = element(child, deeper.checked_sub(1)?)?;
        match members.entry(child.tag_name().name()) {
            serde_json::map::Entry::Vacant(place) => drop(place.insert(value)),
            serde_json::map::Entry::Occupied(mut place) => match place.get_mut() {
                Json::Array(items) => items.push(value),
                one => *one = Json::Array(vec![one.take(), value]),
            },
        }
    }
    match (members.is_empty(), own.trim().is_empty()) {
        (true, _) => Some(Json::String(own)),
        (false, true) => Some(Json::Object(members)),
        (false, false) => None,
    }
}
