import { useState } from "react";
import Taro from "@tarojs/taro";
import { Button, View } from "@tarojs/components";
import { useGuard } from "wxauth-miniprogram/taro";
import { auth } from "../../auth";

export default function Orders() {
  const [orders, setOrders] = useState([]);

  async function load() {
    try {
      const { statusCode, data } = await auth.request({ url: "https://api.example.com/orders" });
      if (statusCode !== 200) throw new Error(`HTTP ${statusCode}`);
      setOrders(data);
    } catch (error) {
      Taro.showToast({ title: "加载失败", icon: "none" });
    }
  }

  const onPullDownRefresh = () => load().finally(Taro.stopPullDownRefresh);
  const { authed, authError, retryAuth } = useGuard(auth, { onShow: load, onPullDownRefresh });
  if (authed) return <View>{orders.map(({ id, title }) => <View key={id}>{title}</View>)}</View>;
  if (authError) return <View>暂时无法登录<Button onClick={retryAuth}>重试</Button></View>;
  return <View>登录中…</View>;
}
