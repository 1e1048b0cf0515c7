// The switches: time, network, WeChat, the thief. Each use leaves a note in the list.

import { button, clockTime, el, refill, span, t } from "./dom.js";
import { recordNote, recordRequest } from "./journal.js";
import { advance, laptop, onLog, script, serverNow, setConduct } from "./laptop.js";
import { network } from "./network.js";
import { push } from "./pushes.js";
import { lastPaid } from "./shop.js";
import { heldTokens, loginElsewhere } from "./wx.js";

/** Past the life of an access token, and of a session. */
const ACCESS_OVER = 16 * 60;
const SESSION_OVER = 8 * 86400;
/** Past the grace in which a replaced refresh token still gets its successor. */
const GRACE_OVER = 2 * 60;

/** What can be lost: anything, or the answer of one route. */
const LOSABLE = ["any", "/v1/login", "/v1/refresh", "/v1/phone", "/v1/session"];

const FAULTS = {
  works: null,
  silence: { kind: "silence" },
  reset: { kind: "reset" },
  html: { kind: "html" },
  "-1": { kind: "errcode", errcode: -1 },
  45011: { kind: "errcode", errcode: 45011 },
  40029: { kind: "errcode", errcode: 40029 },
  40226: { kind: "errcode", errcode: 40226 },
  40125: { kind: "errcode", errcode: 40125 },
};

const state = { losing: "any", stolen: null, step: 0, hint: "" };
let root;
let phones;
let clock;

export function mountPanel(element, given) {
  root = element;
  phones = given;
  network.onChange(paintPanel);
  let shown = playing();
  onLog(() => {
    tellTime();
    if (playing() === shown) return;
    shown = playing();
    paintPanel();
  });
  setInterval(tellTime, 1000);
}

/** What the laptop says that is played, whoever set it: this page, another one, or a terminal. */
function playing() {
  return `${faultNow()} ${laptop.conduct}`;
}

/** The fault that every call meets, by its name here. */
function faultNow() {
  const [first, ...others] = laptop.script;
  if (!first) return "works";
  const isOurs = ({ kind, errcode }) => kind === first.fault.kind && errcode === first.fault.errcode;
  const name = Object.keys(FAULTS).find((each) => FAULTS[each] && isOurs(FAULTS[each]));
  return name && first.api === "*" && first.times === null && others.length === 0 ? name : "other";
}

export function paintPanel() {
  const hint = state.hint && el("p", { class: "hint", role: "alert", t: state.hint });
  refill(root, el("h2", { t: "switches", class: "unseen" }), time(), net(), wechat(), thief(), shop(), hint);
  tellTime();
}

function card(key, ...content) {
  return el("fieldset", { class: "card", "data-card": key }, el("legend", { t: `panel.${key}` }), ...content);
}

/** A button of the panel: what it does can fail, and then says so below the cards. */
function act(key, run, given = {}) {
  const press = async () => {
    state.hint = "";
    try {
      await run();
    } catch (error) {
      state.hint = error.message;
    }
    paintPanel();
  };
  return button(key, press, { "data-key": key, ...given });
}

function time() {
  clock = el("p", { class: "clock" });
  const step = (key, seconds) => act(key, () => forward(seconds));
  return card("time", clock, step("time.access", ACCESS_OVER), step("time.session", SESSION_OVER));
}

async function forward(seconds) {
  recordNote("note.advanced", { span: span(seconds) });
  await advance(seconds);
}

function tellTime() {
  if (!clock) return;
  if (!laptop.reachable) return refill(clock, el("strong", { class: "is-over", t: "laptop.gone" }));
  const ahead = laptop.ahead > 0 ? t("time.ahead", { span: span(laptop.ahead) }) : t("time.real");
  refill(clock, el("strong", {}, clockTime(serverNow())), el("span", {}, ahead));
}

function net() {
  const { loss, slow, offline } = network;
  const pressed = (isOn) => ({ "aria-pressed": String(isOn) });
  const lose = (what) => {
    const isArmed = loss?.what === what;
    const arm = () => network.set({ loss: isArmed ? null : { what, of: state.losing } });
    return act(`net.${what}`, arm, { label: `net.lose.${what}`, ...pressed(isArmed) });
  };
  const of = choice("net.of", LOSABLE, state.losing, (route) => {
    state.losing = route;
    if (loss) network.set({ loss: { ...loss, of: route } });
  });
  return card(
    "net",
    el("p", { class: "ask", t: "net.lose", "aria-hidden": "true" }),
    el("div", { class: "pair" }, lose("request"), lose("answer")),
    of,
    el(
      "div",
      { class: "pair" },
      act("net.slow", () => network.set({ slow: !slow }), pressed(slow)),
      act("net.offline", () => switchOffline(!offline), pressed(offline)),
    ),
  );
}

function switchOffline(offline) {
  recordNote(offline ? "note.offline" : "note.online");
  network.set({ offline });
}

function wechat() {
  if (!laptop.simulator) return card("wechat", el("p", { t: "wechat.elsewhere" }));
  const now = faultNow();
  const names = [...Object.keys(FAULTS).sort(byFault), ...(now === "other" ? [now] : [])];
  const fault = choice("wechat.answers", names, now, async (name) => {
    await script(FAULTS[name]);
    recordNote("note.wechat", { fault: `wechat.answers.${name}` });
  });
  const elsewhere = act("wechat.replace", async () => {
    const { user } = phones.get("phone1");
    await loginElsewhere(user);
    recordNote("note.replaced", { user });
  });
  const revoke = act("wechat.revoke", () => pushOf("wechat.revoke", "user_authorization_revoke", { RevokeInfo: "8" }));
  const close = act("wechat.cancel", () => pushOf("wechat.cancel", "user_authorization_cancellation"));
  return card("wechat", fault, elsewhere, revoke, close, el("p", { t: "wechat.foreign" }));
}

/** What WeChat sends when the user of phone 1 does something there. */
function pushOf(key, event, given) {
  recordNote(key);
  return push(event, { user: phones.get("phone1").user, ...given });
}

/** What the shop's function does, and what WeChat says of an order later. */
function shop() {
  if (!laptop.simulator) return false;
  const conduct = laptop.owner
    ? choice("shop.function", ["takes", "fails", "absent"], laptop.conduct, async (name) => {
        await setConduct(name);
        recordNote("note.function", { conduct: `shop.function.${name}` });
      })
    : el("p", { t: "shop.elsewhere" });
  const about = (key, event) =>
    act(key, () => {
      const order = lastPaid();
      if (!order) throw new Error("shop.nothing");
      recordNote(key);
      return push(event, { outTradeNo: order.number });
    });
  return card(
    "shop",
    conduct,
    about("shop.again", "xpay_goods_deliver_notify"),
    about("shop.refund", "xpay_refund_notify"),
    about("shop.complaint", "xpay_complaint_notify"),
  );
}

/** Objects put numbers first; here what works is first, and what fails follows in the order that it was written. */
function byFault(one, other) {
  const order = ["works", "silence", "reset", "html", "-1"];
  const rank = (name) => (order.includes(name) ? order.indexOf(name) : order.length);
  return rank(one) - rank(other);
}

/** A labelled select whose options are texts `key.option`. */
function choice(key, options, chosen, onchoose) {
  const select = el(
    "select",
    { "data-key": key, "data-choice": key },
    ...options.map((option) => el("option", { value: option, t: `${key}.${option}`, selected: option === chosen })),
  );
  select.addEventListener("change", () => onchoose(select.value));
  return el("label", { class: "choice" }, el("span", { t: key }), select);
}

/** In three steps: a copy is used, the owner's own turns out to be old, and the copy is worth nothing from then on. */
function thief() {
  const steps = [
    ["thief.steal", steal],
    ["thief.owner", ownerReturns],
    ["thief.again", thiefReturns],
  ];
  const items = steps.map(([key, run], at) =>
    el("li", {}, act(key, run, { disabled: at !== state.step, class: at === state.step ? "next" : "" })),
  );
  return card("thief", el("ol", { class: "steps" }, ...items));
}

async function steal() {
  const { user } = phones.get("phone1");
  const { refresh } = heldTokens("phone1", user);
  if (!refresh) throw new Error("thief.nothing");
  recordNote("note.stolen", { user });
  // Old enough to be replaced instead of given back.
  await forward(ACCESS_OVER);
  state.stolen = await refreshAsThief(refresh);
  await forward(GRACE_OVER);
  state.step = 1;
}

async function ownerReturns() {
  recordNote("thief.owner");
  const { auth } = phones.get("phone1").app;
  await auth.request({ url: "/v1/session" }).catch(() => {});
  state.step = 2;
}

async function thiefReturns() {
  recordNote("thief.again");
  await refreshAsThief(state.stolen);
  Object.assign(state, { stolen: null, step: 0 });
}

/** The thief needs no phone and no package: one request with what was copied. */
async function refreshAsThief(refreshToken) {
  const body = JSON.stringify({ refresh_token: refreshToken });
  const headers = { "content-type": "application/json" };
  const entry = recordRequest("thief", { method: "POST", url: "/v1/refresh", headers, body });
  const answer = await fetch("/v1/refresh", { method: "POST", headers, body });
  const told = await answer.json();
  entry.answered({ status: answer.status, headers: Object.fromEntries(answer.headers), body: told });
  return told.refresh_token ?? refreshToken;
}
