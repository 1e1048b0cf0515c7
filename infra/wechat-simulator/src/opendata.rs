//! Open data as the client gets it: the payloads, and AES-128-CBC with PKCS#7 over them.
//!
//! Here the key is the 16 bytes that the `session_key` stands for; an official ciphertext is in the tests.

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::users::User;

/// `encryptedData`; nothing if the key (a control request may set any) is not the base64 of 16 bytes.
pub(crate) fn encrypt(session_key: &str, iv: [u8; 16], plaintext: &[u8]) -> Option<String> {
    let key = STANDARD.decode(session_key).ok()?;
    let cipher = cbc::Encryptor::<Aes128>::new_from_slices(&key, &iv).ok()?;
    Some(STANDARD.encode(cipher.encrypt_padded_vec::<Pkcs7>(plaintext)))
}

/// When and for which app the data was made; real data always has it.
#[derive(Serialize)]
pub(crate) struct Watermark<'a> {
    pub(crate) timestamp: u64,
    pub(crate) appid: &'a str,
}

/// The payload of `getPhoneNumber`, and the `phone_info` of `getuserphonenumber`.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum PhoneInfo<'a> {
    Usual(UsualForm<'a>),
    /// As a control request wants it.
    Odd(Map<String, Value>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsualForm<'a> {
    phone_number: &'a str,
    pure_phone_number: &'a str,
    /// Text in real answers, a number in the documents' sample: whatever the user was given.
    country_code: &'a Value,
    watermark: Watermark<'a>,
}

impl<'a> PhoneInfo<'a> {
    pub(crate) fn of(user: &'a User, appid: &'a str, timestamp: u64) -> Self {
        if let Some(mut info) = user.phone_info.clone() {
            info.entry("watermark").or_insert_with(|| json!({ "timestamp": timestamp, "appid": appid }));
            return Self::Odd(info);
        }
        Self::Usual(UsualForm {
            phone_number: &user.phone_number,
            pure_phone_number: &user.pure_phone_number,
            country_code: &user.country_code,
            watermark: Watermark { timestamp, appid },
        })
    }
}

/// The `rawData` of `getUserInfo`: what is left of a profile since 2022.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Profile<'a> {
    nick_name: &'a str,
    gender: u8,
    language: &'static str,
    city: &'static str,
    province: &'static str,
    country: &'static str,
    avatar_url: &'a str,
}

impl<'a> Profile<'a> {
    pub(crate) fn of(user: &'a User) -> Self {
        let User { nick_name, avatar_url, .. } = user;
        Self { nick_name, gender: 0, language: "", city: "", province: "", country: "", avatar_url }
    }
}

/// The encrypted payload of `getUserInfo`: the profile with the ids around it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserInfo<'a> {
    open_id: &'a str,
    #[serde(flatten)]
    profile: Profile<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    union_id: Option<&'a str>,
    watermark: Watermark<'a>,
}

impl<'a> UserInfo<'a> {
    pub(crate) fn of(user: &'a User, open_id: &'a str, appid: &'a str, timestamp: u64) -> Self {
        Self {
            open_id,
            profile: Profile::of(user),
            union_id: user.unionid.as_deref(),
            watermark: Watermark { timestamp, appid },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAINTEXT: &str = r#"{"openId":"oGZUI0egBJY1zhBYw2KhdUfwVJJE","nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/aSKcBBPpibyKNicHNTMM0qJVh8Kjgiak2AHWr8MHM4WgMEm7GFhsf8OYrySdbvAMvTsw3mo8ibKicsnfN5pRjl1p8HQ/0","unionId":"ocMvos6NjeKLIBqg5Mr9QjxrP1FA","watermark":{"timestamp":1477314187,"appid":"wx4f4bc4dec97d474b"}}"#;

    const CIPHERTEXT: &str = "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+3hVbJSRgv+4lGOETKUQz6OYStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COxFvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3g0gfRK4PC7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns/8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T8yO5hzuyDb/XcxxmK01EpqOyuxINew==";

    #[test]
    fn the_official_sample_encrypts_to_the_official_ciphertext() {
        let iv: [u8; 16] = STANDARD.decode("r7BXXKkLb8qrSNn05n0qiA==").unwrap().try_into().unwrap();

        let encrypted = encrypt("tiihtNczf5v6AKRyjwEUhQ==", iv, PLAINTEXT.as_bytes());

        assert_eq!(encrypted.as_deref(), Some(CIPHERTEXT));
    }

    #[test]
    fn a_key_that_is_not_sixteen_bytes_encrypts_nothing() {
        assert_eq!(encrypt("AAAA", [0; 16], b"{}"), None);
        assert_eq!(encrypt("not base64", [0; 16], b"{}"), None);
    }
}
