/** What the six actions of the contract are; an answer without one gets the action that its status stands for. */
export type Action = "fix" | "refresh" | "relogin" | "relogin_then_retap" | "retry" | "stop";

/** What every rejected promise of this package carries. */
export interface AuthError extends Error {
  /** HTTP status; 0 if no answer came */
  statusCode: number;
  /**
   * A code of the contract (`session_key_expired`, `rate_limited`, …), one of this package (`network`, `wx_login_failed`,
   * `logged_out`, `user_refused`, `user_denied`, `phone_quota`, `phone_failed`, `origin_not_allowed`), or nothing where
   * a gateway answered.
   */
  code?: string;
  action: Action;
  /** Text for people, English; `data.title_zh` is the Chinese one */
  title: string;
  /** Seconds after which another try makes sense */
  retry_after?: number;
  /** Names the request in the server's log */
  request_id?: string;
  /** The body of the answer */
  data?: any;
  /** As the callbacks of the platform have it */
  errMsg: string;
}

export interface Session {
  /** The user, within this mini program */
  openid: string;
  /** Shows this storage to the server, and that its user logged in with it; kept over a logout. `sessions()` has what stands before the dot */
  device: string;
  access_token: string;
}

/** What WeChat encrypts for the server. */
export interface Sealed {
  encryptedData: string;
  iv: string;
}

/** What `wx.getUserInfo` gives. */
export interface SealedUserInfo extends Sealed {
  rawData: string;
  signature: string;
}

/** A verified profile, without its watermark. */
export interface Profile {
  openId?: string;
  unionId?: string;
  nickName?: string;
  avatarUrl?: string;
  gender?: number;
  language?: string;
  city?: string;
  province?: string;
  country?: string;
  [field: string]: unknown;
}

export interface Login extends Session {
  /** The user's first login */
  new_user: boolean;
  /** There if `userInfo` was sent and verifies */
  userInfo?: Profile;
}

/** As WeChat gives them: it documents no form */
export interface Phone {
  /** Never empty; often with the country's prefix for numbers from abroad */
  phoneNumber: string;
  /** Without the prefix, or empty */
  purePhoneNumber: string;
  /** Such as `86`, or empty */
  countryCode: string;
}

export interface SessionInfo {
  openid: string;
  appid: string;
  device: string;
  created_at: number;
  /** To the day */
  expires_at: number;
  wechat_session: "unchecked" | "ok" | "stale" | "unknown";
}

/** `last_seen_at` is the beginning of a day, yesterday at the latest, or `created_at` */
export interface SessionList {
  sessions: { device: string; current: boolean; created_at: number; last_seen_at: number | string }[];
}

/** As the platform has it. One that throws is done without. */
export interface Storage {
  getStorageSync(key: string): string | null | undefined;
  setStorageSync(key: string, text: string): void;
  removeStorageSync(key: string): void;
}

/** Texts of `wx.showModal`; each of the buttons holds four characters at most. */
export interface Modal {
  title?: string;
  content?: string;
  confirmText?: string;
  cancelText?: string;
}

export interface AuthOptions {
  /** Where wxauth is: `https://auth.example.com` */
  baseUrl: string;
  /** Needed where the server knows several mini programs */
  appid?: string;
  /** Further origins that get the bearer: `["https://api.example.com"]`. No other host ever does. */
  origins?: string[];
  /** Default: that of the platform */
  storage?: Storage;
  /** Texts, or a dialog of your own that resolves with whether the user agrees */
  modal?: Modal | (() => boolean | Promise<boolean>);
  /** The platform. Default: the global `wx`; pass `uni` or `Taro` there */
  wx?: any;
  /** Milliseconds for every call to wxauth but the refresh, which has ten seconds. Default: 15000 */
  timeout?: number;
}

export interface Interactive {
  /** Whether the user may be asked to log in. Default: false */
  interactive?: boolean;
}

/** What `wx.request` takes; `url` is relative to `baseUrl`, or absolute at one of `origins`. */
export interface RequestOptions extends Interactive {
  url: string;
  method?: string;
  data?: any;
  header?: Record<string, string>;
  timeout?: number;
  success?(answer: Answer): void;
  fail?(error: AuthError): void;
  complete?(outcome: Answer | AuthError): void;
  [option: string]: any;
}

export interface UploadOptions extends RequestOptions {
  filePath: string;
  name: string;
  formData?: Record<string, any>;
}

/** What `wx.request` gives. */
export interface Answer<Data = any> {
  statusCode: number;
  data: Data;
  header: Record<string, string>;
}

/** What `wx.requestVirtualPayment` takes. */
export interface SignedPayment {
  mode: "short_series_goods" | "short_series_coin";
  /** The text that was signed: another blank in it, and WeChat refuses the signatures */
  signData: string;
  paySig: string;
  signature: string;
}

export interface Events {
  /** Logged in, silently or not */
  login: Login;
  /** The tokens were renewed */
  refresh: Session;
  /** Logged out by `logout` or `deleteUser` */
  logout: void;
  /** The server ended the session; a silent login follows at the next need */
  kicked: AuthError;
  /** A login or a refresh failed */
  error: AuthError;
}

export interface PhoneEvent {
  detail: { code?: string; encryptedData?: string; iv?: string; errMsg?: string; errno?: number };
}

export interface Auth {
  readonly openid: string | undefined;
  readonly device: string | undefined;
  readonly loggedIn: boolean;
  /** The session that is held, without asking anybody */
  current(): Session | null;

  /**
   * `wx.login` and our login. One at a time: a second call gets the first one's outcome. A `userInfo` that does not verify,
   * came without credentials, or is too large to be sent is left out of the outcome and refuses nothing.
   */
  login(options?: { userInfo?: Partial<SealedUserInfo> }): Promise<Login>;
  /**
   * A session, silently if it can be had so: the one held, a refresh, or `wx.login`. With `interactive` the user is asked
   * if it cannot, or after a logout. Rejects with `user_refused` if the user says no.
   */
  ensure(options?: Interactive): Promise<Session>;
  /** Asks the user, and logs in. One modal at a time. */
  showLoginModal(): Promise<Session>;

  /**
   * `wx.request` with the bearer. Renews the token ahead of its end, or once upon a 401, and sends again. Resolves with
   * any status, as `wx.request` does; only what wxauth refuses, and no answer at all, reject.
   */
  request<Data = any>(options: RequestOptions): Promise<Answer<Data>>;
  /** `wx.uploadFile` in the same way; `data` is text there. */
  uploadFile(options: UploadOptions): Promise<Answer<string>>;
  /** `wx.connectSocket` with the bearer in its header; `url` may be relative. Resolves with the SocketTask. */
  connectSocket(options: { url: string; [option: string]: any } & Interactive): Promise<any>;

  /** Before the phone button is shown: a session, and a session key that WeChat still accepts. */
  preparePhone(): Promise<Session>;
  /**
   * Before a button that pays is shown: a session, and a session key that the server and WeChat agree on, so that the server's
   * signature will be good. A login that this takes happens now, and none while a payment of `pay` is open.
   */
  prepareSignature(): Promise<Session>;
  /**
   * `wx.requestVirtualPayment`, with what your server signed, as it came. One payment at a time: a second call gets the first
   * one's outcome. No login begins before it ends. Rejects with the platform's own error, whose `errCode` or `errno` tells more.
   */
  pay(signed: SignedPayment): Promise<any>;

  /**
   * The number of a `getPhoneNumber` event. Never calls `wx.login` before it has sent; where a login is needed it follows, and
   * the promise rejects with the action `relogin_then_retap`: ask the user to tap again.
   */
  phone(event: PhoneEvent): Promise<Phone>;
  /** The verified profile of a `wx.getUserInfo` result. The same rule as for `phone`. */
  userInfo(result: SealedUserInfo): Promise<Profile>;
  /**
   * Other data that WeChat encrypted, without its watermark: the result of `wx.getWeRunData` or `wx.getGroupEnterInfo`, or an
   * event with such a `detail`. The same rule as for `phone`.
   */
  openData<Data = any>(event: Sealed | { detail: Sealed }): Promise<Data>;

  session(): Promise<SessionInfo>;
  sessions(): Promise<SessionList>;
  /** Asks WeChat too. A session key that is stale is replaced by a silent login. */
  checkSession(): Promise<SessionInfo>;

  /**
   * Forgets the tokens at once, whatever the network does. Resolves with whether the server has ended the session,
   * or with `everywhere` all sessions of the user. Never rejects.
   */
  logout(options?: { everywhere?: boolean }): Promise<boolean>;
  /** Deletes all that is stored of the user; after it, the user is logged out. Rejects if the server did not. */
  deleteUser(): Promise<void>;

  /** Returns the function that takes the listener off. */
  on<Event extends keyof Events>(event: Event, listener: (value: Events[Event]) => void): () => void;

  /**
   * Wraps the options of a `Page` for which the user must be logged in. Its own `onLoad` and `onShow` run once that is so, then
   * `data.authed` is true. If the user refuses, it goes to `redirect`, or back.
   */
  guardPage<Options extends object>(page: Options & ThisType<any>, guard?: { redirect?: string }): Options;
}

export function createAuth(options: AuthOptions): Auth;
