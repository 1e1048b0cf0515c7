"use strict";

const React = require("react");
const Taro = require("@tarojs/taro");

function useAuth(auth) {
  const [loggedIn, setLoggedIn] = React.useState(auth.loggedIn);
  const [openid, setOpenid] = React.useState(auth.openid);
  React.useEffect(() => {
    const show = () => {
      setLoggedIn(auth.loggedIn);
      setOpenid(auth.openid);
    };
    show(); // what came between the rendering and now
    const stops = ["login", "logout", "kicked"].map((event) => auth.on(event, show));
    return () => stops.forEach((stop) => stop());
  }, [auth]);
  return { loggedIn, openid };
}

/** `guardPage` of the core, over the hooks of Taro. */
function useGuard(auth, own = {}, guard) {
  const [data, setData] = React.useState({ authed: false, authError: null });
  const latest = React.useRef(own);
  latest.current = own; // a hook sees what the last rendering saw
  const [page] = React.useState(() => {
    const hooks = {};
    ["onLoad", "onShow", "onReady", "onPullDownRefresh", "onTabItemTap", "onHide", "onUnload", "onAuthError"].forEach((hook) => {
      hooks[hook] = (argument) => latest.current[hook] && latest.current[hook](argument);
    });
    const made = auth.guardPage(hooks, guard);
    made.data = data;
    made.setData = (change) => setData((made.data = { ...made.data, ...change }));
    made.retry = async () => made.retryAuth();
    return made;
  });
  Taro.useLoad((query) => void page.onLoad(query));
  Taro.useDidShow(() => void page.onShow());
  Taro.useReady(() => void page.onReady());
  Taro.usePullDownRefresh(() => void page.onPullDownRefresh());
  Taro.useTabItemTap((item) => void page.onTabItemTap(item));
  Taro.useDidHide(() => void page.onHide());
  Taro.useUnload(() => void page.onUnload());
  return { ...data, retryAuth: page.retry };
}

module.exports = { useAuth, useGuard };
