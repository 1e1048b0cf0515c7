// What must not compile: the number of the error stands at the end of its line.

import { createAuth, type AuthError } from "wxauth-miniprogram";

createAuth({}); // TS2345
createAuth({ baseUrl: 1 }); // TS2322
createAuth({ baseUrl: "https://a.example", orgins: [] }); // TS2561
createAuth({ baseUrl: "https://a.example", modal: true }); // TS2322
createAuth({ baseUrl: "https://a.example", loginPage: ["/pages/auth/index"] }); // TS2322

const auth = createAuth({ baseUrl: "https://a.example" });

Page(
  auth.guardPage({
    data: { orders: [] as number[], count: 0 },
    onShow() {
      this.setData({ count: "one" }); // TS2322
      this.setDate({ count: 1 }); // TS2551
      this.data.ordres.length; // TS2551
      this.data.authError.title; // TS2531
      this.retryAut(); // TS2551
      this.nothing(); // TS2339
      this.data.orders.push("text"); // TS2345
    },
    onAuthError({ action }) {
      return action === "try_again"; // TS2367
    },
  }),
);

Page(
  auth.guardPage({
    onLoad(query: number) { // TS2769
      return query;
    },
  }),
);

Page(auth.guardPage({ onShareAppMessage: () => ({ title: 1 }) })); // TS2769
auth.guardPage({}, { redirct: "/pages/index/index" }); // TS2769
auth.guardPage(); // TS2554

auth.request({}); // TS2345
auth.request({ url: "/x", task: (task) => task.abrt() }); // TS2551
auth.request({ url: "/x", guest: "yes" }); // TS2322
auth.ensure({ interactiv: true }); // TS2561
auth.on("logn", () => {}); // TS2345
auth.on("loading", (count) => count.length); // TS2339
auth.phone({}); // TS2345
auth.login({ userinfo: {} }); // TS2561
auth.pay({ mode: "goods", signData: "{}", paySig: "p", signature: "s" }); // TS2322
auth.openid = "o"; // TS2540

export function told({ code, action }: AuthError) {
  if (code === "user_refuse") return; // TS2367
  if (action === "wait") return; // TS2367
  return code?.length;
}
