import { Button, View } from "@tarojs/components";
import { useAuth } from "wxauth-miniprogram/taro";
import { auth } from "../../auth";

export default function Home() {
  const { loggedIn, openid } = useAuth(auth);
  if (!loggedIn) return <View>未登录<auth-button /></View>;
  return <View>{openid}<Button onClick={() => auth.logout()}>退出</Button></View>;
}
