export default { navigationBarTitleText: "首页", usingComponents: { "auth-button": "wxauth-miniprogram/components/auth-button/index" } };
