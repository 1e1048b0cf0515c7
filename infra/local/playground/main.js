// The playground's beginning: phones, panel and list, and the second hand that all of them share.

import { button, currentLanguage, el, refill, speak, span } from "./dom.js";
import { mountFeed, repaintFeed } from "./feed.js";
import { startJournal } from "./journal.js";
import { laptop, serverNow, startOver, watch } from "./laptop.js";
import { mountPanel, paintPanel } from "./panel.js";
import { Phone } from "./phone.js";
import { mountStage, repaintStage } from "./stage.js";

const phones = new Map();
const stage = document.getElementById("phones");
const add = button("second.add", () => switchSecond(true), { class: "add" });
const SECOND = "wxauth.second";

function open(name, given) {
  phones.set(name, new Phone(name, given));
  stage.append(phones.get(name).root);
}

/** The second phone is there or not, and so it stays for the next visit. */
function switchSecond(isOn) {
  localStorage.setItem(SECOND, isOn ? "on" : "");
  if (isOn) {
    add.remove();
    // The same user with another device, unless it is handed on.
    open("phone2", { user: phones.get("phone1").user, onclose: () => switchSecond(false) });
  } else {
    phones.get("phone2")?.forget();
    phones.delete("phone2");
    stage.append(add);
  }
}

function choose(language) {
  speak(language);
  for (const choice of document.querySelectorAll("[data-language]")) {
    choice.setAttribute("aria-pressed", String(choice.dataset.language === language));
  }
  // What was written once, in the language of its time.
  repaintFeed();
  repaintStage();
  paintPanel();
  for (const phone of phones.values()) phone.repaint();
}

/** The laptop forgets everything, and so does the page, but for the language. */
function mountStartOver() {
  const dialog = document.getElementById("over-dialog");
  const [hint, yes] = [dialog.querySelector(".hint"), dialog.querySelector(".yes")];
  document.getElementById("over").addEventListener("click", () => dialog.showModal());
  yes.addEventListener("click", async () => {
    yes.disabled = true;
    try {
      await startOver();
      for (const key of Object.keys(localStorage)) if (/^wxauth\.(phone\d|second)/.test(key)) localStorage.removeItem(key);
      location.replace(location.pathname);
    } catch (error) {
      refill(hint, el("span", { t: "over.failed", values: { why: error.message } }));
      yes.disabled = false;
    }
  });
}

/** Tokens run out by the server's clock. */
function tick() {
  for (const bar of document.querySelectorAll("progress[data-until]")) {
    bar.value = Math.max(0, bar.dataset.until - serverNow());
  }
  for (const left of document.querySelectorAll("[data-left]")) {
    const seconds = Math.max(0, left.dataset.left - serverNow());
    const text = span(seconds);
    // What is written is observed too.
    if (left.textContent !== text) left.textContent = text;
    left.classList.toggle("is-over", seconds === 0);
  }
}

startJournal();
mountFeed(document.getElementById("feed"));
mountPanel(document.getElementById("panel"), phones);
await watch();
open("phone1", { user: "ada" });
switchSecond(localStorage.getItem(SECOND) === "on");
choose(currentLanguage());
for (const choice of document.querySelectorAll("[data-language]")) {
  choice.addEventListener("click", () => choose(choice.dataset.language));
}
if (laptop.simulator) {
  mountStage(document.getElementById("story"), document.getElementById("stories"), (isOn) => {
    document.getElementById("stage").hidden = isOn;
  });
}
mountStartOver();
new MutationObserver(tick).observe(stage, { childList: true, subtree: true });
setInterval(tick, 1000);
tick();
