/**
 * What the platform's own typings (`miniprogram-api-typings`) say of it, where a project has them. Where it has not, these stay
 * empty, and what they would check is `any`.
 */
declare global {
  namespace WechatMiniprogram {
    interface RequestTask {}
    interface UploadTask {}
    interface DownloadTask {}
    interface SocketTask {}
    namespace Page {
      interface ILifetime {}
      interface InstanceProperties {}
    }
    namespace Component {
      interface InstanceMethods<D extends Record<string, any>> {}
    }
  }
}

type IfTyped<Typings, Otherwise = any> = keyof Typings extends never ? Otherwise : Typings;

/** What the six actions of the contract are; an answer without one gets the action that its status stands for. */
export type Action = "fix" | "refresh" | "relogin" | "relogin_then_retap" | "retry" | "stop";

/** The codes of the contract. The server may learn others; none of these is renamed. */
export type ServerCode =
  | "code_invalid"
  | "code_used"
  | "data_rejected"
  | "internal"
  | "invalid_request"
  | "login_required"
  | "method_not_allowed"
  | "misconfigured"
  | "not_found"
  | "payload_too_large"
  | "phone_code_invalid"
  | "rate_limited"
  | "retry_login"
  | "session_key_expired"
  | "token_expired"
  | "token_invalid"
  | "token_reused"
  | "unavailable"
  | "unsupported_media_type"
  | "user_blocked"
  | "wechat_busy"
  | "wechat_error"
  | "wechat_timeout"
  | "wrong_data_kind";

/** The codes of this package. */
export type ClientCode =
  /** An option is missing, or is none: the title names it. `fix` */
  | "bad_option"
  /** The user logged out, and nobody was asked. `stop` */
  | "logged_out"
  /** No answer came, in time or at all. `retry` */
  | "network"
  /** The address is not at `baseUrl` or one of `origins`. `fix` */
  | "origin_not_allowed"
  /** The phone button failed otherwise. `stop` */
  | "phone_failed"
  /** The quota of phone numbers is used up. `stop` */
  | "phone_quota"
  /** The privacy guide in WeChat's console does not declare what was asked for. `fix` */
  | "privacy_undeclared"
  /** Opened from Moments (scene 1154), where nobody can log in. `stop` */
  | "single_page"
  /** The user declined at the phone button, or in the privacy dialog. `stop` */
  | "user_denied"
  /** The user declined to log in. `stop` */
  | "user_refused"
  /** `wx.login` gave no code. `retry` */
  | "wx_login_failed";

/**
 * The codes that your own server sends with an `action`, such as `sign`'s `stale`, so that they can be compared:
 * `declare module "wxauth-miniprogram" { interface OwnCodes { stale: true } }`
 */
export interface OwnCodes {}

export type Code = ServerCode | ClientCode | keyof OwnCodes;

/** What every rejected promise of this package carries. */
export interface AuthError extends Error {
  /** HTTP status; 0 if no answer came */
  statusCode: number;
  /** What happened; nothing where a gateway answered */
  code?: Code;
  /** What to do about it */
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

/** As the platform has it. One that throws is done without; one that gives parsed JSON will do. */
export interface Storage {
  getStorageSync(key: string): any;
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
  /**
   * Texts, or a dialog of your own that resolves with whether the user agrees. `false`: nobody is asked, and `logged_out` is told
   * as it is; so it is, too, where the platform has no `showModal`, as in WeChat's AI mode.
   */
  modal?: Modal | (() => boolean | Promise<boolean>) | false;
  /**
   * The page that asks instead of the modal: `/pages/auth/index`. It is opened with `navigateTo`; whatever page it is, the wait is
   * over when somebody has logged in (`auth.login()` at its button), and a refusal when it is closed without a login. It
   * goes back by itself. Where it cannot be opened, the modal asks.
   */
  loginPage?: string;
  /**
   * Whether an answer of your own API means "not logged in", other than by a 401: `({ data }) => data.code === 401`, or
   * `({ statusCode }) => statusCode === 403` for an authorizer. `data` is parsed JSON, and never null. The request is then
   * treated as after a 401: one renewal, and sent again once.
   */
  expired?(answer: Answer): unknown;
  /** The platform. Default: the global `wx`, which uni-app and Taro leave in place */
  wx?: any;
  /**
   * Milliseconds within which wxauth has to answer, repetitions included, and `wx.login` too. Half a second later the caller
   * is told, whatever the platform does. Default: 11000
   */
  timeout?: number;
}

export interface Interactive {
  /** Whether the user may be asked to log in. Default: false */
  interactive?: boolean;
}

/** What `wx.request` takes; `url` is relative to `baseUrl`, or absolute at one of `origins`. */
export interface RequestOptions<Task = RequestTask> extends Interactive {
  url: string;
  /**
   * Called with the task of each attempt: to abort it, to hear of progress or of chunks (`enableChunked`). An abort rejects with
   * `network`. Once a chunk was heard, nothing is sent again.
   */
  task?(task: Task): void;
  /** Whether to send it without a token if there is none, or none that can be renewed: nobody is logged in for it. Default: false */
  guest?: boolean;
  /** Whether the event `loading` counts it. Default: true */
  loading?: boolean;
  /** As `expired` of `createAuth`, for this request */
  expired?(answer: Answer): unknown;
  method?: string;
  data?: any;
  header?: Record<string, string>;
  timeout?: number;
  success?(answer: Answer): void;
  fail?(error: AuthError): void;
  complete?(outcome: Answer | AuthError): void;
  [option: string]: any;
}

export type RequestTask = IfTyped<WechatMiniprogram.RequestTask>;
export type UploadTask = IfTyped<WechatMiniprogram.UploadTask>;
export type DownloadTask = IfTyped<WechatMiniprogram.DownloadTask>;
export type SocketTask = IfTyped<WechatMiniprogram.SocketTask>;

export interface UploadOptions extends RequestOptions<UploadTask> {
  filePath: string;
  name: string;
  formData?: Record<string, any>;
}

export interface DownloadOptions extends RequestOptions<DownloadTask> {
  filePath?: string;
}

/** What `wx.request` gives. */
export interface Answer<Data = any> {
  statusCode: number;
  data: Data;
  header: Record<string, string>;
}

/** What `wx.downloadFile` gives. */
export interface Download {
  statusCode: number;
  tempFilePath: string;
  filePath?: string;
  [field: string]: any;
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
  /** How many requests are under way for which the user waits: show something if it is more than 0 */
  loading: number;
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
   * A session, silently if it can be had so: the one held, a refresh, or `wx.login`. After a logout it cannot: with
   * `interactive` the user is asked, and it rejects with `user_refused` if they say no. Nobody is asked about an outage.
   */
  ensure(options?: Interactive): Promise<Session>;
  /** Asks the user, by the modal or on `loginPage`, and logs in. One question at a time. */
  showLoginModal(): Promise<Session>;

  /**
   * `wx.request` with the bearer. Renews the token ahead of its end, or once upon a 401 or what `expired` says, and sends again.
   * Resolves with any status, as `wx.request` does: look at `statusCode`. Only what wxauth refuses, and no answer at all, reject.
   */
  request<Data = any>(options: RequestOptions): Promise<Answer<Data>>;
  /** `wx.uploadFile` in the same way; `data` is text there. */
  uploadFile(options: UploadOptions): Promise<Answer<string>>;
  /** `wx.downloadFile` in the same way. */
  downloadFile(options: DownloadOptions): Promise<Download>;
  /** `wx.connectSocket` with the bearer in its header; `url` may be relative. Resolves with the SocketTask. */
  connectSocket(options: { url: string; [option: string]: any } & Interactive): Promise<SocketTask>;

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
  /**
   * The verified profile of a `wx.getUserInfo` result. The same rule as for `phone`. Since 2022 its name is `微信用户` and its
   * picture grey: what it is good for are `openId` and `unionId`. Ask for name and picture by `type="nickname"` and `chooseAvatar`.
   */
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
   * Wraps the options of a page for which the user must be logged in. Its hooks `onLoad`, `onShow`, `onReady`,
   * `onPullDownRefresh` and `onTabItemTap` wait for the login, and run in the order in which they came; from then on
   * `data.authed` is true. If the user refuses, the page goes to `redirect`, or back. Whatever nobody can help is told by
   * `data.authError` and the hook `onAuthError`; `this.retryAuth()` tries again, and so does the page itself when the
   * network comes back. Opened from Moments, the hooks run with `data.authed` false.
   */
  guardPage<Options extends { methods: object }>(component: Options & ThisType<any>, guard?: Guard): Options;
  guardPage<Data extends Record<string, any>, Custom extends Record<string, any>>(
    page: Custom & { data?: Data } & Partial<WechatMiniprogram.Page.ILifetime> & AuthHooks & ThisType<GuardedPage<Data, Custom>>,
    guard?: Guard,
  ): Custom & { data: Data & AuthData } & Partial<WechatMiniprogram.Page.ILifetime>;
}

export interface Guard {
  /** Where a user goes who refuses, be it a tab or not. Default: back */
  redirect?: string;
}

/** What a guarded page has in its data. */
export interface AuthData {
  /** Whether the user is logged in: show the content with `wx:if="{{authed}}"` */
  authed: boolean;
  /** Why not, where nobody can help it; null while it is tried */
  authError: Pick<AuthError, "code" | "action" | "title"> | null;
}

export interface AuthHooks {
  /** The page cannot log in, for now: `data.authError` says the same */
  onAuthError?(error: AuthError): void;
}

/** The hooks of a page that wait for the login, and those that end it, as `wxauth-miniprogram/uni` and `/taro` take them. */
export interface PageHooks extends AuthHooks {
  onLoad?(query: Record<string, string | undefined>): unknown;
  onShow?(): unknown;
  onReady?(): unknown;
  onPullDownRefresh?(): unknown;
  onTabItemTap?(item: { index: string; pagePath: string; text: string }): unknown;
  onHide?(): unknown;
  onUnload?(): unknown;
}

export interface AuthMethods {
  /** For a tap: tries to log in at once. What comes of it is in the data. */
  retryAuth(): Promise<void>;
}

/** What `this` is in a guarded page. */
export type GuardedPage<Data extends Record<string, any>, Custom> = IfTyped<
  WechatMiniprogram.Page.ILifetime,
  never
> extends never
  ? any
  : Partial<WechatMiniprogram.Page.ILifetime> &
      WechatMiniprogram.Page.InstanceProperties &
      WechatMiniprogram.Component.InstanceMethods<Data & AuthData> & { data: Data & AuthData } & Custom &
      AuthMethods;

/**
 * The client of one wxauth, and of the services that take its tokens.
 *
 * @throws an `AuthError` with the action `fix` that names an option which is missing or is none
 */
export function createAuth(options: AuthOptions): Auth;
