const { default: uni } = require("@dcloudio/vite-plugin-uni");

module.exports = { plugins: [uni()] };
