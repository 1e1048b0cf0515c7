// The live list: what phones send, what they are answered, what the server decided, and what the client package says.
//
// The newest stands on top. A run of equal requests is one row with a count: fifty at once are read at a glance.

import { clockTime, currentLanguage, el, isText, refill, t } from "./dom.js";
import { onLog, pull, serverNow } from "./laptop.js";
import { pretty, tokensOf } from "./tokens.js";

/** Older entries are dropped. */
const KEPT = 400;

/** A line of the log whose request is none of the page's is shown after so many looks: its answer may be on the way. */
const PATIENCE = 2;

const CONNECTION = ["connection", "content-length", "date", "keep-alive"];

const entries = [];
const rows = new Map();
const unclaimed = new Map();
let list;
let live;
let alarm;
let planned = false;
let count = 0;

export function mountFeed(root) {
  list = el("ol", { class: "entries", label: "feed" });
  live = el("p", { class: "unseen", "aria-live": "polite" });
  alarm = el("div", { role: "alert" });
  const clear = el("button", { type: "button", class: "quiet", t: "feed.clear", onclick: forget });
  const empty = el("p", { class: "empty", t: "feed.empty" });
  refill(root, el("header", {}, el("h2", { t: "feed" }), clear), alarm, live, empty, list);
  onLog(claim);
}

/** Begins a request's row; the answer, or that there is none, follows. */
export function recordRequest(phone, { method, url, headers, body }) {
  const { origin, pathname, search } = new URL(url, location.href);
  // What is no address is the name of a call of the platform.
  const path = method === "wx" ? url : (origin === location.origin ? "" : origin) + pathname + search;
  const request = { headers, body: json(body) };
  const entry = add({ kind: "request", phone, method, path, request, began: performance.now() });
  const finish = (change) => {
    Object.assign(entry, change, { ms: Math.round(performance.now() - entry.began) });
    say(entry);
    plan();
  };
  return {
    lost: (lost) => finish({ lost }),
    answered: (answer, lost) => {
      finish({ answer, lost });
      pull();
    },
  };
}

/** What the client package tells its app. */
export function recordEvent(phone, name, detail) {
  add({ kind: "event", phone, name, detail });
}

/** What a switch of the panel did. */
export function recordNote(key, values = {}) {
  add({ kind: "note", key, values });
}

function add(entry) {
  entries.push(Object.assign(entry, { id: (count += 1), at: serverNow() }));
  if (entries.length > KEPT) entries.shift();
  plan();
  return entry;
}

function forget() {
  entries.length = 0;
  refill(alarm);
  plan();
}

/** Joins log lines to requests by `x-request-id`. What is nobody's came from elsewhere: a terminal, say. */
function claim(lines) {
  for (const line of lines) {
    if (line.owner) add({ kind: "told", phone: "function", method: "", path: line.message.Event ?? line.message.MsgType, line });
    if (line.request_id) unclaimed.set(line.request_id, { line, looks: 0 });
  }
  for (const entry of entries) {
    const id = entry.answer?.headers["x-request-id"];
    if (entry.line || !unclaimed.has(id)) continue;
    entry.line = unclaimed.get(id).line;
    unclaimed.delete(id);
    if (entry.line.verdict === "REUSE") raiseAlarm();
    plan();
  }
  const isWaiting = entries.some((entry) => entry.kind === "request" && !entry.answer && !entry.lost);
  for (const [id, held] of unclaimed) {
    held.looks += 1;
    if (held.looks <= PATIENCE || isWaiting) continue;
    unclaimed.delete(id);
    const { line } = held;
    add({ kind: "elsewhere", phone: "elsewhere", method: line.method, path: line.route, line, ms: line.duration_ms });
  }
}

function raiseAlarm() {
  const hide = el("button", { type: "button", class: "quiet", t: "feed.seen", onclick: () => refill(alarm) });
  refill(alarm, el("div", { class: "alarm" }, el("span", { t: "feed.alarm" }), hide));
}

/** One repaint for all that happens at once. */
function plan() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    paint();
  });
}

/** Paints everything in the present language. */
export function repaintFeed() {
  rows.clear();
  paint();
}

function paint() {
  const groups = [];
  for (const entry of entries) {
    const last = groups.at(-1);
    const mark = signature(entry);
    if (last && last.mark === mark && entry.kind !== "note") {
      last.entries.push(entry);
    } else {
      groups.push({ mark, entries: [entry] });
    }
  }
  const wanted = groups.reverse().map((group) => {
    const key = group.entries[0].id;
    const mark = `${group.mark}×${group.entries.length}`;
    const held = rows.get(key);
    if (held?.mark === mark) return held.row;
    const row = rowOf(group.entries);
    const wasOpen = held?.row.querySelector("details")?.open;
    if (wasOpen) row.querySelector("details").open = true;
    rows.set(key, { mark, row });
    return row;
  });
  const kept = new Set(groups.map((group) => group.entries[0].id));
  for (const key of rows.keys()) if (!kept.has(key)) rows.delete(key);
  for (const child of [...list.children]) if (!wanted.includes(child)) child.remove();
  wanted.forEach((row, at) => {
    if (list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null);
  });
}

/** Entries with the same one are told together. */
function signature({ kind, phone, method, path, name, answer, lost, line, key }) {
  const outcome = [answer?.status, answer?.body?.code, lost, line?.owner, line?.verdict, line?.["wechat.errcode"], Boolean(line)];
  return [kind, phone, method, path, name, key, ...outcome].join("|");
}

function rowOf(group) {
  const [entry] = group;
  if (entry.kind === "note") {
    return el("li", { class: "note" }, time(entry), el("span", { t: entry.key, values: entry.values }));
  }
  if (entry.kind === "event") {
    const code = entry.detail && el("code", {}, entry.detail);
    const told = el("span", { class: "told" }, el("span", { t: `event.${entry.name}` }), code, times(group));
    const given = { class: `event is-${entry.name}`, "data-event": entry.name };
    return el("li", given, time(entry), badge(entry), told);
  }
  const { outcome, tone } = outcomeOf(entry);
  const summary = el(
    "summary",
    {},
    time(entry),
    badge(entry),
    el("span", { class: "call" }, el("b", {}, entry.method), " ", entry.path, times(group)),
    el("span", { class: `pill ${tone}` }, outcome),
    el("span", { class: "ms" }, entry.ms === undefined ? "" : `${slowest(group)} ms`),
    el("span", { class: "meaning" }, ...meaningOf(entry)),
  );
  const details = el("details", {}, summary);
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(insideOf(entry));
  });
  const verdict = entry.line?.verdict;
  const isAlarm = verdict === "REUSE" || verdict === "ALARM";
  return el("li", { class: isAlarm && "is-alarm", "data-path": entry.path }, details);
}

function slowest(group) {
  return Math.max(...group.map(({ ms }) => ms ?? 0));
}

function time(entry) {
  return el("time", {}, clockTime(entry.at));
}

function times(group) {
  return group.length > 1 && el("span", { class: "times" }, `×${group.length}`);
}

function badge({ phone }) {
  return el("span", { class: `badge of-${phone}`, t: `who.${phone}` });
}

function outcomeOf({ answer, lost, line, kind }) {
  if (lost) return { outcome: t(`lost.${lost}.short`), tone: "is-lost" };
  if (kind === "told") return { outcome: t(`told.${line.owner}`), tone: line.owner === "taken" ? "is-good" : "is-failed" };
  const status = kind === "elsewhere" ? line.status : answer?.status;
  if (status === "ok") return { outcome: status, tone: "is-good" };
  if (status < 0) return { outcome: status, tone: status === -2 ? "is-lost" : "is-refused" };
  if (!status) return { outcome: "…", tone: "is-pending" };
  return { outcome: status, tone: status < 300 ? "is-good" : status < 500 ? "is-refused" : "is-failed" };
}

/** In a sentence: what the server found, and in its own words what it answered. */
function meaningOf({ phone, answer, lost, line }) {
  const body = answer?.body ?? {};
  const code = body.code ?? line?.code;
  const verdict = line?.verdict;
  const title = currentLanguage() === "zh" ? body.title_zh : body.title;
  const errcode = line?.["wechat.errcode"];
  return [
    lost && el("span", { t: `lost.${lost}` }),
    verdict && el("code", { class: `verdict is-${verdict}` }, verdict),
    code && el("code", { class: "code" }, code),
    body.action && el("code", { class: "action" }, `→ ${body.action}`),
    errcode !== undefined && el("code", {}, `WeChat ${errcode}`),
    isText(`verdict.${verdict}`) && el("span", { t: `verdict.${verdict}`, values: { behind: line.behind ?? 0 } }),
    !verdict && title && el("span", {}, title),
    body.refused && el("code", { class: "code" }, body.refused),
    isText(`sign.${body.refused}`) && el("span", { t: `sign.${body.refused}` }),
    phone === "shop" && body.signature && el("span", { t: "sign.signed" }),
    isText(`pay.${body.errCode}`) && el("span", { t: `pay.${body.errCode}` }),
    line?.owner && el("code", {}, line.message.OutTradeNo ?? line.message.MchOrderId ?? ""),
    body.new_user === true && el("span", { t: "feed.newUser" }),
  ].filter(Boolean);
}

function insideOf(entry) {
  const { request, answer, line } = entry;
  const part = (key, value, values) =>
    value && el("section", {}, el("h3", { t: key, values }), el("pre", { tabindex: 0 }, pretty(value)));
  const tokens = request ? tokensOf(entry) : [];
  return el(
    "div",
    { class: "inside" },
    request && part("feed.request", { headers: request.headers, body: request.body }),
    answer && part("feed.answer", { headers: telling(answer.headers), body: answer.body }),
    line?.owner ? part("feed.told", line.message) : part("feed.line", line),
    ...tokens.map(({ key, kind, parts }) => part(key, parts, { kind: `tokens.${kind}` })),
  );
}

/** Headers that say something of this answer, not of the connection. */
function telling(headers) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !CONNECTION.includes(name)));
}

/** For those who hear the page: each end of a request in a few words. */
function say({ phone, method, path, answer, lost }) {
  live.textContent = `${t(`who.${phone}`)}: ${method} ${path}, ${lost ? t(`lost.${lost}.short`) : answer.status}`;
}

function json(body) {
  try {
    return typeof body === "string" ? JSON.parse(body) : body;
  } catch {
    return body;
  }
}
