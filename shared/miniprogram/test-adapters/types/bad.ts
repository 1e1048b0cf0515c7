// What must not compile, each line for the reason at its end.

import { createAuth } from "wxauth-miniprogram";
import * as taro from "wxauth-miniprogram/taro";
import { interceptRequests, useAuth, useGuard } from "wxauth-miniprogram/uni";

const auth = createAuth({ baseUrl: "https://auth.example.com" });
interceptRequests(auth, "https://api.example.com"); // TS2345
useGuard(auth, { onShown() {} }); // TS2561
taro.useGuard(auth, { onShown() {} }); // TS2561
useGuard(auth, { onAuthError: ({ code }) => code === "no_such_code" }); // TS2367
useGuard(auth, {}, { redirct: "/pages/home/home" }); // TS2561
useAuth(auth).loggedIn.value = true; // TS2540
useGuard(auth).authed === true; // TS2367
taro.useGuard(auth).authed.value; // TS2551
taro.useAuth({}); // TS2345
