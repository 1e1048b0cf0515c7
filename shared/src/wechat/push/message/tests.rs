//! What messages say, what tells them apart, and what is none.

use serde_json::json;

use super::*;

fn push(text: &str) -> Result<Concern, MessageDefect> {
    Message::read(text.as_bytes())?.concern()
}

fn cancelled(openid: &str) -> Concern {
    Concern::User { openid: OpenId::parse(openid).unwrap(), event: Event::UserAuthorizationCancellation }
}

#[test]
fn a_name_with_a_blank_before_it_and_several_numbers_are_read() {
    let Ok(Concern::User { openid, event }) =
        push(r#"{" MsgType":"event"," OpenID":"oA"," Event":"user_authorization_revoke"," RevokeInfo":"6, 8"}"#)
    else {
        panic!("it is not read")
    };

    assert_eq!(openid.expose(), "oA");
    assert_eq!(event, Event::UserAuthorizationRevoke { phone: true });
}

#[test]
fn a_user_is_found_by_each_spelling_in_both_formats() {
    for name in ["OpenID", "OpenId", "openid"] {
        let json = format!(r#"{{"MsgType":"event","Event":"user_authorization_cancellation","{name}":" oA\n"}}"#);
        let xml = format!(
            "<xml><MsgType>event</MsgType><Event>user_authorization_cancellation</Event><{name}>\n<![CDATA[o]]><!-- -->A</{name}></xml>"
        );
        assert_eq!([push(&json), push(&xml)], [Ok(cancelled("oA")), Ok(cancelled("oA"))], "{name}");
    }
}

#[test]
fn an_event_of_ours_without_a_usable_user_is_not_understood() {
    for event in ["user_info_modified", "user_authorization_revoke", "user_authorization_cancellation"] {
        for user in ["", r#","OpenID":null"#, r#","OpenID":"""#, r#","OpenID":" ""#, r#","OpenID":"o A""#] {
            let read = push(&format!(r#"{{"MsgType":"event","Event":"{event}","RevokeInfo":"8"{user}}}"#));
            let harmless = event == "user_info_modified" && !user.contains("o A");
            assert_eq!(read, if harmless { Ok(Concern::Nobody) } else { Err(MessageDefect::NoUser) }, "{event} {user}");
        }
        for user in [r#","OpenID":["oA"]"#, r#","OpenID":{"a":1}"#, r#","OpenID":"oA","openid":"oB""#] {
            let defect = push(&format!(r#"{{"MsgType":"event","Event":"{event}","RevokeInfo":"8"{user}}}"#));
            assert_eq!(defect, Err(MessageDefect::Unreadable), "{event} {user}");
        }
        let of_a_plugin =
            format!(r#"{{"MsgType":"event","Event":"{event}","OpenPID":"pA","PluginID":"wx1","OpenID":""}}"#);
        assert_eq!(push(&of_a_plugin), Ok(Concern::Other), "{event}");
    }
}

#[test]
fn a_message_has_the_hash_of_its_repetition_and_of_no_other() {
    let hash = |text: &str| Message::read(text.as_bytes()).map(|members| members.hash()).unwrap();
    let same = hash(r#"{"MsgType":"event","Event":"e","a":{"b":[1]},"RetryTimes":0}"#);
    for repeated in [
        r#"{ "Event" : "e", "MsgType": " event", "a": {"b": [1]}, "retrytimes": "1", "Encrypt": "x" }"#,
        r#"{"MsgType":"event","Event":"e","a":{"b":[1]},"none":null}"#,
    ] {
        assert_eq!(hash(repeated), same, "{repeated}");
    }
    for other in [
        "{}",
        r#"{"MsgType":"event","Event":"f","a":{"b":[1]}}"#,
        r#"{"MsgType":"event","Event":"e","a":{"b":[2]}}"#,
        r#"{"MsgType":"event","Event":"e","a":"{\"b\":[1]}"}"#,
        r#"{"MsgType":"event","Event":"e","a":{"b":[1]},"more":""}"#,
        r#"{"MsgType":"event","Event":"e","A":{"b":[1]}}"#,
        r#"{"Event":"event","MsgType":"e","a":{"b":[1]}}"#,
    ] {
        assert_ne!(hash(other), same, "{other}");
    }
    let xml = |team: &str| hash(&format!("<xml><a><![CDATA[1]]></a><Team><Id>{team}</Id></Team></xml>"));
    assert_eq!([xml("1"), xml("1")], [hash("<xml>\n<Team><Id>1</Id></Team>\n<a>1</a></xml>"); 2]);
    assert_ne!(xml("1"), xml("2"));
}

#[test]
fn a_revocation_says_what_was_revoked() {
    let revoked = |info: &str| {
        let event = r#""MsgType":"event","Event":"user_authorization_revoke""#;
        match push(&format!(r#"{{{event},"OpenID":"oA"{info}}}"#)) {
            Ok(Concern::User { event: Event::UserAuthorizationRevoke { phone }, .. }) => Some(phone),
            Ok(concern) => panic!("{concern:?}"),
            Err(_) => None,
        }
    };
    for (info, expected) in [
        (r#","RevokeInfo":"8""#, Some(true)),
        (r#","RevokeInfo":8"#, Some(true)),
        (r#","RevokeInfo":"1, 8,12""#, Some(true)),
        (r#","RevokeInfo":"18,80,88""#, Some(false)),
        (r#","RevokeInfo":"phone""#, None),
        (r#","RevokeInfo":[8]"#, None),
        (r#","RevokeInfo":"""#, None),
        ("", None),
    ] {
        assert_eq!(revoked(info), expected, "{info}");
    }
}

#[test]
fn an_envelope_without_content_is_no_message() {
    for empty in [
        "{}",
        r#"{"ToUserName":"gh_1"}"#,
        r#"{"ToUserName":"gh_1","Encrypt":"x","CreateTime":1}"#,
        "<xml></xml>",
        "<xml><ToUserName>gh_1</ToUserName><Encrypt>x</Encrypt></xml>",
        "",
        "success",
    ] {
        assert_eq!(push(empty), Err(MessageDefect::Unreadable), "{empty}");
    }
}

/// The whole message may stand where it is not looked for.
#[test]
fn what_does_not_say_of_what_kind_it_is_is_no_message() {
    let json = r#"{"MsgType":"event","Event":"user_authorization_cancellation","OpenID":"oA"}"#;
    let xml = "<MsgType>event</MsgType><Event>user_authorization_cancellation</Event><OpenID>oA</OpenID>";
    let mut unsaid = vec![
        format!(r#"{{"xml":{json}}}"#),
        format!(r#"{{"ToUserName":"gh_1","xml":{json}}}"#),
        format!(r#"{{"Message":{}}}"#, serde_json::json!(json)),
        format!("<root><xml>{xml}</xml></root>"),
        format!("<xml><ToUserName>gh_1</ToUserName><xml>{xml}</xml></xml>"),
        format!("<xml><![CDATA[<xml>{xml}</xml>]]></xml>"),
        r#"{"errcode":0,"errmsg":"ok"}"#.to_owned(),
        r#"{"Event":"user_authorization_cancellation","OpenID":"oA"}"#.to_owned(),
        r#"{"channel_bill":"1"}"#.to_owned(),
        format!(r#"{{"action":"CheckContainerPath","xml":{json}}}"#),
        r#"{"action":"other"}"#.to_owned(),
        r#"{"channel_bill":"1","bundleid":""}"#.to_owned(),
        "<xml><MsgType>event</MsgType><Event/></xml>".to_owned(),
        "<xml><MsgType/><Event>other</Event></xml>".to_owned(),
    ];
    for nothing in ["", r#","{}":null"#, r#","{}":"""#, r#","{}":" ""#, r#","{}":{"a":"b"}"#, r#","{}":["c"]"#] {
        for (given, lacks) in [(r#""MsgType":"event""#, "Event"), (r#""Event":"other""#, "MsgType")] {
            let nothing = nothing.replacen("{}", lacks, 1);
            unsaid.push(format!(r#"{{"ToUserName":"gh_1","OpenID":"oA",{given}{nothing}}}"#));
        }
    }
    for unsaid in unsaid {
        assert_eq!(push(&unsaid), Err(MessageDefect::Unreadable), "{unsaid}");
    }
}

/// What a user writes stands in a message of another kind, and might leave its element.
#[test]
fn a_message_of_a_user_says_no_event() {
    let event = "user_authorization_cancellation";
    for kind in ["text", "miniprogrampage", ""] {
        let json = format!(r#"{{"MsgType":"{kind}","MsgId":1,"Event":"{event}","OpenID":"oA"}}"#);
        let xml = format!(
            "<xml><MsgType>{kind}</MsgType><Content>a</Content><Event>{event}</Event><OpenID>oA</OpenID></xml>"
        );
        assert_eq!(
            [push(&json), push(&xml)],
            [Err(MessageDefect::Unreadable), Err(MessageDefect::Unreadable)],
            "{kind}"
        );
    }
    let twice =
        format!("<xml><MsgType>text</MsgType><Content>a</Content><MsgType>event</MsgType><Event>{event}</Event></xml>");
    assert_eq!(push(&twice), Err(MessageDefect::Unreadable));
}

#[test]
fn every_other_kind_of_message_that_wechat_sends_is_one() {
    for other in [
        r#"{"ToUserName":"gh_1","MsgType":"text","Content":"<xml></xml>","MsgId":1234567890123456}"#,
        r#"{"MsgType":"image","PicUrl":"https://example.com/p","MediaId":"m","MsgId":"1"}"#,
        r#"{"MsgType":"miniprogrampage","AppId":"wx1","ThumbUrl":""}"#,
        r#"{"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}"#,
        r#"{"MsgType":"event","Event":"xpay_goods_deliver_notify","OpenId":"oA","GoodsInfo":{"Quantity":1}}"#,
        r#"{"MsgType":"event","Event":"subscribe_msg_popup_event","List":[{"TemplateId":"t"}]}"#,
        r#"{"channel_bill":"1","bundleid":"2","provide_status":"1"}"#,
        r#"{ "action": "CheckContainerPath"}"#,
        "<xml><action>CheckContainerPath</action></xml>",
        r#"{"MsgType":"event","Event":"xpay_subscribe_ios_refund_query_notify","channel_bill":"1","bundleid":"2"}"#,
        "<xml><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[hi]]></Content></xml>",
        "<xml><channel_bill><![CDATA[1]]></channel_bill><bundleid><![CDATA[2]]></bundleid></xml>",
        "<xml><MsgType>event</MsgType><Event>wxa_media_check</Event><result><label>1</label></result></xml>",
    ] {
        assert_eq!(push(other), Ok(Concern::Other), "{other}");
    }
}

fn message(text: &str) -> Message {
    Message::read(text.as_bytes()).unwrap()
}

fn identity(text: &str) -> [u8; 32] {
    message(text).identity()
}

#[test]
fn the_owner_reads_the_same_of_both_formats_but_for_numbers() {
    let json =
        message(r#"{" MsgType":"text","a":{"b":[{"c":"1"},{"c":"2"}],"d":""},"e":" f\n","g":null,"Encrypt":"x"}"#);
    let xml = message(
        "<xml><MsgType>text</MsgType><a><b><c>1</c></b><b><c><![CDATA[2]]></c></b><d/></a><e> f\n</e><Encrypt>x</Encrypt></xml>",
    );
    let mut expected = json!({ "MsgType": "text", "a": { "b": [{ "c": "1" }, { "c": "2" }], "d": "" }, "e": " f\n" });
    assert_eq!(xml.said_to_owner(), expected);
    expected["g"] = Json::Null;
    assert_eq!(json.said_to_owner(), expected);
}

#[test]
fn a_number_that_a_double_would_change_is_a_text() {
    for same in ["0", "-1004", "0.5", "9007199254740991", "1700000000"] {
        assert_eq!(message(&format!(r#"{{"n":{same}}}"#)).said_to_owner()["n"].to_string(), same);
    }
    for text in ["9007199254740992", "23238164865187457", "-9007199254740993", "1e999", "1.10", "1E3", "-0"] {
        let nested = message(&format!(r#"{{"a":[{{"n":{text}}}]}}"#));
        assert_eq!(nested.said_to_owner()["a"][0]["n"], text);
    }
}

#[test]
fn what_would_lose_a_part_of_a_message_is_not_read() {
    let deep = |depth: usize| format!("<xml><MsgType>a</MsgType>{}{}</xml>", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(Message::read(deep(DEEPEST).as_bytes()).is_ok());
    for bad in [
        r#"{"MsgType":"text","a":"1"," a":"2"}"#,
        "<xml><MsgType>text</MsgType>and more</xml>",
        "<xml><MsgType>text</MsgType><a b=\"1\">2</a></xml>",
        "<xml a='1'><MsgType>text</MsgType></xml>",
        "<xml><MsgType>text</MsgType><a>1<b>2</b></a></xml>",
        "<!DOCTYPE xml [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><xml><MsgType>&b;</MsgType></xml>",
        "<xml><MsgType>&unknown;</MsgType></xml>",
        &deep(DEEPEST + 1),
        &deep(2_000),
    ] {
        assert!(Message::read(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_message_is_known_by_its_own_name_however_it_is_repeated() {
    let delivery = |order: &str, more: &str| {
        identity(&format!(
            r#"{{"MsgType":"event","Event":"xpay_goods_deliver_notify","OpenId":"oA","OutTradeNo":{order},"Env":0{more}}}"#
        ))
    };
    let same = delivery("\"1\"", "");
    for (order, more) in [("\" 1\"", ""), ("1", ""), ("\"1\"", r#","RetryTimes":3,"CreateTime":2,"TeamInfo":{"a":1}"#)]
    {
        assert_eq!(delivery(order, more), same, "{order} {more}");
    }
    let xml = "<xml><MsgType>event</MsgType><Event>xpay_goods_deliver_notify</Event><OpenId>oA</OpenId>\
               <OutTradeNo><![CDATA[1]]></OutTradeNo><Env>0</Env></xml>";
    assert_eq!(identity(xml), same);
    let card =
        |id: &str, more: &str| identity(&format!(r#"{{"MsgType":"text","MsgId":{id},"FromUserName":"oA"{more}}}"#));
    assert_eq!(card("23238164865187457", r#","Content":"a""#), card("\"23238164865187457\"", ""));
    let game = |payload: &str| {
        let game = serde_json::json!({ "Payload": payload, "PayEventSig": payload.len(), "IsMock": false });
        identity(&format!(r#"{{"MsgType":"event","Event":"minigame_coin_deliver_completed","MiniGame":{game}}}"#))
    };
    assert_eq!(game(r#"{"OutTradeNo":"1","OpenId":"oA"}"#), game(r#"{ "OpenId":"oA","OutTradeNo":"1","Later":2}"#));
    assert_ne!(game(r#"{"OutTradeNo":"1","OpenId":"oA"}"#), game(r#"{"OutTradeNo":"1","OpenId":"oB"}"#));
}

/// Of two messages with one identity, the second would be acknowledged and reach nobody.
#[test]
fn no_two_messages_have_one_identity() {
    let of = |event: &str, members: &str| format!(r#"{{"MsgType":"event","Event":"{event}",{members}}}"#);
    let (goods, coins) = ("xpay_goods_deliver_notify", "xpay_coin_pay_notify");
    let all = [
        of(goods, r#""OutTradeNo":"1","OpenId":"oA","Env":0"#),
        of(goods, r#""OutTradeNo":"2","OpenId":"oA","Env":0"#),
        of(goods, r#""OutTradeNo":"1","OpenId":"oB","Env":0"#),
        of(goods, r#""OutTradeNo":"1","OpenId":"oA","Env":1"#),
        of(coins, r#""OutTradeNo":"1","OpenId":"oA","Env":0"#),
        // What is chosen by others leaves its own place for no other.
        of(goods, r#""OutTradeNo":"1oA","OpenId":"","Env":0"#),
        of(goods, r#""OutTradeNo":"1","OpenId":"oA0","Env":"""#),
        of("xpay_goods_deliver_notify1", r#""OutTradeNo":"1","OpenId":"oA","Env":0"#),
        // Without a name of its own, or with two, all of it counts.
        of(goods, r#""OutTradeNo":"","OpenId":"oA","Env":0,"Attach":"1""#),
        of(goods, r#""OutTradeNo":"","OpenId":"oA","Env":0,"Attach":"2""#),
        of(goods, r#""OutTradeNo":"1","outtradeno":"1","OpenId":"oA","Env":0"#),
        of(goods, r#""OutTradeNo":"1","outtradeno":"2","OpenId":"oA","Env":0"#),
        of(goods, r#""OutTradeNo":["1"],"OpenId":"oA","Env":0"#),
        of(goods, r#""OutTradeNo":["2"],"OpenId":"oA","Env":0"#),
        of(goods, r#""OutTradeNo":{"a":"1"},"OpenId":"oA","Env":0"#),
        of("xpay_new_notify", r#""OutTradeNo":"1","CreateTime":1"#),
        of("xpay_new_notify", r#""OutTradeNo":"1","CreateTime":2"#),
        of("minigame_new", r#""MiniGame":{"Payload":"{\"OutTradeNo\":\"1\"}"}"#),
        of("minigame_new", r#""MiniGame":{"Payload":"{\"OutTradeNo\":\"2\"}"}"#),
        of("minigame_new", r#""MiniGame":{"Payload":"{"}"#),
        of("minigame_new", r#""MiniGame":{"Payload":"["}"#),
        of("user_authorization_revoke", r#""OpenID":"oA","CreateTime":1,"RevokeInfo":"8""#),
        of("user_authorization_revoke", r#""OpenID":"oA","CreateTime":1,"RevokeInfo":"6""#),
        of("subscribe_msg_sent_event", r#""FromUserName":"oA","CreateTime":"1","List":{"MsgID":"1"}"#),
        of("subscribe_msg_sent_event", r#""FromUserName":"oA","CreateTime":"1","List":{"MsgID":"2"}"#),
        r#"{"channel_bill":"1","bundleid":"2","pay_order_id":"1","refund_time":"1"}"#.to_owned(),
        r#"{"channel_bill":"1","bundleid":"2","pay_order_id":"1","refund_time":"2"}"#.to_owned(),
        r#"{"channel_bill":"1","bundleid":"2","pay_order_id":"11","refund_time":""}"#.to_owned(),
        r#"{"MsgType":"text","MsgId":23238164865187457,"FromUserName":"oA"}"#.to_owned(),
        r#"{"MsgType":"text","MsgId":23238164865187456,"FromUserName":"oA"}"#.to_owned(),
        // A user may write whatever there is in a message about money.
        r#"{"MsgType":"text","MsgId":"1","FromUserName":"oA","Content":"{\"OutTradeNo\":\"1\"}"}"#.to_owned(),
        r#"{"MsgType":"text","MsgId":"1","FromUserName":"oB","OutTradeNo":"1"}"#.to_owned(),
    ];
    let identities: std::collections::BTreeSet<_> = all.iter().map(|text| identity(text)).collect();
    assert_eq!(identities.len(), all.len());
}

#[test]
fn what_wechat_wants_to_hear_is_known_by_event_or_members() {
    let form = |text: &str| message(text).answer_form();
    let of = |event: &str| form(&format!(r#"{{"MsgType":"event","Event":"{event}"}}"#));
    for event in ["xpay_goods_deliver_notify", "XPAY_later", "minigame_h5_goods_deliver_notify", "xpay_subscribe_x"] {
        assert_eq!(of(event), AnswerForm::ErrCode, "{event}");
    }
    for event in ["wxa_media_check", "xpay", "user_enter_tempsession", "trade_manage_order_settlement", "\u{e9}xpay_"] {
        assert_eq!(of(event), AnswerForm::Success, "{event}");
    }
    assert_eq!(of(REFUND_QUERY), AnswerForm::RefundVerdict);
    assert_eq!(form(r#"{"channel_bill":"1","bundleid":"2"}"#), AnswerForm::RefundVerdict);
    // A customer's words are words.
    let text = r#"{"MsgType":"text","Content":"xpay_goods_deliver_notify","channel_bill":"1","bundleid":"2"}"#;
    assert_eq!(form(text), AnswerForm::Success);
}

#[test]
fn namespaces_are_refused_unless_somebody_writes_of_them() {
    let message = |content: &str| format!("<xml><MsgType>text</MsgType>{content}</xml>");
    let is_read = |text: &str| Message::read(text.as_bytes()).is_ok();

    assert!(is_read(&message("<Content><![CDATA[<a xmlns='b'> <![CDATA[ xmlns]]></Content>")));
    assert!(!is_read(&message("<a xmlns='b'/>")));
    assert!(!is_read(&message("<Content><![CDATA[c]]></Content><a xmlns:b='b'/>")));
    assert!(!is_read("<xml xmlns='a'><MsgType>text</MsgType></xml>"));
}

#[test]
fn a_refund_that_fails_and_then_succeeds_is_two_messages() {
    let refund = |code: u8| {
        let text = format!(
            r#"{{"MsgType":"event","Event":"xpay_refund_notify","OpenId":"oA","WxRefundId":"1","RetCode":{code}}}"#
        );
        Message::read(text.as_bytes()).unwrap().identity()
    };

    assert_eq!(refund(0), refund(0));
    assert_ne!(refund(0), refund(1));
}

/// Of an emoji that was cut, a half is left.
#[test]
fn half_an_emoji_is_read_as_a_character_that_is_none() {
    let content = |written: &str| {
        let text = format!(r#"{{"MsgType":"text","Content":{written},"more":[{{"a":{written}}}]}}"#);
        let message = Message::read(text.as_bytes()).unwrap();
        let said = message.said_to_owner();
        assert_eq!(said["more"][0]["a"], said["Content"], "{written}");
        said["Content"].as_str().unwrap().to_owned()
    };
    for (written, read) in [
        (r#""a\ud83d""#, "a\u{fffd}"),
        (r#""\ud83db""#, "\u{fffd}b"),
        (r#""\ude00""#, "\u{fffd}"),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
        (r#""\ud83d\ude00""#, "\u{1f600}"),
        (r#""\\ud83d""#, "\\ud83d"),
        (r#""\u0000\ud7ff\ue000퟿""#, "\0\u{d7ff}\u{e000}\u{d7ff}"),
    ] {
        assert_eq!(content(written), read, "{written}");
    }
    for bad in [r#""\ud83""#, r#""\x""#, r#""\ud83d"#] {
        assert!(Message::read(format!(r#"{{"MsgType":"text","Content":{bad}}}"#).as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn what_users_write_makes_no_message_unreadable() {
    let xml = b"<xml><MsgType>text</MsgType><Content><![CDATA[a\x1db\xe6\xb8]]></Content></xml>";
    let json = b"{\"MsgType\":\"text\",\"Content\":\"a\x14b\xe6\xb8\"}";
    for body in [&xml[..], &json[..]] {
        let message = Message::read(body).unwrap();
        assert_eq!(message.get("Content").unwrap().unwrap(), "ab\u{fffd}");
    }
}
