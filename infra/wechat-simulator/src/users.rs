//! The users of the mini programs, found by name or by openid.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::identity;

/// The grey silhouette that WeChat gives for every user since 2022.
const ANONYMOUS_AVATAR: &str = "https://thirdwx.qlogo.cn/mmopen/vi_32/POgEwh4mIHO4nibH0KlMECNjjGxQUq24ZEaGT4poC6icRiccVGKSyXwibcPq4BWmiaIGuG1icwxaQX6grC9VemZoJ8rg/132";

pub(crate) struct User {
    pub(crate) unionid: Option<String>,
    pub(crate) phone_number: String,
    pub(crate) pure_phone_number: String,
    pub(crate) country_code: Value,
    /// What WeChat says of the number instead of these three.
    pub(crate) phone_info: Option<Map<String, Value>>,
    pub(crate) nick_name: String,
    pub(crate) avatar_url: String,
    pub(crate) blocked: bool,
    /// The only valid key; none before the first login.
    pub(crate) session_key: Option<String>,
}

impl User {
    fn named(name: &str) -> Self {
        let number = identity::default_number(name);
        Self {
            unionid: None,
            phone_number: number.clone(),
            pure_phone_number: number,
            country_code: Value::from("86"),
            phone_info: None,
            nick_name: "微信用户".to_owned(),
            avatar_url: ANONYMOUS_AVATAR.to_owned(),
            blocked: false,
            session_key: None,
        }
    }
}

/// The users of all apps. Two apps may have the same openid text for different people.
#[derive(Default)]
pub(crate) struct Users {
    /// By appid and openid.
    users: HashMap<(String, String), User>,
    /// By appid and user name: the openids that a control request set. All others follow from appid and name.
    set_openids: HashMap<(String, String), String>,
}

impl Users {
    /// The user of this name, who is made if there is none yet, with its openid.
    pub(crate) fn named(&mut self, appid: &str, name: &str) -> (String, &mut User) {
        let openid = self.openid(appid, name);
        let user = self.users.entry(key(appid, &openid)).or_insert_with(|| User::named(name));
        (openid, user)
    }

    pub(crate) fn with_openid(&mut self, appid: &str, openid: &str) -> Option<&mut User> {
        self.users.get_mut(&key(appid, openid))
    }

    /// Whether the app has given out this openid or could have, also to a user whom this process has not met.
    pub(crate) fn is_openid_of(&self, appid: &str, openid: &str) -> bool {
        self.users.contains_key(&key(appid, openid)) || identity::is_openid_of(appid, openid)
    }

    /// Changes the user's openid, `""` to the one it had at first; `false` if the new one is not free in the app.
    #[must_use]
    pub(crate) fn set_openid(&mut self, appid: &str, name: &str, openid: &str) -> bool {
        let (before, first) = (self.openid(appid, name), identity::openid(appid, name));
        let openid = if openid.is_empty() { &first } else { openid };
        // An openid that this app could have given out belongs to the user name it follows from, met or not.
        if openid != before && openid != first && self.is_openid_of(appid, openid) {
            return false;
        }
        if let Some(user) = self.users.remove(&key(appid, &before)) {
            self.users.insert(key(appid, openid), user);
        }
        self.set_openids.insert(key(appid, name), openid.to_owned());
        true
    }

    pub(crate) fn session_key(&self, appid: &str, name: &str) -> Option<&String> {
        self.users.get(&key(appid, &self.openid(appid, name)))?.session_key.as_ref()
    }

    /// All personal and secret values, each after its kind.
    pub(crate) fn secrets(&self) -> Vec<(&'static str, String)> {
        let of_user = |((_, openid), user): (&(String, String), &User)| {
            let User { phone_number, pure_phone_number, unionid, session_key, .. } = user;
            let always = [("openid", openid), ("phone number", phone_number), ("phone number", pure_phone_number)];
            let optional = [("unionid", unionid), ("session_key", session_key)];
            let optional = optional.into_iter().filter_map(|(kind, text)| Some((kind, text.clone()?)));
            always.map(|(kind, text)| (kind, text.clone())).into_iter().chain(optional).collect::<Vec<_>>()
        };
        self.users.iter().flat_map(of_user).collect()
    }

    fn openid(&self, appid: &str, name: &str) -> String {
        self.set_openids.get(&key(appid, name)).cloned().unwrap_or_else(|| identity::openid(appid, name))
    }
}

fn key(appid: &str, openid_or_name: &str) -> (String, String) {
    (appid.to_owned(), openid_or_name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_apps_may_have_the_same_openid_for_different_users() {
        let mut users = Users::default();
        let (openid, ada) = users.named("wx1", "ada");
        ada.unionid = Some("u1".to_owned());

        assert!(users.set_openid("wx2", "bob", &openid));

        let (same, bob) = users.named("wx2", "bob");
        assert_eq!((same, bob.unionid.as_deref()), (openid.clone(), None));
        assert_eq!(users.with_openid("wx1", &openid).unwrap().unionid.as_deref(), Some("u1"));
    }

    #[test]
    fn a_user_keeps_everything_but_the_openid() {
        let mut users = Users::default();
        let (first, ada) = users.named("wx1", "ada");
        ada.blocked = true;

        assert!(users.set_openid("wx1", "ada", "another") && users.set_openid("wx1", "ada", "another"));

        assert!(users.named("wx1", "ada").1.blocked);
        assert!(users.is_openid_of("wx1", "another") && !users.is_openid_of("wx2", "another"));
        assert!(users.with_openid("wx1", &first).is_none());
        assert!(users.set_openid("wx1", "ada", ""));
        assert_eq!(users.named("wx1", "ada").0, first);
        assert!(!users.is_openid_of("wx1", "another"));
    }

    #[test]
    fn an_openid_belongs_to_one_user_of_an_app() {
        let mut users = Users::default();
        assert!(users.set_openid("wx1", "ada", "taken"));
        users.named("wx1", "ada");

        assert!(!users.set_openid("wx1", "bob", "taken"));
        assert!(!users.set_openid("wx1", "bob", &identity::openid("wx1", "never seen")));

        assert_eq!(users.named("wx1", "bob").0, identity::openid("wx1", "bob"));
    }
}
