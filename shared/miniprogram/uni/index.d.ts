import type { Ref } from "vue";
import type { Auth, AuthData, Guard, PageHooks } from "../index";

/** Who is logged in, for any component and store. It follows logins, logouts and sessions that the server ends. */
export function useAuth(auth: Auth): {
  readonly loggedIn: Readonly<Ref<boolean>>;
  readonly openid: Readonly<Ref<string | undefined>>;
};

/**
 * `guardPage` for a page in `<script setup>`: call it once in `setup`. The hooks wait until somebody is logged in; those of uni-app that
 * the page registers itself do not.
 */
export function useGuard(
  auth: Auth,
  hooks?: PageHooks,
  guard?: Guard,
): {
  /** Whether the user is logged in: show the content with `v-if="authed"` */
  readonly authed: Readonly<Ref<boolean>>;
  /** Why not, where nobody can help it; null while it is tried */
  readonly authError: Readonly<Ref<AuthData["authError"]>>;
  /** For a tap: tries to log in at once */
  retryAuth(): Promise<void>;
};

/**
 * From now on `uni.request`, `uni.uploadFile` and `uni.downloadFile` to these addresses are the methods of `auth` with the same name: with
 * the token, renewed where it has to be, and with their options. Each address is an origin, or begins with one, of `baseUrl` or
 * `origins`. All other calls stay as they are. Call it after the other interceptors have been added: their `invoke` runs, and
 * their `success`, `fail` and `complete` do not. Returns the function that ends it.
 */
export function interceptRequests(auth: Auth, origins: string[]): () => void;
