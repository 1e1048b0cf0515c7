// Where a story is told: its steps with a sentence each, what both clients do beside each other, and two numbers.

import { button, el, refill, t } from "./dom.js";
import { createList } from "./entries.js";
import { onJournal } from "./journal.js";
import { LANES, STORIES, begin } from "./stories.js";

const NAMES = Object.keys(STORIES);

let root;
let told = null;
let count = 0;

/** `onswitch` hears whether a story is on. */
export function mountStage(element, nav, onswitch) {
  root = element;
  const link = (name) => el("a", { href: `#story=${name}`, t: `story.${name}.title`, "data-story": name });
  refill(nav, el("h2", { t: "stories" }), el("ul", {}, ...NAMES.map((name) => el("li", {}, link(name)))));
  onJournal((entries) => told?.paint(entries));
  const follow = () => {
    const name = /^#story=(\w+)$/.exec(location.hash)?.[1];
    open(NAMES.includes(name) ? name : null);
    for (const each of nav.querySelectorAll("a")) {
      if (each.dataset.story === name) each.setAttribute("aria-current", "page");
      else each.removeAttribute("aria-current");
    }
    nav.querySelector("[aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
    onswitch(told !== null);
  };
  addEventListener("hashchange", follow);
  follow();
}

/** Writes the rows anew, as after a change of language. */
export function repaintStage() {
  told?.repaint();
}

function open(name) {
  told?.close();
  told = name && tell(name);
  root.hidden = !told;
  refill(root, ...(told?.elements ?? []));
  if (told) {
    scrollTo({ top: 0 });
    told.advance();
  }
}

/** Tells this story, step by step. */
function tell(name) {
  const story = STORIES[name];
  const steps = Object.keys(story);
  const cast = begin((count += 1));
  const lists = [];
  let entries = [];
  let at = -1;
  let isOpen = true;

  const place = NAMES.indexOf(name);
  const head = el(
    "header",
    {},
    el("p", { class: "place", t: "stories.at", values: { at: place + 1, of: NAMES.length } }),
    el("h2", { t: `story.${name}.title` }),
    el("p", { class: "lead", t: `story.${name}.lead` }),
  );
  const list = el("ol", { class: "told-steps", label: "stories.steps" });
  const result = el("div", { class: "result-of-story", role: "status" });
  const failure = el("p", { class: "hint", role: "alert" });
  const next = button("stories.next", () => advance(), { class: "go", "data-key": "next" });
  const other = NAMES[(place + 1) % NAMES.length];
  const foot = el(
    "footer",
    {},
    next,
    el("a", { href: "#", t: "stories.back", class: "back" }),
  );

  const paint = (all, how = "paint") => {
    entries = all.filter(({ run }) => run === cast.id);
    for (const { step, lane, list: rows } of lists) {
      rows[how](entries.filter((entry) => entry.step === step && entry.lane === lane));
    }
  };

  async function advance() {
    if (at + 1 >= steps.length) return again();
    at += 1;
    const step = (cast.step = steps[at]);
    const item = stepItem(step);
    list.append(item);
    next.disabled = true;
    next.setAttribute("aria-busy", "true");
    show(item);
    try {
      await story[step](cast);
      item.classList.add("is-done");
    } catch (error) {
      refill(failure, el("span", { t: "stories.failed", values: { why: error.message } }));
    }
    if (!isOpen) return;
    if (at + 1 >= steps.length) finish();
    next.disabled = false;
    next.removeAttribute("aria-busy");
    relabelNext();
    show(at + 1 >= steps.length ? result : item);
    // Whoever uses the keyboard goes on with it.
    if (document.activeElement === document.body) next.focus({ preventScroll: true });
  }

  function stepItem(step) {
    const lanes = LANES.map((lane) => {
      const rows = el("ol", { class: "entries" });
      lists.push({ step, lane, list: createList(rows) });
      const still = el("p", { class: "still", t: "lane.quiet" });
      return el("div", { class: `lane of-${lane}` }, el("p", { class: "lane-name", t: `lane.${lane}` }), rows, still);
    });
    return el("li", { "data-step": step }, el("p", { class: "sentence", t: `story.${name}.${step}` }), ...lanes);
  }

  function finish() {
    const number = ({ lane, count: value }) =>
      el(
        "p",
        { class: `number of-${lane}`, "data-number": lane },
        el("strong", {}, String(value)),
        el("span", { t: `lane.${lane}` }),
      );
    refill(
      result,
      el("div", { class: "numbers" }, el("p", { class: "unit", t: `story.${name}.unit` }), ...cast.sides.map(number)),
      el("p", { class: "moral", t: `story.${name}.moral` }),
    );
    const title = `story.${other}.title`;
    foot.prepend(el("a", { href: `#story=${other}`, class: "go", t: "stories.other", values: { title } }));
    cast.close();
  }

  function relabelNext() {
    const left = steps.length - at - 1;
    next.dataset.t = left > 0 ? "stories.next" : "stories.again";
    next.textContent = t(next.dataset.t);
    next.classList.toggle("go", left > 0);
  }

  function again() {
    open(name);
    root.querySelector("[data-key=next]").focus({ preventScroll: true });
  }

  return {
    elements: [head, lanesHead(), list, result, failure, foot],
    advance,
    paint,
    repaint: () => paint(entries, "repaint"),
    close() {
      isOpen = false;
      cast.close();
    },
  };
}

/** Whose lane is whose. The tutorials' client can be read: it is a file of this page. */
function lanesHead() {
  const source = el("a", { href: "/playground/tutorial.js", target: "_blank", t: "lane.tutorial.about" });
  return el(
    "div",
    { class: "lanes-head" },
    el("div", { class: "lane-head of-ours" }, el("strong", { t: "lane.ours" }), el("span", { t: "lane.ours.about" })),
    el("div", { class: "lane-head of-tutorial" }, el("strong", { t: "lane.tutorial" }), source),
  );
}

function show(element) {
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block: "nearest", behavior: isCalm ? "auto" : "smooth" });
}
