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
    MinigameGamePayGoodsDeliverNotify,
    MinigameH5GoodsDeliverNotify,
    MinigameCoinDeliverCompleted,
}

impl Event {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Verify
            | Self::UserInfoModified
            | Self::UserAuthorizationRevoke
            | Self::UserAuthorizationCancellation => Kind::Other,
            Self::XpaySubscribeIosRefundQueryNotify => Kind::Refund,
            Self::XpayGoodsDeliverNotify
            | Self::XpayCoinPayNotify
            | Self::XpayRefundNotify
            | Self::XpayComplaintNotify
            | Self::XpayWxpayCallbackNotify => Kind::Money,
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

    pub(crate) fn is_about_coins(self) -> bool {
        matches!(self, Self::XpayCoinPayNotify | Self::MinigameCoinDeliverCompleted)
    }
}

/// What every event has. The sender is the platform itself; the user is in a member of the event's own.
pub(crate) fn common(appid: &str, event: Event, now: u64) -> Fields {
    named([
        ("ToUserName", json!(identity::original_id(appid))),
        ("FromUserName", json!(identity::push_service(appid))),
        ("CreateTime", json!(now)),
        ("MsgType", json!("event")),
        ("Event", json!(event)),
    ])
}

/// What an event about this order has beside that. `number` is drawn for this message, and is in its own ids.
pub(crate) fn of_order(app: &App, event: Event, order: &Order, number: u64, now: u64) -> Result<Fields, ControlError> {
    Ok(match event {
        Event::XpayGoodsDeliverNotify | Event::XpayCoinPayNotify => delivery(order),
        Event::XpayRefundNotify => refund(order, number, now),
        Event::XpayComplaintNotify => complaint(order, number, now),
        Event::XpayWxpayCallbackNotify => notice(app, number),
        Event::XpaySubscribeIosRefundQueryNotify => refund_query(order, now),
        Event::MinigameGamePayGoodsDeliverNotify
        | Event::MinigameH5GoodsDeliverNotify
        | Event::MinigameCoinDeliverCompleted => mini_game(app, event, order)?,
        Event::Verify
        | Event::UserInfoModified
        | Event::UserAuthorizationRevoke
        | Event::UserAuthorizationCancellation => Vec::new(),
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
