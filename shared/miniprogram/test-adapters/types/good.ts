// What must compile under `tsc --strict`.

import { createAuth, type PageHooks } from "wxauth-miniprogram";
import * as taro from "wxauth-miniprogram/taro";
import { interceptRequests, useAuth, useGuard } from "wxauth-miniprogram/uni";

const auth = createAuth({ baseUrl: "https://auth.example.com", origins: ["https://api.example.com"] });
const stop: () => void = interceptRequests(auth, ["https://api.example.com"]);

const { loggedIn, openid } = useAuth(auth);
const { authed, authError, retryAuth } = useGuard(
  auth,
  {
    onLoad: ({ id }) => id?.length,
    async onShow() {},
    onTabItemTap: ({ pagePath }) => pagePath,
    onAuthError: ({ action, code }) => action === "stop" && code === "user_blocked",
  },
  { redirect: "/pages/home/home" },
);
export const ofUni: [boolean, string | undefined, boolean, string | undefined] = [loggedIn.value, openid.value, authed.value, authError.value?.title];

const hooks: PageHooks = { onShow: () => retryAuth().then(stop) };
const page = taro.useGuard(auth, hooks);
export const ofTaro: [boolean, string | undefined, Promise<void>, boolean] = [page.authed, page.authError?.code, page.retryAuth(), taro.useAuth(auth).loggedIn];
taro.useGuard(auth);
