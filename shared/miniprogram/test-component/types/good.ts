// What must compile under `tsc --strict`, with the platform's typings.

import { createAuth, type AuthError, type Code, type Login, type Profile } from "wxauth-miniprogram";

declare module "wxauth-miniprogram" {
  interface OwnCodes {
    stale: true;
  }
}

interface Order {
  id: number;
  title: string;
}

const auth = createAuth({
  baseUrl: "https://auth.example.com",
  origins: ["https://api.example.com"],
  loginPage: "/pages/auth/index",
  modal: { title: "登录" },
  expired: ({ data, statusCode }) => data.code === 401 || statusCode === 403,
  timeout: 8000,
});
createAuth({ baseUrl: "https://auth.example.com", modal: false, wx, storage: wx });
createAuth({ baseUrl: "https://auth.example.com", modal: async () => true });

Page(
  auth.guardPage(
    {
      data: { orders: [] as Order[], id: "" },
      onLoad(query) {
        this.setData({ id: query.id ?? "" });
      },
      async onShow() {
        const { statusCode, data } = await auth.request<Order[]>({ url: "https://api.example.com/orders" });
        if (statusCode !== 200) return;
        this.setData({ orders: data });
        this.first();
      },
      onPullDownRefresh() {
        wx.stopPullDownRefresh();
      },
      onTabItemTap({ pagePath }) {
        console.log(pagePath);
      },
      onAuthError({ action, code }) {
        if (action === "stop" && code === "user_blocked") wx.showToast({ title: "无法登录" });
      },
      first(): string {
        const [first] = this.data.orders;
        return first ? first.title : this.data.authError?.title ?? this.route;
      },
      async retry() {
        if (!this.data.authed) await this.retryAuth();
      },
    },
    { redirect: "/pages/index/index" },
  ),
);

Page(auth.guardPage({}));

Component(
  auth.guardPage({
    data: { a: 1 },
    properties: { id: String },
    methods: {
      onLoad(query: Record<string, string | undefined>) {
        this.setData({ a: Number(query.id) });
      },
      onTap() {
        return this.retryAuth();
      },
    },
  }),
);

async function everything() {
  const login: Login = await auth.login({ userInfo: await wx.getUserInfo({}) });
  const fresh: boolean = login.new_user;
  const profile: Profile | undefined = login.userInfo;
  await auth.ensure({ interactive: true });
  await auth.uploadFile({ url: "/x", filePath: "a", name: "a", task: (task) => task.onProgressUpdate(({ progress }) => progress + 1) });
  const { tempFilePath } = await auth.downloadFile({ url: "/x", task: (task) => task.abort() });
  await auth.request({ url: "/x", enableChunked: true, task: (task) => task.onChunkReceived(({ data }) => data.byteLength) });
  await auth.request({ url: "/x", guest: true, loading: false, interactive: true, expired: ({ data }) => data === 1 });
  (await auth.connectSocket({ url: "/live" })).close({});
  const { phoneNumber } = await auth.phone({ detail: { code: "c" } });
  const { stepInfoList } = await auth.openData<{ stepInfoList: { step: number }[] }>(await wx.getWeRunData({}));
  await auth.pay({ mode: "short_series_goods", signData: "{}", paySig: "p", signature: "s" });
  const ended: boolean = await auth.logout({ everywhere: true });
  const { sessions } = await auth.sessions();
  return { fresh, profile, tempFilePath, phoneNumber, steps: stepInfoList[0].step, ended, device: sessions[0].device };
}

everything().catch((error: AuthError) => {
  const code: Code | undefined = error.code;
  if (code === "rate_limited" || code === "stale") return error.retry_after;
  switch (error.action) {
    case "retry":
    case "relogin":
    case "relogin_then_retap":
    case "refresh":
    case "fix":
    case "stop":
      return error.title;
  }
});

const off: () => void = auth.on("kicked", ({ request_id }) => request_id?.length);
auth.on("loading", (count) => (count > 0 ? wx.showLoading({ title: "…" }) : wx.hideLoading()));
auth.on("login", ({ openid }) => openid.length);
auth.on("logout", () => off());
export default auth;
