import { createAuth } from "wxauth-miniprogram";
import { interceptRequests } from "wxauth-miniprogram/uni";

export const auth = createAuth({ baseUrl: "https://auth.example.com", origins: ["https://api.example.com"] });

interceptRequests(auth, ["https://api.example.com"]);
