//! What the events say that WeChat pushes: their members, in WeChat's order.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::App;
use crate::error::ControlError;
use crate::identity;
use crate::messages::{Fields, Kind};
use crate::orders::Order;
use crate::signature;

/// Coins that a yuan buys: the console sets it.
const COINS: u64 = 10;

/// An event, or a message of a customer by its `MsgType`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// Not an event: the GET that WeChat sends when the address is entered.
    Verify,
    UserInfoModified,
    UserAuthorizationRevoke,
    UserAuthorizationCancellation,
    XpayGoodsDeliverNotify,
    XpayCoinPayNotify,
    XpayRefundNotify,
    XpayComplaintNotify,
    XpayWxpayCallbackNotify,
    XpaySubscribeIosRefundQueryNotify,
    XpaySubscribeSigningResultNotify,
    XpaySubscribePayFailNotify,
    MinigameGamePayGoodsDeliverNotify,
    MinigameH5GoodsDeliverNotify,
    MinigameCoinDeliverCompleted,
    Text,
    Image,
    Miniprogrampage,
    UserEnterTempsession,
}

impl Event {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Verify
            | Self::UserInfoModified
            | Self::UserAuthorizationRevoke
            | Self::UserAuthorizationCancellation
            | Self::Text
            | Self::Image
            | Self::Miniprogrampage
            | Self::UserEnterTempsession => Kind::Other,
            Self::XpaySubscribeIosRefundQueryNotify => Kind::Refund,
            Self::XpayGoodsDeliverNotify
            | Self::XpayCoinPayNotify
            | Self::XpayRefundNotify
            | Self::XpayComplaintNotify
            | Self::XpayWxpayCallbackNotify
            | Self::XpaySubscribeSigningResultNotify
            | Self::XpaySubscribePayFailNotify => Kind::Money,
            Self::MinigameGamePayGoodsDeliverNotify
            | Self::MinigameH5GoodsDeliverNotify
            | Self::MinigameCoinDeliverCompleted => Kind::MiniGame,
        }
    }

    pub(crate) fn is_about_an_order(self) -> bool {
        self.kind() != Kind::Other
    }

    /// Whether it names a user.
    pub(crate) fn is_somebodys(self) -> bool {
        !matches!(self, Self::XpayWxpayCallbackNotify | Self::XpaySubscribeIosRefundQueryNotify)
    }

    /// Whether a customer has opened a chat or writes in it. WeChat itself sends all else.
    pub(crate) fn is_of_a_customer(self) -> bool {
        matches!(self, Self::UserEnterTempsession) || !self.is_an_event()
    }

    fn is_an_event(self) -> bool {
        !matches!(self, Self::Text | Self::Image | Self::Miniprogrampage)
    }

    pub(crate) fn is_about_coins(self) -> bool {
        matches!(self, Self::XpayCoinPayNotify | Self::MinigameCoinDeliverCompleted)
    }
}

/// What every message has. The sender of most is the platform itself; the user is in a member of the event's own.
pub(crate) fn common(appid: &str, event: Event, sender: &str, now: u64) -> Fields {
    let mut fields = named([
        ("ToUserName", json!(identity::original_id(appid))),
        ("FromUserName", json!(sender)),
        ("CreateTime", json!(now)),
    ]);
    if event.is_an_event() {
        fields.extend(named([("MsgType", json!("event")), ("Event", json!(event))]));
    } else {
        fields.extend(named([("MsgType", json!(event))]));
    }
    fields
}

/// What a customer's message has beside that. `number` is drawn for this message.
pub(crate) fn of_customer(appid: &str, event: Event, number: u64) -> Fields {
    // 64 bits, and more than a double holds.
    let id = ("MsgId", json!(number | 1 << 60));
    match event {
        Event::Text => named([("Content", json!("你好")), id]),
        Event::Image => {
            let url = format!("https://example.invalid/{number}");
            named([("PicUrl", json!(url)), ("MediaId", json!(format!("media{number}"))), id])
        }
        Event::Miniprogrampage => named([
            id,
            ("Title", json!("演示商店")),
            ("AppId", json!(appid)),
            ("PagePath", json!("pages/index")),
            ("ThumbUrl", json!("https://example.invalid/thumb")),
            ("ThumbMediaId", json!(format!("media{number}"))),
        ]),
        _ => named([("SessionFrom", json!("shop"))]),
    }
}

/// What an event about this order has beside that. `number` is drawn for this message, and is in its own ids.
pub(crate) fn of_order(app: &App, event: Event, order: &Order, number: u64, now: u64) -> Result<Fields, ControlError> {
    Ok(match event {
        Event::XpayGoodsDeliverNotify | Event::XpayCoinPayNotify => delivery(order),
        Event::XpayRefundNotify => refund(order, number, now),
        Event::XpayComplaintNotify => complaint(order, number, now),
        Event::XpayWxpayCallbackNotify => notice(app, number),
        Event::XpaySubscribeIosRefundQueryNotify => refund_query(order, now),
        Event::XpaySubscribeSigningResultNotify | Event::XpaySubscribePayFailNotify => subscription(order),
        Event::MinigameGamePayGoodsDeliverNotify
        | Event::MinigameH5GoodsDeliverNotify
        | Event::MinigameCoinDeliverCompleted => mini_game(app, event, order)?,
        Event::Verify
        | Event::UserInfoModified
        | Event::UserAuthorizationRevoke
        | Event::UserAuthorizationCancellation
        | Event::Text
        | Event::Image
        | Event::Miniprogrampage
        | Event::UserEnterTempsession => Vec::new(),
    })
}

fn delivery(order: &Order) -> Fields {
    let Order { out_trade_no, openid, env, paid_at, .. } = order;
    let paid = json!({
        "MchOrderNo": format!("1900000001{:020}", order.number), "TransactionId": transaction(order), "PaidTime": paid_at,
    });
    named([
        ("OpenId", json!(openid)),
        ("OutTradeNo", json!(out_trade_no)),
        ("Env", json!(env)),
        ("WeChatPayInfo", paid),
        bought(order),
    ])
}

fn refund(order: &Order, number: u64, now: u64) -> Fields {
    named([
        ("OpenId", json!(order.openid)),
        ("WxRefundId", json!(format!("WXR{number:020}"))),
        ("MchRefundId", json!(format!("REFUND{number:020}"))),
        ("WxOrderId", json!(format!("WXO{:020}", order.number))),
        ("MchOrderId", json!(order.out_trade_no)),
        ("RefundFee", json!(order.paid)),
        ("RetCode", json!(0)),
        ("RetMsg", json!("")),
        ("RefundStartTimestamp", json!(now)),
        ("RefundSuccTimestamp", json!(now)),
        ("WxpayRefundTransactionId", json!(format!("50300{number:020}"))),
        ("RetryTimes", json!(0)),
    ])
}

fn complaint(order: &Order, number: u64, now: u64) -> Fields {
    named([
        ("OpenId", json!(order.openid)),
        ("WxOrderId", json!(format!("WXO{:020}", order.number))),
        ("MchOrderId", json!(order.out_trade_no)),
        ("TransactionId", json!(transaction(order))),
        ("ComplaintId", json!(format!("{number:020}"))),
        ("ComplaintDetail", json!("没有到账")),
        ("ComplaintTime", json!(now)),
        ("RetryTimes", json!(0)),
        ("RequestId", json!(format!("rq{number:020}"))),
    ])
}

/// What WeChat Pay tells the merchant: due diligence, a punishment.
fn notice(app: &App, number: u64) -> Fields {
    named([
        ("AppId", json!(app.appid)),
        ("NickName", json!("演示商店")),
        ("MerchantCode", json!("1900000001")),
        ("MerchantCompanyName", json!("演示公司")),
        ("BusinessTime", json!("2026-01-01T12:00:00+08:00")),
        ("BusinessCode", json!(format!("{number:020}"))),
        ("BusinessState", json!("NEED_SUBMIT")),
        ("Remark", json!("")),
        ("EventType", json!("due_diligence")),
        ("RetryTimes", json!(0)),
    ])
}

/// Auto-renewal. WeChat's documents name these events and none of their members: these are what its others about money have.
fn subscription(order: &Order) -> Fields {
    named([
        ("OpenId", json!(order.openid)),
        ("OutTradeNo", json!(order.out_trade_no)),
        ("Env", json!(order.env)),
        ("RetryTimes", json!(0)),
    ])
}

/// Apple's question. All values are texts.
fn refund_query(order: &Order, now: u64) -> Fields {
    named([
        ("refund_time", json!(now.to_string())),
        ("order_time", json!(order.paid_at.to_string())),
        ("channel_bill", json!(format!("{:015}", order.number))),
        ("bundleid", json!("com.tencent.xin")),
        ("product_id", json!(order.product_id.as_deref().unwrap_or_default())),
        ("p_count", json!(order.quantity.to_string())),
        ("refund_request_reason", json!("UNINTENDED_PURCHASE")),
        ("provide_status", json!("1")),
        ("pay_order_id", json!(order.out_trade_no)),
    ])
}

fn mini_game(app: &App, event: Event, order: &Order) -> Result<Fields, ControlError> {
    let Order { out_trade_no, openid, env, .. } = order;
    let (name, what) = bought(order);
    let payload = json!({ "OpenId": openid, "Env": env, "OutTradeNo": out_trade_no, name: what, "IsMock": false });
    let payload = payload.to_string();
    let key = app.app_key(*env).ok_or(ControlError::NoAppKey)?;
    let event = json!(event);
    let signature = signature::of_payment(key, event.as_str().unwrap_or_default(), &payload);
    Ok(named([("MiniGame", json!({ "Payload": payload, "PayEventSig": signature, "IsMock": false }))]))
}

/// What a coin costs in fen.
pub(crate) fn price_of_coins(quantity: u64) -> u64 {
    quantity.saturating_mul(100 / COINS)
}

fn bought(order: &Order) -> (&'static str, Value) {
    let mut info = json!({
        "Quantity": order.quantity, "OrigPrice": order.price, "ActualPrice": order.paid, "Attach": order.attach,
    });
    let Some(product_id) = &order.product_id else { return ("CoinInfo", info) };
    info["ProductId"] = json!(product_id);
    ("GoodsInfo", info)
}

fn transaction(order: &Order) -> String {
    format!("42000{:023}", order.number)
}

fn named<const N: usize>(fields: [(&str, Value); N]) -> Fields {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
