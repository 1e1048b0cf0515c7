//! `wx.requestVirtualPayment` (虚拟支付): WeChat verifies both signatures of a purchase, and then pushes the delivery.
//!
//! Its client gets no HTTP status, so neither does a refusal here: it is an `errCode` beside the usual `errMsg`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::ControlError;
use crate::event::price_of_coins;
use crate::orders::Order;
use crate::push::{self, Form};
use crate::signature;
use crate::state::State;

/// What the client's call is named in its payment signature.
const CALL: &str = "requestVirtualPayment";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PurchaseRequest {
    user: String,
    appid: Option<String>,
    mode: Option<String>,
    /// A text, in which each byte counts.
    sign_data: Option<Value>,
    pay_sig: Option<String>,
    signature: Option<String>,
    /// Whether the mini program is the released version, in which the sandbox is closed.
    #[serde(default)]
    release: bool,
    /// How the delivery is pushed.
    #[serde(default)]
    push: Form,
    /// Whether the simulator sends the delivery, where it was told an address.
    #[serde(default = "yes")]
    send: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct GoodsRequest {
    appid: Option<String>,
    product_id: String,
    goods_price: u64,
}

/// The owner publishes an item in the console.
pub(crate) fn publish(state: &mut State, request: &GoodsRequest) -> Result<Value, ControlError> {
    let appid = state.appid(request.appid.as_deref())?;
    state.orders.publish(&appid, &request.product_id, request.goods_price);
    Ok(json!({}))
}

/// A refusal of the payment, and what its `errMsg` says.
struct PayError(i64, &'static str);

pub(crate) fn purchase(state: &mut State, request: &PurchaseRequest, now: u64) -> Result<Value, ControlError> {
    let appid = state.appid(request.appid.as_deref())?;
    let order = match order(state, &appid, request, now) {
        Ok(order) => order,
        Err(PayError(code, text)) => return Ok(json!({ "errMsg": format!("{CALL}:fail {text}"), "errCode": code })),
    };
    state.orders.pay(&appid, order.clone());
    let mut told = json!({ "errMsg": format!("{CALL}:ok") });
    if let Some(push) = push::delivery(state, &appid, &order, &request.push, request.send, now)? {
        told["push"] = push;
    }
    Ok(told)
}

/// First the form, then the signatures, then what WeChat knows of item and order. The order among signatures is not documented.
fn order(state: &mut State, appid: &str, request: &PurchaseRequest, now: u64) -> Result<Order, PayError> {
    let missing = PayError(1001, "parameter error");
    let sign_data =
        request.sign_data.as_ref().and_then(Value::as_str).ok_or(PayError(1001, "signData is no string"))?;
    let (Some(mode), Some(pay_sig), Some(signature)) = (&request.mode, &request.pay_sig, &request.signature) else {
        return Err(missing);
    };
    let said = SignData::read(sign_data, mode)?;
    if request.release && said.env == 1 {
        return Err(PayError(-15011, "the sandbox is closed in a released version"));
    }
    let key = state.apps.get(appid).and_then(|app| app.app_key(said.env));
    let key = key.ok_or(PayError(-15008, "no AppKey is set for this env"))?;
    if *pay_sig != signature::of_payment(key, CALL, sign_data) {
        return Err(PayError(-15006, "PAY_SIG_INVALID"));
    }
    let (openid, user) = state.users.named(appid, &request.user);
    // A key that was replaced is a wrong one; a user without any has one that expired.
    let key = user.session_key.as_deref().ok_or(PayError(-15007, "SESSION_KEY_EXPIRED"))?;
    if *signature != signature::of_session(key, sign_data.as_bytes()) {
        return Err(PayError(-15005, "SIGNATURE_INVALID"));
    }
    if let Some(product_id) = &said.product_id {
        let published = state.orders.price_of(appid, product_id, said.unit_price);
        let published = published.ok_or(PayError(-15010, "the item is not published"))?;
        if published != said.unit_price {
            return Err(PayError(-15013, "the price differs"));
        }
    }
    if state.orders.find(appid, &said.out_trade_no).is_some() {
        return Err(PayError(-15002, "outTradeNo was used before"));
    }
    let number = state.random.number();
    Ok(said.order(openid, number, now))
}

/// What `signData` says, of which the owner's server and the client have to know the form.
struct SignData {
    env: u64,
    product_id: Option<String>,
    quantity: u64,
    unit_price: u64,
    selling_price: Option<u64>,
    out_trade_no: String,
    attach: String,
}

impl SignData {
    fn read(text: &str, mode: &str) -> Result<Self, PayError> {
        let malformed = || PayError(-15016, "signData is malformed");
        let members: Map<String, Value> = serde_json::from_str(text).map_err(|_| malformed())?;
        let given = |name: &str| members.get(name).ok_or(PayError(-15001, "a member of signData is missing"));
        let text = |name: &str| given(name)?.as_str().map(str::to_owned).ok_or_else(malformed);
        let number = |name: &str| given(name)?.as_u64().ok_or_else(malformed);
        let optional = |name: &str| members.get(name).map(|_| number(name)).transpose();

        let is_goods = match mode {
            "short_series_goods" => true,
            "short_series_coin" => false,
            _ => return Err(PayError(-15001, "mode is short_series_goods or short_series_coin")),
        };
        text("offerId")?;
        if text("currencyType")? != "CNY" {
            return Err(PayError(-15004, "currencyType is not CNY"));
        }
        let said = Self {
            env: optional("env")?.unwrap_or(0),
            product_id: is_goods.then(|| text("productId")).transpose()?,
            quantity: number("buyQuantity")?,
            unit_price: if is_goods { number("goodsPrice")? } else { 0 },
            selling_price: optional("activitySellingPrice")?.filter(|_| is_goods),
            out_trade_no: text("outTradeNo")?,
            attach: text("attach")?,
        };
        if said.env > 1 || said.quantity == 0 || !is_order_number(&said.out_trade_no) {
            return Err(PayError(-15001, "a member of signData has a wrong value"));
        }
        Ok(said)
    }

    fn order(self, openid: String, number: u64, now: u64) -> Order {
        let total = |unit: u64| unit.saturating_mul(self.quantity);
        let (price, paid) = match &self.product_id {
            Some(_) => (total(self.unit_price), total(self.selling_price.unwrap_or(self.unit_price))),
            None => (price_of_coins(self.quantity), price_of_coins(self.quantity)),
        };
        Order {
            out_trade_no: self.out_trade_no,
            openid,
            env: self.env,
            product_id: self.product_id,
            quantity: self.quantity,
            price,
            paid,
            attach: self.attach,
            paid_at: now,
            number,
        }
    }
}

/// 8 to 32 of the characters that WeChat lists, the first of which is no `_`.
fn is_order_number(text: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-|*@".contains(&byte);
    (8..=32).contains(&text.len()) && !text.starts_with('_') && text.bytes().all(is_known)
}
