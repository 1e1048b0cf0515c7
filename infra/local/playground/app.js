// The mini program on a phone: two pages over the client package, as one would write them for WeChat.

import { t, currentLanguage, isText } from "./dom.js";
import { recordEvent, recordRequest, recordTap } from "./journal.js";
import { control, serverNow } from "./laptop.js";
import { runPage } from "./runtime.js";
import { homeScreen, meScreen, phoneSheet, shopScreen } from "./screens.js";
import { SHOP, markOrder, onOrders } from "./shop.js";
import { createWx } from "./wx.js";

const { createAuth } = requireFile("index.js");

/** Starts the app. `show` opens a page and paints it by the given function whenever it changes. */
export function openApp({ phone, user, screen }) {
  const record = (request) => recordRequest(phone, request);
  const { wx, kill } = createWx({ phone, user, screen, record });
  const modal = { title: "guard.title", content: "guard.content", confirmText: "guard.yes", cancelText: "guard.no" };
  const auth = createAuth({ baseUrl: location.origin, origins: [SHOP], wx, modal });
  const app = { auth, user, phone, screen, attempt: attempts(phone, screen) };

  for (const name of ["login", "refresh", "logout", "kicked", "error"]) {
    auth.on(name, (told) => {
      recordEvent(phone, name, told?.code);
      queueMicrotask(repaint);
    });
  }

  auth.on("logout", () => pages["/pages/home"].forget());

  const pages = {
    "/pages/home": runPage(homePage(app)),
    "/pages/shop": runPage(auth.guardPage(shopPage(app), { redirect: "/pages/home" })),
    "/pages/me": runPage(auth.guardPage(mePage(app), { redirect: "/pages/home" })),
  };
  const screens = { "/pages/home": homeScreen, "/pages/shop": shopScreen, "/pages/me": meScreen };
  let open;
  const repaint = () => pages[open]?.setData({});
  onOrders(repaint);
  return {
    auth,
    user,
    repaint,
    close: kill,
    /** `tap` gets what the page runs when it is shown. */
    show(url, tap, paint) {
      pages[open]?.leave();
      open = url;
      pages[url].tap = tap;
      pages[url].enter(() => open === url && paint(...screens[url](pages[url], app)));
    },
  };
}

function homePage({ auth, user, screen, attempt }) {
  return {
    data: { way: "code", method: "openData", busy: {}, profile: null, phoneNumber: null, steps: null, tally: null },

    // The tap comes later: whatever must be renewed for it is renewed now.
    onShow() {
      if (auth.loggedIn) this.tap.ran(() => auth.preparePhone()).catch(() => {});
    },

    login() {
      return attempt(this, "login", "home.login", ({ ran }) => ran(() => auth.login()));
    },

    profile() {
      return attempt(this, "profile", "home.profile", async ({ ran }) => {
        const nickName = user.charAt(0).toUpperCase() + user.slice(1);
        await control("user", { user, nickName });
        const result = await control("userinfo", { user });
        const profile = await ran(() => auth.userInfo(result));
        this.setData({ profile });
      });
    },

    phone() {
      return attempt(this, "phone", "home.phone", async ({ ran }) => {
        const { confirm } = await screen.sheet(...phoneSheet());
        const { code, ...encrypted } = confirm ? await control("phone", { user }) : {};
        const given = this.data.way === "code" ? { code } : encrypted;
        const errMsg = `getPhoneNumber:${confirm ? "ok" : "fail user deny"}`;
        const event = { detail: { ...given, errMsg } };
        const { phoneNumber } = await ran(() => auth.phone(event));
        this.setData({ phoneNumber });
      });
    },

    /** What `wx.getWeRunData` gives, by the method that takes it or by another. */
    steps() {
      return attempt(this, "steps", "home.steps", async ({ ran }) => {
        const stepInfoList = [{ timestamp: Math.floor(serverNow()), step: 8642 }];
        const result = await control("opendata", { user, data: { stepInfoList } });
        const call = this.data.method === "openData" ? () => auth.openData(result) : () => auth.userInfo(result);
        const { stepInfoList: days } = await ran(call);
        this.setData({ steps: days.map(({ step }) => step) });
      });
    },

    /** So many requests at once, as an app does that opens on a busy page. */
    callApi(count) {
      return attempt(this, `call${count}`, "home.calls", async ({ ran }) => {
        const began = performance.now();
        const results = await ran(() => auth.request({ url: "/v1/session" }), count);
        const tally = {};
        for (const { value, reason } of results) {
          const outcome = value?.statusCode ?? reason.code ?? reason.errMsg;
          tally[outcome] = (tally[outcome] ?? 0) + 1;
        }
        this.setData({ tally: { outcomes: Object.entries(tally), ms: Math.round(performance.now() - began) } });
        const refused = results.find(({ status }) => status === "rejected");
        if (refused) throw refused.reason;
      });
    },

    forget() {
      this.setData({ profile: null, phoneNumber: null, steps: null, tally: null });
    },
  };
}

/** A purchase as the documents of the package have it. */
function shopPage({ auth, attempt }) {
  const buy = async (ran, retry = true) => {
    const order = { url: `${SHOP}/orders`, method: "POST", data: { product: "vip_month" } };
    const { data } = await ran(() => auth.request(order));
    try {
      await ran(() => auth.pay(data));
    } catch (error) {
      if (!retry || ![-15005, -15007].includes(error.errCode)) throw error;
      await ran(() => auth.login());
      return buy(ran, false);
    }
    return markOrder(JSON.parse(data.signData).outTradeNo, { state: "paid" });
  };
  return {
    data: { busy: {} },

    // The tap comes later: the key that will sign for it is checked now.
    onShow() {
      this.tap.ran(() => auth.prepareSignature()).catch(() => {});
    },

    buy() {
      return attempt(this, "buy", "shop.buy", ({ ran }) => buy(ran));
    },
  };
}

function mePage({ auth, screen, attempt }) {
  return {
    data: { busy: {}, session: null, devices: [] },

    onShow() {
      return attempt(this, "load", this.tap, async ({ ran }) => {
        const [session, { sessions }] = await ran(() => Promise.all([auth.session(), auth.sessions()]));
        this.setData({ session, devices: sessions });
      });
    },

    check() {
      return attempt(this, "check", "me.check", async ({ ran }) => {
        this.setData({ session: await ran(() => auth.checkSession()) });
      });
    },

    logout(everywhere) {
      if (everywhere) return this.end("everywhere", () => auth.logout({ everywhere: true }));
      return this.end("logout", () => auth.logout());
    },

    async deleteUser() {
      const asked = {
        title: "delete.title",
        content: "delete.content",
        confirmText: "delete.yes",
        cancelText: "guard.no",
      };
      const { confirm } = await screen.modal(asked);
      if (confirm) await this.end("delete", () => auth.deleteUser());
    },

    end(key, line) {
      return attempt(this, key, `me.${key}`, async ({ ran }) => {
        await ran(line);
        this.setData({ session: null, devices: [], authed: false });
        screen.goTo("/pages/home");
      });
    },
  };
}

/** Runs what a tap does: busy while it runs, and a toast if it fails. Two taps are two runs, as in life. */
function attempts(phone, screen) {
  return async (page, key, label, act) => {
    const tap = label.ran ? label : recordTap(phone, label);
    const turn = (step) => {
      const { busy } = page.data;
      page.setData({ busy: { ...busy, [key]: (busy[key] ?? 0) + step } });
    };
    turn(1);
    try {
      await act(tap);
    } catch (error) {
      screen.toast(toldOf(error));
    } finally {
      turn(-1);
    }
  };
}

/** An error as its user should read it. */
function toldOf(error) {
  if (error.action === "relogin_then_retap") return t("toast.retap");
  if (error.code === "network") return t("toast.network");
  if (error.code === "user_denied") return t("toast.denied");
  if (isText(`pay.${error.errCode}`)) return t(`pay.${error.errCode}`);
  const { title, title_zh: titleZh } = error.data ?? {};
  return (currentLanguage() === "zh" ? titleZh : title) ?? error.title ?? error.message;
}
