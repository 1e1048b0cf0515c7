// A phone: the frame, the bars, the user who holds it, and the mini program that runs on it.
//
// It is the `screen` of its `wx`: modals, sheets and toasts appear inside the frame, and tabs are its pages.

import { openApp } from "./app.js";
import { button, clockTime, el, icon, refill } from "./dom.js";
import { recordNote, recordTap } from "./journal.js";

const TABS = [
  { url: "/pages/home", key: "tab.home", drawing: "M4 11.5 12 4.5l8 7M6.5 10v9h11v-9" },
  { url: "/pages/shop", key: "tab.shop", drawing: "M5 8.5h14l-1 11H6zM9 11V7a3 3 0 0 1 6 0v4" },
  {
    url: "/pages/me",
    key: "tab.me",
    drawing: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4.5 20c.8-4 3.6-6 7.5-6s6.7 2 7.5 6",
  },
];
const CLOSE = "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 11a1 1 0 1 0 0 2 1 1 0 0 0 0-2";
const TOAST = 2600;

const holderOf = (phone) => `wxauth.${phone}.holder`;

export class Phone {
  /** In the hands of this user, unless it was handed to another before. With `onclose` it can be put away. */
  constructor(name, { user, onclose }) {
    this.name = name;
    this.onclose = onclose;
    this.user = localStorage.getItem(holderOf(name)) ?? user;
    this.root = el("article", { class: "phone", label: `who.${name}`, "data-phone": name });
    this.build();
    this.start();
    this.hand = setInterval(() => (this.time.textContent = clockTime(Date.now() / 1000).slice(0, 5)), 1000);
  }

  build() {
    this.time = el("span", {}, clockTime(Date.now() / 1000).slice(0, 5));
    this.page = el("div", { class: "page" });
    this.over = el("div", { class: "over" });
    this.toasts = el("div", { class: "toasts", role: "status" });
    this.tabs = el("nav", { class: "tabs", label: "tabs", values: { who: `who.${this.name}` } });
    const named = { value: this.user, list: "names", maxlength: 24, spellcheck: "false", autocomplete: "off" };
    const holder = el("input", named);
    holder.addEventListener("change", () => this.handTo(holder));
    const given = {
      type: "button",
      class: "restart",
      hint: "restart",
      label: "restart",
      onclick: () => this.restart(),
    };
    const restart = el("button", given, icon(CLOSE));
    const capsule = el("span", { class: "capsule" }, el("i", { "aria-hidden": "true" }, "•••"), restart);
    this.frame = el(
      "div",
      { class: "frame" },
      el("div", { class: "status" }, this.time, el("span", { class: "signal", "aria-hidden": "true" }, "▂▄▆ ▮")),
      el("div", { class: "bar" }, el("span", { t: "app" }), capsule),
      this.page,
      this.tabs,
      this.over,
      this.toasts,
    );
    const away =
      this.onclose && button("×", this.onclose, { label: "second.remove", hint: "second.remove", class: "quiet" });
    const user = el("label", {}, el("span", { t: "holder" }), holder);
    this.root.append(el("header", {}, el("h2", { t: `who.${this.name}` }), user, away), this.frame);
  }

  /** Another user's storage is another: WeChat keeps a mini program's data apart by user. */
  handTo(holder) {
    const user = holder.value.trim() || "ada";
    holder.value = user;
    if (user === this.user) return;
    this.user = user;
    localStorage.setItem(holderOf(this.name), user);
    recordNote("note.handed", { who: `who.${this.name}`, user });
    this.start();
  }

  restart() {
    recordNote("note.restarted", { who: `who.${this.name}` });
    this.start();
  }

  start() {
    this.app?.close();
    this.cover();
    refill(this.toasts);
    this.app = openApp({ phone: this.name, user: this.user, screen: this });
    this.goTo(TABS[0].url);
  }

  /** Who put it away asks for nobody any more. */
  forget() {
    localStorage.removeItem(holderOf(this.name));
    this.close();
  }

  close() {
    clearInterval(this.hand);
    this.app.close();
    this.root.remove();
  }

  goTo(url, isTapped = false) {
    if (!TABS.some((tab) => tab.url === url)) throw new Error("switchTab:fail page not found");
    this.url = url;
    refill(
      this.tabs,
      ...TABS.map((tab) =>
        el(
          "button",
          {
            type: "button",
            "aria-current": tab.url === url && "page",
            "data-key": tab.url,
            onclick: () => this.goTo(tab.url, true),
          },
          icon(tab.drawing),
          el("span", { t: tab.key }),
        ),
      ),
    );
    this.page.scrollTop = 0;
    const { key } = TABS.find((tab) => tab.url === url);
    const tap = recordTap(this.name, key, { code: `wx.switchTab({ url: "${url}" })`, isTapped });
    this.app.show(url, tap, (...content) => refill(this.page, ...content));
  }

  /** Writes the open page anew, as after a change of language. */
  repaint() {
    this.app.repaint();
  }

  toast(text) {
    const toast = el("p", {}, text);
    refill(this.toasts, toast);
    setTimeout(() => toast.remove(), TOAST);
  }

  /** `wx.showModal`. */
  modal({ title, content, confirmText, cancelText }) {
    return this.ask("modal", [el("h3", { t: title }), el("p", { t: content })], cancelText, confirmText);
  }

  /** What WeChat asks by itself, from below. */
  sheet(...content) {
    return this.ask("sheet", content, "deny", "allow");
  }

  /** Puts a box over the app, which then cannot be reached, or takes it away. */
  cover(...box) {
    refill(this.over, ...box);
    this.page.inert = this.tabs.inert = box.length > 0;
  }

  /** Puts a question over the app and waits for `{ confirm, cancel }`. What was asked before counts as refused. */
  ask(kind, content, no, yes) {
    this.refuse?.();
    const key = this.frame.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    return new Promise((resolve) => {
      const decide = (confirm) => {
        this.refuse = null;
        this.cover();
        // Whoever uses the keyboard goes on where they were.
        if (key) this.frame.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
        resolve({ confirm, cancel: !confirm });
      };
      this.refuse = () => decide(false);
      const confirm = button(yes, () => decide(true), { class: "yes" });
      const buttons = el(
        "footer",
        {},
        button(no, () => decide(false), { class: "no" }),
        confirm,
      );
      const named = content[0].textContent;
      const box = el(
        "div",
        { class: kind, role: "dialog", "aria-modal": "true", "aria-label": named },
        ...content,
        buttons,
      );
      box.addEventListener("keydown", (event) => {
        if (event.key === "Escape") decide(false);
        if (event.key === "Tab") keepFocus(event, [...buttons.children]);
      });
      this.cover(box);
      confirm.focus({ preventScroll: true });
    });
  }
}

/** From the last element on to the first, and back: the rest of the page is not the question's. */
function keepFocus(event, elements) {
  const step = event.shiftKey ? -1 : 1;
  const at = elements.indexOf(document.activeElement) + step;
  event.preventDefault();
  elements.at(at % elements.length).focus();
}
