// How an entry of the journal looks, alone or with its equals in one row.

import { clockTime, currentLanguage, el, isText, t } from "./dom.js";
import { pretty, short, tokensOf } from "./tokens.js";

const CONNECTION = ["connection", "content-length", "date", "keep-alive"];

/** What begins a group: nothing is told together over it. */
const BREAKS = ["tap", "note"];

/**
 * Paints entries into a list, oldest first. Equal ones are one row with a count, so that fifty at once are read at a glance,
 * unless everything had come to rest between them, and something else came first. A row that did not change stays as it is.
 */
export function createList(list) {
  const rows = new Map();
  const paint = (entries) => {
    const groups = groupsOf(entries);
    const wanted = groups.map((group) => rowFor(rows, group));
    const kept = new Set(groups.map(({ key }) => key));
    for (const key of rows.keys()) if (!kept.has(key)) rows.delete(key);
    for (const child of [...list.children]) if (!wanted.includes(child)) child.remove();
    wanted.forEach((row, at) => {
      if (list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null);
    });
  };
  return {
    paint,
    /** After a change of language. */
    repaint(entries) {
      rows.clear();
      paint(entries);
    },
  };
}

function groupsOf(entries) {
  const groups = [];
  let open = new Map();
  let rest = 0;
  for (const entry of entries) {
    const { began, ended = Infinity } = entry;
    const mark = signature(entry);
    const last = groups.at(-1);
    if (BREAKS.includes(entry.kind) || (began >= rest && last?.mark !== mark)) open = new Map();
    if (began !== undefined) rest = Math.max(rest, ended);
    if (open.has(mark)) {
      open.get(mark).entries.push(entry);
    } else {
      open.set(mark, { key: entry.id, mark, entries: [entry] });
      groups.push(open.get(mark));
    }
  }
  return groups;
}

function rowFor(rows, { key, mark, entries }) {
  const full = `${mark}×${entries.length}`;
  const held = rows.get(key);
  if (held?.mark === full) return held.row;
  const row = rowOf(entries);
  const wasOpen = held?.row.querySelector("details")?.open;
  if (wasOpen) row.querySelector("details").open = true;
  rows.set(key, { mark: full, row });
  return row;
}

/** Entries with the same one are told together. */
function signature(entry) {
  const { kind, phone, method, path, name, key, code, answer, lost, line, ms } = entry;
  const told = method === "wx" ? "" : answer?.body?.code;
  const found = [line?.owner, line?.verdict, line?.["wechat.errcode"], Boolean(line)];
  return [kind, phone, method, path, name, key, code, answer?.status, told, lost, ms === undefined, ...found].join("|");
}

function rowOf(group) {
  const [entry] = group;
  if (entry.kind === "note") {
    return el("li", { class: "note" }, time(entry), el("span", { t: entry.key, values: entry.values }));
  }
  if (entry.kind === "tap") return tapRow(entry);
  if (entry.kind === "event") {
    const code = entry.detail && el("code", {}, entry.detail);
    const told = el("span", { class: "told" }, el("span", { t: `event.${entry.name}` }), code, times(group));
    const given = { class: `event is-${entry.name}`, "data-event": entry.name };
    return el("li", given, time(entry), badge(entry), told);
  }
  if (entry.kind === "outcome") {
    return el("li", { class: `outcome is-${entry.tone}` }, el("span", { t: entry.key, values: entry.values }));
  }
  return callRow(group);
}

function tapRow({ phone, key, code, at }) {
  const head = el("span", { class: "tapped", t: key });
  return el("li", { class: "tap" }, time({ at }), badge({ phone }), head, code && el("code", {}, code));
}

function callRow(group) {
  const [entry] = group;
  const { outcome, tone } = outcomeOf(entry);
  const summary = el(
    "summary",
    {},
    time(entry),
    badge(entry),
    el("span", { class: "call" }, ...nameOf(entry), times(group)),
    el("span", { class: `pill ${tone}` }, outcome),
    el("span", { class: "ms" }, entry.ms === undefined ? "" : `${slowest(group)} ms`),
    el("span", { class: "meaning" }, ...meaningOf(entry, group)),
  );
  const details = el("details", {}, summary);
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(insideOf(entry));
  });
  const verdict = entry.line?.verdict;
  const isAlarm = verdict === "REUSE" || verdict === "ALARM";
  return el("li", { class: isAlarm && "is-alarm", "data-path": entry.path }, details);
}

function nameOf({ method, path }) {
  return method === "wx" ? [el("b", {}, "wx."), path] : [el("b", {}, method), " ", path];
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
  if (kind === "told") {
    return { outcome: t(`told.${line.owner}`), tone: line.owner === "taken" ? "is-good" : "is-failed" };
  }
  const status = kind === "elsewhere" ? line.status : answer?.status;
  if (status === "ok") return { outcome: status, tone: "is-good" };
  if (status === "fail") return { outcome: status, tone: "is-refused" };
  if (status < 0) return { outcome: status, tone: status === -2 ? "is-lost" : "is-refused" };
  if (!status) return { outcome: "…", tone: "is-pending" };
  return { outcome: status, tone: status < 300 ? "is-good" : status < 500 ? "is-refused" : "is-failed" };
}

/** In a sentence: what the server found, and in its own words what it answered. */
function meaningOf({ phone, method, path, answer, lost, line }, group) {
  const body = answer?.body ?? {};
  const isWx = method === "wx";
  const code = isWx ? group.length === 1 && body.code && `code ${short(body.code, 6, 4)}` : (body.code ?? line?.code);
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
    isWx && isText(`wx.${path}.${answer?.status}`) && el("span", { t: `wx.${path}.${answer.status}` }),
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
