// What happened, in the order in which it happened: taps, requests and their answers, the server's log lines, and what the
// client package says. The list and the stories show it.

import { onLog, pull, serverNow } from "./laptop.js";

/** Older entries are dropped: more than the longest story has. */
const KEPT = 600;

/** A line of the log whose request is none of the page's is shown after so many looks: its answer may be on the way. */
const PATIENCE = 2;

const entries = [];
const unclaimed = new Map();
const listeners = new Set();
let planned = false;
let count = 0;

export function startJournal() {
  onLog(claim);
}

/** Calls with all entries, once for all that happens at the same time. */
export function onJournal(listener) {
  listeners.add(listener);
}

/** Begins a request; the answer, or that there is none, follows. `mark` says more of it: whose story it belongs to. */
export function recordRequest(phone, { method, url, headers = {}, body }, mark = {}) {
  const { origin, pathname, search } = new URL(url, location.href);
  // What is no address is the name of a call of the platform.
  const path = method === "wx" ? url : (origin === location.origin ? "" : origin) + pathname + search;
  const request = { headers, body: json(body) };
  const entry = add({ kind: "request", phone, method, path, request, began: performance.now(), ...mark });
  const finish = (change) => {
    const ended = performance.now();
    Object.assign(entry, change, { ended, ms: Math.round(ended - entry.began), isNews: true });
    plan();
  };
  return {
    lost: (lost) => finish({ lost }),
    answered: (answer, lost) => {
      finish({ answer, lost });
      if (method !== "wx") pull();
    },
  };
}

/**
 * A tap begins a group: what follows it, until the next one, is what it brought about. `ran` runs a line, or so many of
 * it at once, and keeps its text.
 * What is no tap but may run a line, such as a page that is shown at the start, begins one only then. `code` is what a tap runs
 * before any line of the app's.
 */
export function recordTap(phone, key, { code = "", isTapped = true } = {}) {
  let entry;
  const begin = () => (entry ??= add({ kind: "tap", phone, key, code: isTapped ? code : "" }));
  if (isTapped) begin();
  return {
    ran(line, times) {
      begin().code = [entry.code, textOf(line, times)].filter(Boolean).join("\n");
      plan();
      const runs = Array.from({ length: times ?? 1 }, () => line());
      return times ? Promise.allSettled(runs) : runs[0];
    },
  };
}

/** What runs is what is shown: the body of an arrow function. */
function textOf(line, times) {
  const text = String(line).replace(/^.*?=>\s*/s, "");
  return times > 1 ? `${text}  × ${times}` : text;
}

/** What the client package tells its app. */
export function recordEvent(phone, name, detail) {
  add({ kind: "event", phone, name, detail });
}

/** What a switch of the panel did; like a tap, it begins a group. */
export function recordNote(key, values = {}) {
  add({ kind: "note", key, values });
}

/** What the user of a story gets to see at the end, in a tone: `good`, `failed` or `waiting`. */
export function recordOutcome(key, tone, values, mark) {
  add({ kind: "outcome", key, tone, values, ...mark });
}

function add(entry) {
  entries.push(Object.assign(entry, { id: (count += 1), at: serverNow() }));
  if (entries.length > KEPT) entries.shift();
  plan();
  return entry;
}

export function clearJournal() {
  entries.length = 0;
  plan();
}

/** Tells the listeners anew, as after a change of language. */
export function tellJournal() {
  for (const listener of listeners) listener(entries);
  for (const entry of entries) entry.isNews = false;
}

/** Joins log lines to requests by `x-request-id`. What is nobody's came from elsewhere: a terminal, say. */
function claim(lines) {
  for (const line of lines) {
    const { owner, message } = line;
    if (owner) add({ kind: "told", phone: "function", method: "", path: message.Event ?? message.MsgType, line });
    if (line.request_id) unclaimed.set(line.request_id, { line, looks: 0 });
  }
  for (const entry of entries) {
    const id = entry.answer?.headers["x-request-id"];
    if (entry.line || !unclaimed.has(id)) continue;
    entry.line = unclaimed.get(id).line;
    unclaimed.delete(id);
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

/** One call for all that happens at once. */
function plan() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    tellJournal();
  });
}

function json(body) {
  try {
    return typeof body === "string" ? JSON.parse(body) : body;
  } catch {
    return body;
  }
}
