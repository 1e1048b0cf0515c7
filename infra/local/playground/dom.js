// What the page builds its elements with, and the language they speak.
//
// A text is named by its key in texts.js and written into `data-t`, so that a change of language relabels what stands
// there without building it anew.

import { TEXTS } from "./texts.js";

const KEPT = "wxauth.language";

let language = localStorage.getItem(KEPT) ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");

/** The text of this key in the present language, with `{name}` replaced. A text that is no key stands for itself. */
export function t(key, values = {}) {
  const text = TEXTS[language][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? t(String(values[name])) : whole));
}

export function isText(key) {
  return key in TEXTS[language];
}

export function currentLanguage() {
  return language;
}

export function speak(next) {
  language = next;
  localStorage.setItem(KEPT, next);
  document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
  relabel(document);
}

/** Writes every labelled text below this element anew. */
export function relabel(root) {
  for (const element of root.querySelectorAll("[data-t]")) {
    element.textContent = t(element.dataset.t, values(element));
  }
  for (const element of root.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel, values(element)));
  }
  for (const element of root.querySelectorAll("[data-t-title]")) {
    element.title = t(element.dataset.tTitle, values(element));
  }
}

function values(element) {
  return element.dataset.tValues ? JSON.parse(element.dataset.tValues) : {};
}

/**
 * An element. `t`, `label` and `hint` name texts (content, aria-label, title) and `values` what stands in them; `on…`
 * are listeners, `class` and the rest attributes; `true` and `false` set and leave out.
 */
export function el(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  const { t: key, label, hint, values: named, ...rest } = given;
  if (named) element.dataset.tValues = JSON.stringify(named);
  if (key) element.textContent = t((element.dataset.t = key), named);
  if (label) element.setAttribute("aria-label", t((element.dataset.tLabel = label), named));
  if (hint) element.title = t((element.dataset.tTitle = hint), named);
  for (const [name, value] of Object.entries(rest)) {
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value != null) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.filter(isThere));
  return element;
}

/** So that `condition && element` may stand among children. */
function isThere(child) {
  return child != null && child !== false && child !== "";
}

export function button(key, onclick, given = {}) {
  return el("button", { type: "button", t: key, onclick, ...given });
}

/** A line drawing on a square of 24, in the colour of the text around it. */
export function icon(path) {
  const space = "http://www.w3.org/2000/svg";
  const [drawing, line] = [document.createElementNS(space, "svg"), document.createElementNS(space, "path")];
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  drawing.setAttribute("class", "icon");
  line.setAttribute("d", path);
  drawing.append(line);
  return drawing;
}

/** Puts other children into an element; a focused child's `data-key` finds the one that takes over the focus. */
export function refill(element, ...children) {
  const key = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  element.replaceChildren(...children.filter(isThere));
  if (key) element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

/** A time of day in the present language. */
export function clockTime(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString(language === "zh" ? "zh-CN" : "en-GB");
}

export function dateTime(seconds) {
  const form = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" };
  return new Date(seconds * 1000).toLocaleString(language === "zh" ? "zh-CN" : "en-GB", form);
}

/** A day, as the server counts days */
export function day(seconds) {
  const form = { month: "short", day: "numeric", timeZone: "UTC" };
  return new Date(seconds * 1000).toLocaleDateString(language === "zh" ? "zh-CN" : "en-GB", form);
}

/** A span of time in words: `14 min`, `7 d 2 h`. */
export function span(seconds) {
  const [s, m, h] = [seconds % 60, Math.floor(seconds / 60) % 60, Math.floor(seconds / 3600) % 24].map(Math.floor);
  const d = Math.floor(seconds / 86400);
  if (d > 0) return t("span.days", { d, h });
  if (h > 0) return t("span.hours", { h, m });
  if (m > 0) return t(s > 0 ? "span.minutes" : "span.wholeMinutes", { m, s });
  return t("span.seconds", { s });
}
