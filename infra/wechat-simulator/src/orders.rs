//! Virtual payment: what is on sale, and what was paid.

use std::collections::HashMap;

/// A payment that WeChat took.
#[derive(Clone)]
pub(crate) struct Order {
    pub(crate) out_trade_no: String,
    pub(crate) openid: String,
    /// 0 production, 1 sandbox.
    pub(crate) env: u64,
    /// Absent for coins.
    pub(crate) product_id: Option<String>,
    pub(crate) quantity: u64,
    /// In fen, for all of it.
    pub(crate) price: u64,
    pub(crate) paid: u64,
    pub(crate) attach: String,
    pub(crate) paid_at: u64,
    /// What WeChat's own numbers of it end with.
    pub(crate) number: u64,
}

/// By appid and the owner's text.
type ByName<T> = HashMap<(String, String), T>;

#[derive(Default)]
pub(crate) struct Orders {
    paid: ByName<Order>,
    /// The unit price in fen of each item that the console has.
    goods: ByName<u64>,
}

impl Orders {
    /// The item is published at this price. As long as an app has none, any is, at whatever price.
    pub(crate) fn publish(&mut self, appid: &str, product_id: &str, price: u64) {
        self.goods.insert((appid.to_owned(), product_id.to_owned()), price);
    }

    /// The price of an item: what the client says, where the app has published none. Nothing for an item that is not published.
    pub(crate) fn price_of(&self, appid: &str, product_id: &str, said: u64) -> Option<u64> {
        let published = self.goods.get(&(appid.to_owned(), product_id.to_owned())).copied();
        published.or_else(|| (!self.goods.keys().any(|(of, _)| of == appid)).then_some(said))
    }

    pub(crate) fn find(&self, appid: &str, out_trade_no: &str) -> Option<&Order> {
        self.paid.get(&(appid.to_owned(), out_trade_no.to_owned()))
    }

    pub(crate) fn pay(&mut self, appid: &str, order: Order) {
        self.paid.insert((appid.to_owned(), order.out_trade_no.clone()), order);
    }
}
