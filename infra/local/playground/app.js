// The mini program on a phone: two pages over the client package, as one would write them for WeChat.

import { t, currentLanguage, isText } from "./dom.js";
import { recordEvent, recordRequest } from "./journal.js";
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
  const app = { auth, user, phone, screen };

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
    show(url, paint) {
      pages[open]?.leave();
      open = url;
      pages[url].enter(() => open === url && paint(...screens[url](pages[url], app)));
    },
  };
}

function homePage({ auth, user, screen }) {
  const attempt = attempts(screen);
  return {
    data: { way: "code", method: "openData", busy: {}, profile: null, phoneNumber: null, steps: null, tally: null },

    // The tap comes later: whatever must be renewed for it is renewed now.
    onShow() {
      if (auth.loggedIn) auth.preparePhone().catch(() => {});
    },

    login() {
      return attempt(this, "login", () => auth.login());
    },

    profile() {
      return attempt(this, "profile", async () => {
        const nickName = user.charAt(0).toUpperCase() + user.slice(1);
        await control("user", { user, nickName });
        const profile = await auth.userInfo(await control("userinfo", { user }));
        this.setData({ profile });
      });
    },

    phone() {
      return attempt(this, "phone", async () => {
        const { confirm } = await screen.sheet(...phoneSheet());
        const { code, ...encrypted } = confirm ? await control("phone", { user }) : {};
        const given = this.data.way === "code" ? { code } : encrypted;
        const errMsg = `getPhoneNumber:${confirm ? "ok" : "fail user deny"}`;
        const { phoneNumber } = await auth.phone({ detail: { ...given, errMsg } });
        this.setData({ phoneNumber });
      });
    },

    /** What `wx.getWeRunData` gives, by the method that takes it or by another. */
    steps() {
      return attempt(this, "steps", async () => {
        const stepInfoList = [{ timestamp: Math.floor(serverNow()), step: 8642 }];
        const given = await control("opendata", { user, data: { stepInfoList } });
        const { stepInfoList: days } = await auth[this.data.method](given);
        this.setData({ steps: days.map(({ step }) => step) });
      });
    },

    /** So many requests at once, as an app does that opens on a busy page. */
    callApi(count) {
      return attempt(this, `call${count}`, async () => {
        const began = performance.now();
        const calls = Array.from({ length: count }, () => auth.request({ url: "/v1/session" }));
        const results = await Promise.allSettled(calls);
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
function shopPage({ auth, screen }) {
  const attempt = attempts(screen);
  const buy = async (retry = true) => {
    const { data } = await auth.request({ url: `${SHOP}/orders`, method: "POST", data: { product: "vip_month" } });
    try {
      await auth.pay(data);
    } catch (error) {
      if (!retry || ![-15005, -15007].includes(error.errCode)) throw error;
      await auth.login();
      return buy(false);
    }
    return markOrder(JSON.parse(data.signData).outTradeNo, { state: "paid" });
  };
  return {
    data: { busy: {} },

    // The tap comes later: the key that will sign for it is checked now.
    onShow() {
      auth.prepareSignature().catch(() => {});
    },

    buy() {
      return attempt(this, "buy", () => buy());
    },
  };
}

function mePage({ auth, screen }) {
  const attempt = attempts(screen);
  return {
    data: { busy: {}, session: null, devices: [] },

    onShow() {
      return attempt(this, "load", async () => {
        const [session, { sessions }] = await Promise.all([auth.session(), auth.sessions()]);
        this.setData({ session, devices: sessions });
      });
    },

    check() {
      return attempt(this, "check", async () => this.setData({ session: await auth.checkSession() }));
    },

    logout(everywhere) {
      return this.end(everywhere ? "everywhere" : "logout", () => auth.logout({ everywhere }));
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

    end(key, act) {
      return attempt(this, key, async () => {
        await act();
        this.setData({ session: null, devices: [], authed: false });
        screen.goTo("/pages/home");
      });
    },
  };
}

/** Runs what a button does: busy while it runs, and a toast if it fails. Two taps are two runs, as in life. */
function attempts(screen) {
  return async (page, key, act) => {
    const turn = (step) => {
      const { busy } = page.data;
      page.setData({ busy: { ...busy, [key]: (busy[key] ?? 0) + step } });
    };
    turn(1);
    try {
      await act();
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
