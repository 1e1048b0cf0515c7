import { onHide, onLoad, onPullDownRefresh, onReady, onShow, onTabItemTap, onUnload } from "@dcloudio/uni-app";
import { getCurrentScope, onScopeDispose, reactive, readonly, toRefs } from "vue";
import adapt from "./adapt.js";

export const { interceptRequests, useAuth, useGuard } = adapt(
  { getCurrentScope, onScopeDispose, reactive, readonly, toRefs },
  { onHide, onLoad, onPullDownRefresh, onReady, onShow, onTabItemTap, onUnload },
  () => uni,
);
