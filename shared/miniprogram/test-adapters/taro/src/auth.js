import { createAuth } from "wxauth-miniprogram";

export const auth = createAuth({ baseUrl: "https://auth.example.com", origins: ["https://api.example.com"] });
