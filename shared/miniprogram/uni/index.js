"use strict";

const adapted = require("./adapt")(require("vue"), require("@dcloudio/uni-app"), () => uni);

exports.interceptRequests = adapted.interceptRequests;
exports.useAuth = adapted.useAuth;
exports.useGuard = adapted.useGuard;
