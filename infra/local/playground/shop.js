// The owner of the demo shop: a server that takes orders, as the documents of the client package show it, and what its
// function was told of them.

import { recordRequest } from "./journal.js";
import { onLog } from "./laptop.js";

/** Where the mini program finds the server. */
export const SHOP = "https://shop.example";

const LAMBDA = "/2015-03-31/functions/wxauth-sign/invocations";
const ITEM = { productId: "vip_month", goodsPrice: 1000 };

/** By the number that the shop gave: who ordered, and how far it is. */
const orders = new Map();
const listeners = new Set();

export function onOrders(listener) {
  listeners.add(listener);
}

/** The orders of a user, the newest first. */
export function ordersOf(openid) {
  return [...orders.values()].filter((order) => order.openid === openid).reverse();
}

/** The newest order that was paid. */
export function lastPaid() {
  return [...orders.values()].filter(({ state }) => state !== "ordered").at(-1);
}

export function markOrder(number, change) {
  const order = orders.get(number);
  if (!order) return;
  Object.assign(order, change);
  for (const listener of listeners) listener();
}

/** What the server answers to a request for an order: the signed text, and both signatures. */
export async function shopServer(url, { headers }) {
  const session = await call("GET", "/v1/session", { authorization: headers.authorization });
  if (session.status !== 200) return answer(session.status, session.body);
  const { appid, openid } = session.body;
  const number = `SHOP${crypto.randomUUID().replaceAll("-", "").slice(0, 20)}`;
  const signData = JSON.stringify({
    offerId: "1450000001",
    env: 0,
    currencyType: "CNY",
    buyQuantity: 1,
    ...ITEM,
    outTradeNo: number,
    attach: "",
  });
  const event = { appid, openid, message: signData, uri: "requestVirtualPayment", check: true };
  const { headers: told, body: signed } = await call("POST", LAMBDA, {}, event);
  if (told["x-amz-function-error"]) return answer(503, { code: signed.errorType, action: "retry" });
  if (signed.refused) return answer(409, { code: signed.refused, action: signed.action });
  orders.set(number, { number, openid, state: "ordered", told: 0 });
  return answer(200, { mode: "short_series_goods", signData, ...signed });
}

function answer(status, body) {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
}

/** A request of the server's own. */
async function call(method, url, headers, event) {
  const entry = recordRequest("shop", { method, url, headers, body: event });
  const answered = await fetch(url, { method, headers, body: event && JSON.stringify(event) });
  const heard = {
    status: answered.status,
    headers: Object.fromEntries(answered.headers),
    body: await answered.json(),
  };
  entry.answered(heard);
  return heard;
}

/** The function delivers once, by the shop's own number of the order. */
function deliver({ owner, message }) {
  if (owner !== "taken") return;
  const number = message.OutTradeNo ?? message.MchOrderId;
  const order = orders.get(number);
  if (!order) return;
  const told = order.told + 1;
  const { Event: event } = message;
  if (event === "xpay_goods_deliver_notify" && order.state !== "refunded") markOrder(number, { state: "delivered", told });
  if (event === "xpay_refund_notify") markOrder(number, { state: "refunded", told });
  if (event === "xpay_complaint_notify") markOrder(number, { complaint: true, told });
}

onLog((lines) => {
  for (const line of lines) if (line.owner) deliver(line);
});
