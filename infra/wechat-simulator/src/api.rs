//! WeChat's APIs as far as they are simulated: names, paths and content types.

/// One API, named by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Api {
    Jscode2session,
    Checksession,
    Resetusersessionkey,
    Getuserphonenumber,
    Checkencryptedmsg,
    StableToken,
    Token,
    OpenapiQuota,
    OpenapiRid,
}

impl Api {
    pub(crate) const ALL: [Self; 9] = [
        Self::Jscode2session,
        Self::Checksession,
        Self::Resetusersessionkey,
        Self::Getuserphonenumber,
        Self::Checkencryptedmsg,
        Self::StableToken,
        Self::Token,
        Self::OpenapiQuota,
        Self::OpenapiRid,
    ];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Jscode2session => "/sns/jscode2session",
            Self::Checksession => "/wxa/checksession",
            Self::Resetusersessionkey => "/wxa/resetusersessionkey",
            Self::Getuserphonenumber => "/wxa/business/getuserphonenumber",
            Self::Checkencryptedmsg => "/wxa/business/checkencryptedmsg",
            Self::StableToken => "/cgi-bin/stable_token",
            Self::Token => "/cgi-bin/token",
            Self::OpenapiQuota => "/cgi-bin/openapi/quota/get",
            Self::OpenapiRid => "/cgi-bin/openapi/rid/get",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            // Both paths end with the same word.
            Self::OpenapiQuota => "openapi_quota",
            Self::OpenapiRid => "openapi_rid",
            _ => self.path().rsplit('/').next().unwrap_or_default(),
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.name() == name)
    }

    /// The one of code2Session is why clients that insist on JSON's own type fail on it.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Jscode2session => "text/plain",
            Self::StableToken | Self::Token => "application/json",
            _ => "application/json; encoding=utf-8",
        }
    }

    pub(crate) fn wants_post(self) -> bool {
        !matches!(self, Self::Jscode2session | Self::Checksession | Self::Resetusersessionkey | Self::Token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_api_is_found_by_its_name() {
        for api in Api::ALL {
            assert_eq!(Api::named(api.name()), Some(api));
        }
        assert_eq!(Api::StableToken.name(), "stable_token");
    }
}
