// Times and statuses in words, by the days and the clock of the visitor. ago() says the same as
// templates/words.html.

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;

const many = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"} ago`;

function span(seconds) {
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h`;
  const days = Math.floor(seconds / DAY);
  return days === 1 ? "1 day" : `${days} days`;
}

// The visitor's days. The server, which does not know them, writes those of UTC.
function dayOf(second) {
  return Math.floor(second / DAY - new Date(second * 1000).getTimezoneOffset() / (DAY / MINUTE));
}

// In the language of the page, but days and hours in the way that the visitor is used to.
const { lang } = document.documentElement;
const locale = navigator.languages.find((language) => language.startsWith(lang)) ?? lang;
const { hour12 } = new Intl.DateTimeFormat(undefined, { hour: "numeric" }).resolvedOptions();

function format(options) {
  const format = new Intl.DateTimeFormat(locale, options);
  return (second) => format.format(second * 1000);
}

const clock = format({ hour: "numeric", minute: "2-digit", hour12 });
const weekday = format({ weekday: "long" });
const date = format({ day: "numeric", month: "short" });
const dateOfYear = format({ day: "numeric", month: "short", year: "numeric" });
const yearOf = (second) => new Date(second * 1000).getFullYear();

export const exactly = format({ dateStyle: "full", timeStyle: "short", hour12 });

export function ago(then, now) {
  const seconds = Math.max(now - then, 0);
  const days = dayOf(now) - dayOf(then);
  if (seconds < MINUTE) return "just now";
  if (seconds < DAY) return `${span(seconds)} ago`;
  if (days < 2) return "yesterday";
  if (days < 7) return many(days, "day");
  if (days < 60) return many(Math.floor(days / 7), "week");
  if (days < 730) return many(Math.floor(days / 30), "month");
  return many(Math.floor(days / 365), "year");
}

/** "9:40", "yesterday, 17:05", "Monday, 17:05", "3 Nov", "3 Nov 2025"; `today` may stand first. */
function moment(then, now, today = "") {
  const days = dayOf(now) - dayOf(then);
  if (days <= 0) return `${today}${clock(then)}`;
  if (days === 1) return `yesterday, ${clock(then)}`;
  if (days < 7) return `${weekday(then)}, ${clock(then)}`;
  return yearOf(then) === yearOf(now) ? date(then) : dateOfYear(then);
}

/** `then` is null or 0 where nobody is told. {word, rest}: "online" and " since 9:40", "away" and " for 20 min", "last seen" and the time. */
export function statusWords(status, then, now) {
  if (status === "offline") return lastSeen(then, now);
  if (!then) return { word: status, rest: "" };
  if (status !== "away") return { word: status, rest: ` since ${moment(then, now)}` };
  const seconds = now - then;
  return { word: status, rest: seconds < MINUTE ? " just now" : ` for ${span(seconds)}` };
}

function lastSeen(then, now) {
  // Not yet, or nobody is told.
  if (!then) return { word: "offline", rest: "" };
  return { word: "last seen", rest: ` ${moment(then, now, "today, ")}` };
}

/** "until 15:00", "until tomorrow, 9:00", "until Monday, 9:00", "until 3 Dec"; for all of today "today". */
export function untilWords(until, now) {
  const days = dayOf(until) - dayOf(now);
  if (days === 1 && dayOf(until - 1) === dayOf(now)) return "today";
  if (days <= 0) return `until ${clock(until)}`;
  if (days === 1) return `until tomorrow, ${clock(until)}`;
  if (days < 7) return `until ${weekday(until)}, ${clock(until)}`;
  return `until ${date(until)}`;
}

/** What stands unbroken in each row: whoever is busy is here. */
export const plainStatus = { online: "Online", busy: "Online", away: "Away", offline: "Offline" };

/** What each status is called where one chooses it, or has it. */
export const statusNames = {
  online: "Online",
  busy: "Busy",
  away: "Away",
  invisible: "Invisible",
  offline: "Offline",
};

const deviceNames = { computer: "a computer", mobile: "a phone or tablet" };

/** "On a computer and a phone or tablet"; empty where nothing is known of them. */
export function devicesInWords(kinds) {
  const known = kinds.map((kind) => deviceNames[kind]).filter(Boolean);
  return known.length ? `On ${known.join(" and ")}` : "";
}

/** Two letters for a face: of the first word and the last, or the first two of the only one. */
export function initials(name) {
  const words = name.split(/[\s._-]+/u).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)].map((word) => [...word][0]) : [...name];
  return letters.slice(0, 2).join("").toUpperCase();
}

const people = (number) => (number === 1 ? "1 person" : `${number.toLocaleString("en")} people`);

/** What a search found; `complete`: there are no more than these. */
export function found(number, complete) {
  return `${complete ? "" : "more than "}${people(number)} found`;
}

/** What a screen reader hears of many changes: "3 people came, 1 left". */
export function digest(came, left) {
  if (came.length + left.length === 0) return "";
  if (came.length === 1 && left.length === 0) return `${came[0]} came`;
  if (came.length === 0 && left.length === 1) return `${left[0]} left`;
  if (left.length === 0) return `${people(came.length)} came`;
  if (came.length === 0) return `${people(left.length)} left`;
  return `${people(came.length)} came, ${left.length.toLocaleString("en")} left`;
}
