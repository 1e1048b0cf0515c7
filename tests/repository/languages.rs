//! A document in two languages says the same in both, and links between documents lead to a heading.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::{files, root};

const CHINESE: &str = ".zh-CN.md";
/// Where documents that are read outside of the repository link to it.
const ONLINE: &str = "https://github.com/wxauth/wxauth/blob/main/";

/// A document, in which what is code and what is not are apart.
#[derive(Default)]
struct Document {
    prose: Vec<String>,
    /// Each with its language first; comments are in the document's language, so they are left out.
    blocks: Vec<Vec<String>>,
}

impl Document {
    fn of(text: &str) -> Self {
        let mut document = Self::default();
        let (mut in_code, mut in_comment) = (false, false);
        for line in text.lines() {
            let trimmed = line.trim();
            if let Some(language) = trimmed.strip_prefix("```") {
                in_code = !in_code;
                if in_code {
                    document.blocks.push(vec![language.to_owned()]);
                }
            } else if !in_code {
                document.prose.push(line.to_owned());
            } else if in_comment || trimmed.starts_with("/**") {
                in_comment = !trimmed.ends_with("*/");
            } else {
                document.blocks.last_mut().unwrap().push(code(trimmed).to_owned());
            }
        }
        // A picture, in which words are drawn.
        document.blocks.retain(|block| !block[0].is_empty());
        document
    }

    /// The levels and texts of the headings.
    fn headings(&self) -> Vec<(usize, String)> {
        self.prose
            .iter()
            .filter(|line| line.starts_with('#'))
            .map(|line| (line.bytes().take_while(|at| *at == b'#').count(), line.trim_matches(['#', ' ']).to_owned()))
            .collect()
    }

    fn rows(&self) -> usize {
        self.prose.iter().filter(|line| line.trim_start().starts_with('|')).count()
    }
}

/// A line of code without the comment at its end.
fn code(line: &str) -> &str {
    let comment = |mark: &str| match line.strip_prefix(mark) {
        Some(_) => Some(0),
        None => line.find(&format!(" {mark}")),
    };
    let end = [comment("# "), comment("// ")].into_iter().flatten().min().unwrap_or(line.len());
    line[..end].trim_end()
}

/// The levels and texts of a document's headings, in order; code blocks aside.
pub(crate) fn headings(text: &str) -> Vec<(usize, String)> {
    Document::of(text).headings()
}

/// What GitHub makes of a heading for links.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|at| at.is_alphanumeric() || [' ', '-', '_'].contains(at));
    kept.flat_map(char::to_lowercase).map(|at| if at == ' ' { '-' } else { at }).collect()
}

fn documents() -> BTreeMap<PathBuf, Document> {
    let read = |path: &PathBuf| Document::of(&std::fs::read_to_string(path).unwrap());
    files(".", "md").into_iter().map(|path| (plain(&path), read(&path))).collect()
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => assert!(plain.pop()),
            _ => plain.push(part),
        }
    }
    plain
}

/// Both editions of each document that is there in Chinese.
fn pairs() -> Vec<(PathBuf, Document, Document)> {
    let mut all = documents();
    let chinese: Vec<_> = all.keys().filter(|path| path.to_str().unwrap().ends_with(CHINESE)).cloned().collect();
    let taken = chinese.into_iter().map(|path| {
        let english = PathBuf::from(path.to_str().unwrap().replace(CHINESE, ".md"));
        let ours = all.remove(&english).unwrap_or_else(|| panic!("{} is not there in English", path.display()));
        (english, ours, all.remove(&path).unwrap())
    });
    taken.collect()
}

#[test]
fn who_begins_deploys_and_operates_can_do_so_in_chinese() {
    let there: BTreeSet<_> = pairs().into_iter().map(|(path, ..)| path).collect();
    for path in ["README.md", "infra/README.md", "infra/OPERATE.md", "shared/miniprogram/README.md"] {
        assert!(there.contains(&plain(&root().join(path))), "{path}");
    }
}

#[test]
fn both_languages_have_the_same_headings() {
    for (path, ours, theirs) in pairs() {
        let levels = |document: &Document| document.headings().into_iter().map(|(level, _)| level).collect::<Vec<_>>();
        assert_eq!(levels(&ours), levels(&theirs), "{}", path.display());
    }
}

#[test]
fn both_languages_have_the_same_tables_and_the_same_code() {
    for (path, ours, theirs) in pairs() {
        assert_eq!(ours.rows(), theirs.rows(), "{}", path.display());
        assert_eq!(ours.blocks, theirs.blocks, "{}", path.display());
    }
}

#[test]
fn links_to_a_heading_find_one() {
    let all = documents();
    for (path, document) in &all {
        let text = document.prose.join("\n");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let Some((file, wanted)) = target.split_once('#') else { continue };
            let there = match (file.strip_prefix(ONLINE), file.is_empty()) {
                (Some(ours), _) => root().join(ours),
                (None, true) => path.clone(),
                (None, false) if file.contains("://") => continue,
                (None, false) => path.parent().unwrap().join(file),
            };
            let Some(named) = all.get(&plain(&there)) else { panic!("{}: {target}", path.display()) };
            let found = named.headings().iter().any(|(_, heading)| anchor(heading) == wanted);
            assert!(found, "{}: {target}", path.display());
        }
    }
}

#[test]
fn a_comment_is_no_code_and_a_heading_is_what_github_links_to() {
    assert_eq!(code("infra/deploy --brake            # --stage dev"), "infra/deploy --brake");
    assert_eq!(code("// a word"), "");
    assert_eq!(code("curl http://127.0.0.1:9001/#top"), "curl http://127.0.0.1:9001/#top");
    assert_eq!(anchor("Web pages: H5 and web-views"), "web-pages-h5-and-web-views");
    assert_eq!(anchor("网页：H5 和 web-view"), "网页h5-和-web-view");
}
