// The packages that package.json beside this file names. They are installed below target/: nothing of this is shipped.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));

export const need = createRequire(`${process.env.WXAUTH_COMPONENT_MODULES ?? `${root}target/component/node_modules`}/`);
