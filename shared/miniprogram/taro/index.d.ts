import type { Auth, AuthData, Guard, PageHooks } from "../index";

/** Who is logged in, for any component. It follows logins, logouts and sessions that the server ends. */
export function useAuth(auth: Auth): { loggedIn: boolean; openid: string | undefined };

/**
 * `guardPage` for a page that is a function. The hooks wait until somebody is logged in, and are those of the last rendering; those of
 * Taro that the page uses itself do not wait.
 */
export function useGuard(
  auth: Auth,
  hooks?: PageHooks,
  guard?: Guard,
): AuthData & {
  /** For a tap: tries to log in at once */
  retryAuth(): Promise<void>;
};
