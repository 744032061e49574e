// What presence.js gives, and what its words mean.

export type Here = "online" | "busy" | "away";

/** What is known of somebody. */
export interface Person {
  /** `offline` and `deleted` stand in `removed` only. */
  readonly status: Here | "offline" | "deleted";
  /** Unix second since when; null where nobody knows. */
  readonly since: number | null;
  readonly name?: string;
  /** What the application says of them in their token: `name`, `avatar` and what it likes. */
  readonly info?: Readonly<Record<string, unknown>>;
  /** What their page says of them in this room: see `setData`. */
  readonly data?: Readonly<Record<string, unknown>>;
  /** Their own words beside their status, and the Unix second until when these hold. */
  readonly text?: string;
  readonly until?: number;
}

/**
 * A `change` event of a room: its people, or what is known of them, or its state. Several messages
 * that come at once are one event, and who came and went in between is not in it.
 */
export interface PresenceChange extends Event {
  readonly added: ReadonlyMap<string, Person>;
  readonly updated: ReadonlyMap<string, Person>;
  /** As they were, with `status` "offline" or "deleted" and `since` when they left, if known. */
  readonly removed: ReadonlyMap<string, Person>;
  /** What is told anew of people who are not here. */
  readonly others: ReadonlyMap<string, Pick<Person, "name" | "text" | "until">>;
}

/**
 * - `connecting`: the line is being opened, or doubted;
 * - `live`: what is shown is true now;
 * - `waiting`: the line is lost, and tried again after `nextTry`;
 * - `refused`: so, too, but the server answers and opens no line now;
 * - `ended`: for good. There is no token, or it does not open this room, or the session is over;
 * - `closed`: by `close()`.
 */
export type State = "connecting" | "live" | "waiting" | "refused" | "ended" | "closed";

export interface TokenQuestion {
  readonly room: string;
  /** Why: there was none yet, it ends soon, or the server's word for why it refused the last one. */
  readonly reason: "first" | "expiring" | "token_expired" | "token_invalid" | "revoked";
  /** Aborted when nobody waits for the answer any more, at the latest after 30 seconds. */
  readonly signal: AbortSignal;
}

/**
 * Gives a token that opens the room. Throw a TokenError when there is none any more: the room ends, as
 * it does when a token that was revoked is given again. Any other error, what has not the form of a
 * token, and one given again though it ends soon, is tried again, later and later, and said on the
 * console.
 */
export type GetToken = (question: TokenQuestion) => Promise<string>;

export class TokenError extends Error {}

/** A `getToken` that asks your backend, `?room=` added: for the token as text, or `{"token": …}`. */
export function tokenFetcher(url: string | URL): GetToken;

export interface RoomOptions {
  /** How the line begins. */
  status?: "online" | "away";
  /** Whom to be told of: see `watch`. */
  watch?: Iterable<string> | null;
}

/** The rooms of one server. */
export class Presence {
  /** `url` is that of the server, with its path if it has one. */
  constructor(url: string | URL, options?: { getToken?: GetToken });
  /** Opens a line to a room; each call opens one of its own. */
  room(name: string, options?: RoomOptions): Room;
  /** The server's own accounts, by its own cookie: for pages of the server itself. */
  list(options?: RoomOptions): Room;
}

/**
 * Who is in one room, over a line that is opened again whenever it is lost. What was known stays
 * known meanwhile, and is said to be `stale`.
 *
 * A socket over which something is said that the token does not allow (any more) is lost, too: the
 * status, the choice and the data are forgotten, and the next goes on without them. Twice within a
 * minute ends the room.
 */
export class Room extends EventTarget {
  private constructor();
  readonly name: string;
  /** By id, in no order. It changes in place: read it, never write it. */
  readonly people: ReadonlyMap<string, Person>;
  /** How many are here, also of those whom one does not watch. */
  readonly count: number;
  /** The same by status, where one is told of some people only and the server has said so. */
  readonly counts: { online?: number; busy?: number; away?: number } | null;
  readonly state: State;
  /** Why it is in that state: a word of the server's, or `no_token`, `token_failed`; else null. */
  readonly reason: string | null;
  /** Milliseconds until the next try; null when none is planned. */
  readonly nextTry: number | null;
  /** The server cannot hear its other nodes: their people are shown as last known. */
  readonly degraded: boolean;
  /**
   * What is shown was true once, and may not be now: the line is lost, or it is a new one that has
   * told of nobody yet whom one watches.
   */
  readonly stale: boolean;
  /** Whether somebody is shown as last known: all are when stale, some when degraded. */
  isLastKnown(id: string): boolean;
  /**
   * Whether the server has said if this one is here: whoever is not among `people` is not here. For
   * a moment it has not of whom one has just begun to watch.
   */
  isKnown(id: string): boolean;
  /**
   * "online" and "away" are of this line. "busy", "invisible" and whatever has a text or an end is
   * the user's choice for all their lines, until "online" is said with the scope "user".
   */
  setStatus(
    status: Here | "invisible",
    options?: {
      /** Up to 100 characters. */
      text?: string;
      /** Unix second, at most 30 days ahead; a fraction is cut off. */
      until?: number;
      scope?: "user";
    },
  ): void;
  /**
   * An object of up to 512 bytes as JSON, which all see beside this user in this room; `{}`
   * empties it. Of what changes more often than every 600 ms the newest is sent, and always the last.
   */
  setData(data: Record<string, unknown>): void;
  /**
   * Be told of these only, 500 at most, or of everybody (null). Of lists that change more often than
   * every 600 ms the newest is sent, and always the last.
   */
  watch(users: Iterable<string> | null): void;
  /** What this user has chosen for all their lines; null for nothing. */
  readonly choice: {
    readonly status: Here | "invisible";
    readonly text?: string;
    readonly until?: number;
  } | null;
  /** Tries now instead of after `nextTry`, unless the server asked to wait. */
  tryNow(): void;
  /** Gone from the room at once, without the grace that a closed line has. */
  leave(): void;
  /** Ends the line, its timers and its listeners. */
  close(): void;
  addEventListener(
    type: "change",
    listener: ((event: PresenceChange) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** `<presence-list>`, `<presence-avatars>` and `<presence-dot>`; attributes: see the README. */
export interface PresenceElement extends HTMLElement {
  /** Instead of `token-from`. Give the same function each time: another one opens a new line. */
  getToken: GetToken | null;
  /** The room that it shows, shared with other elements; null while it has none. */
  readonly presence: Room | null;
}

declare global {
  interface HTMLElementTagNameMap {
    "presence-list": PresenceElement;
    "presence-avatars": PresenceElement;
    "presence-dot": PresenceElement;
  }
}
