// The list: what happened since the page was opened, oldest first. It follows the end, unless its reader has scrolled back.

import { el, refill, t } from "./dom.js";
import { createList } from "./entries.js";
import { clearJournal, onJournal } from "./journal.js";

/** So near the end counts as at the end. */
const NEAR = 40;

let feed;
let live;
let alarm;
let shown = [];
let alarmed = 0;

export function mountFeed(root) {
  const entries = el("ol", { class: "entries", label: "feed", tabindex: 0 });
  const list = createList(entries);
  live = el("p", { class: "unseen", role: "status" });
  alarm = el("div", { role: "alert" });
  const clear = el("button", { type: "button", class: "quiet", t: "feed.clear", onclick: forget });
  const empty = el("p", { class: "empty", t: "feed.empty" });
  refill(root, el("header", {}, el("h2", { t: "feed" }), clear), alarm, live, empty, entries);
  const follow = (paint) => {
    const isAtEnd = entries.scrollHeight - entries.scrollTop - entries.clientHeight < NEAR;
    paint();
    if (isAtEnd) entries.scrollTop = entries.scrollHeight;
  };
  feed = { paint: () => follow(() => list.paint(shown)), repaint: () => follow(() => list.repaint(shown)) };
  onJournal((all) => {
    // A story shows its own.
    shown = all.filter(({ lane }) => !lane);
    feed.paint();
    tell();
  });
}

/** Paints everything in the present language. */
export function repaintFeed() {
  feed.repaint();
}

function forget() {
  refill(alarm);
  clearJournal();
}

/** What happened a moment ago: an alarm is shown, and each end of a request is said in a few words. */
function tell() {
  const last = shown.findLast(({ isNews }) => isNews);
  if (last) {
    const { phone, method, path, answer, lost } = last;
    live.textContent = `${t(`who.${phone}`)}: ${method} ${path}, ${lost ? t(`lost.${lost}.short`) : answer.status}`;
  }
  const reuse = shown.findLast(({ line, id }) => line?.verdict === "REUSE" && id > alarmed);
  if (!reuse) return;
  alarmed = reuse.id;
  const hide = el("button", { type: "button", class: "quiet", t: "feed.seen", onclick: () => refill(alarm) });
  refill(alarm, el("div", { class: "alarm" }, el("span", { t: "feed.alarm" }), hide));
}
