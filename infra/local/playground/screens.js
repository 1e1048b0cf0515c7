// What the two pages of the mini program look like.

import { button, dateTime, day, el, isText } from "./dom.js";
import { ordersOf } from "./shop.js";
import { readAccess, readRefresh, short } from "./tokens.js";
import { heldTokens } from "./wx.js";

/** How long an access token lives unless the server was told otherwise: what its bar is full at. */
const FULL_LIFE = 900;

const CALLS = [1, 6, 50];

export function homeScreen(page, { auth, phone, user }) {
  const { profile, phoneNumber, steps, tally } = auth.loggedIn ? page.data : {};
  const name = profile?.nickName;
  const head = el(
    "div",
    { class: "card hero" },
    el("span", { class: `avatar ${name ? "" : "is-nobody"}`, "aria-hidden": "true" }, name ? name.charAt(0) : ""),
    auth.loggedIn
      ? el("div", {}, el("strong", {}, name ?? user), el("small", {}, short(auth.openid, 8, 4)))
      : el("div", {}, el("strong", { t: "home.nobody" })),
  );
  const call = (count) => action(page, `call${count}`, "home.call", () => page.callApi(count), { values: { count } });
  const outcome = ([told, count]) => el("strong", {}, `${count} × ${told}`);
  return [
    el("section", { class: "group" }, head, auth.loggedIn && tokenBars(phone, user)),
    el(
      "section",
      { class: "group" },
      action(page, "login", "home.login", () => page.login(), { class: auth.loggedIn ? "" : "primary" }),
      action(page, "profile", "home.profile", () => page.profile()),
      action(page, "phone", "home.phone", () => page.phone()),
      segments("way", ["code", "encryptedData"], page),
      phoneNumber && result("phone", el("span", { t: "home.number" }), el("strong", {}, phoneNumber)),
    ),
    el(
      "section",
      { class: "group" },
      el("h3", { t: "home.calls" }),
      el("div", { class: "calls" }, ...CALLS.map(call)),
      tally && result("tally", ...tally.outcomes.map(outcome), el("span", {}, `${tally.ms} ms`)),
    ),
    el(
      "section",
      { class: "group" },
      action(page, "steps", "home.steps", () => page.steps()),
      segments("method", ["openData", "userInfo"], page),
      steps && result("steps", el("span", { t: "home.today" }), el("strong", {}, ...steps.map(String))),
    ),
  ];
}

export function meScreen(page, { auth, attempt }) {
  const { session, devices, authed } = page.data;
  if (!authed) return waiting(page, attempt);
  return [
    session &&
      el(
        "section",
        { class: "group", "data-result": "session" },
        el("h3", { t: "me.session" }),
        el(
          "dl",
          {},
          ...fact("me.openid", short(session.openid, 6, 4)),
          ...fact("me.device", short(session.device, 6, 4)),
          ...fact("me.created", dateTime(session.created_at)),
          ...fact("me.expires", day(session.expires_at)),
          el("dt", { t: "me.wechat" }),
          el("dd", { t: `wechat.${session.wechat_session}` }),
        ),
        action(page, "check", "me.check", () => page.check()),
      ),
    devices.length > 0 &&
      el(
        "section",
        { class: "group", "data-result": "devices" },
        el("h3", { t: "me.devices", values: { count: devices.length } }),
        el(
          "ul",
          { class: "devices" },
          ...devices.map(({ device, current, last_seen_at: seen }) =>
            el(
              "li",
              {},
              el("code", {}, short(device, 6, 4)),
              current ? el("em", { t: "me.current" }) : el("span", {}, day(seen)),
            ),
          ),
        ),
      ),
    el(
      "section",
      { class: "group" },
      action(page, "logout", "me.logout", () => page.logout(false)),
      action(page, "everywhere", "me.everywhere", () => page.logout(true)),
      action(page, "delete", "me.delete", () => page.deleteUser(), { class: "danger" }),
    ),
    !auth.loggedIn && el("p", { class: "waiting", t: "home.nobody" }),
  ];
}

export function shopScreen(page, { auth, attempt }) {
  if (!page.data.authed) return waiting(page, attempt);
  const orders = ordersOf(auth.openid);
  const line = ({ number, state, complaint }) =>
    el(
      "li",
      { "data-order": state },
      el("code", {}, short(number, 8, 4)),
      el("em", {}, el("span", { t: `order.${state}` }), complaint && el("span", { t: "order.complaint" })),
    );
  return [
    el(
      "section",
      { class: "group" },
      el(
        "div",
        { class: "hero" },
        el("span", { class: "avatar", "aria-hidden": "true" }, "V"),
        el("div", {}, el("strong", { t: "shop.item" }), el("small", { t: "shop.price" })),
      ),
      action(page, "buy", "shop.buy", () => page.buy(), { class: "primary" }),
    ),
    orders.length > 0 &&
      el(
        "section",
        { class: "group", "data-result": "orders" },
        el("h3", { t: "shop.orders" }),
        el("ul", { class: "devices" }, ...orders.map(line)),
      ),
  ];
}

/** A guarded page that nobody is logged in for: while it tries, and after it failed. */
function waiting(page, attempt) {
  const { authError } = page.data;
  if (!authError) return [el("p", { class: "waiting", t: "me.waiting" })];
  const { code, title } = authError;
  const key = `auth.${code}`;
  const retry = () => attempt(page, "retry", "me.retry", ({ ran }) => ran(() => page.retryAuth()));
  return [
    el(
      "section",
      { class: "group auth-error", "data-result": "authError" },
      isText(key) ? el("h3", { t: key }) : el("h3", {}, title),
      el("code", {}, code),
      action(page, "retry", "me.retry", retry, { class: "primary" }),
    ),
  ];
}

/** What the sheet says that WeChat shows after a tap on the phone number button. */
export function phoneSheet() {
  return [el("h3", { t: "sheet.title" }), el("p", { t: "sheet.content" })];
}

function action(page, key, text, onclick, given = {}) {
  const isBusy = page.data.busy[key] > 0;
  return button(text, onclick, { "aria-busy": isBusy && "true", "data-key": key, ...given });
}

/** One of these, as the page's data has it under the name. */
function segments(name, options, page) {
  const option = (each) =>
    button(`${name}.${each}`, () => page.setData({ [name]: each }), {
      "aria-pressed": String(page.data[name] === each),
      "data-key": each,
    });
  return el("div", { class: "segments", role: "group", label: name }, ...options.map(option));
}

function result(name, ...content) {
  return el("p", { class: "result", "data-result": name }, ...content);
}

function fact(key, value) {
  return [el("dt", { t: key }), el("dd", {}, value)];
}

/** What the phone holds: how long the access token lives by the server's clock, and the refresh token's generation. */
function tokenBars(phone, user) {
  const { access, refresh } = heldTokens(phone, user);
  const until = access && readAccess(access).parts.claims?.exp;
  const generation = refresh && readRefresh(refresh).parts.generation;
  const bar = el("progress", { max: FULL_LIFE, value: 0, "data-until": until, label: "tokens.access" });
  return el(
    "dl",
    { class: "tokens" },
    el("dt", { t: "tokens.access" }),
    el("dd", {}, bar, el("span", { "data-left": until })),
    el("dt", { t: "tokens.refresh" }),
    el("dd", {}, el("span", { t: "home.generation", values: { generation }, "data-generation": generation })),
  );
}
