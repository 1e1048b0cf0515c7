// Without the platform's typings, as in uni-app and Taro: pages may be anything, the rest is checked.

import { createAuth, type AuthError } from "wxauth-miniprogram";

declare const uni: any;

const auth = createAuth({ baseUrl: "https://auth.example.com", wx: uni });

export const page = auth.guardPage({
  data: { a: 1 },
  onShow() {
    this.setData({ a: 2 });
    this.retryAuth();
    this.whatever();
  },
});

export async function load(): Promise<number[]> {
  try {
    const { statusCode, data } = await auth.request<number[]>({ url: "/x", task: (task) => task.abort() });
    return statusCode === 200 ? data : [];
  } catch (error) {
    const { action, code } = error as AuthError;
    if (code === "netwrk") return []; // TS2367
    return action === "retry" || code === "network" ? [] : [1];
  }
}

auth.ensure({ interactive: 1 }); // TS2322
