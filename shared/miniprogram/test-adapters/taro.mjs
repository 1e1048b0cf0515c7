// The sample project as `taro build` makes it for WeChat.

import { build } from "./support/built.mjs";
import { play } from "./support/plays.mjs";
import { ofTaro } from "./support/words.mjs";

const { folder } = build("taro", ["taro", "build", "--type", "weapp"], "dist");

play({ folder, words: ofTaro });
