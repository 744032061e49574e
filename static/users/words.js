// The same words as templates/words.html: taking over must not change what the server wrote.

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

const exact = new Intl.DateTimeFormat(document.documentElement.lang, {
  dateStyle: "medium",
  timeStyle: "short",
});

export const exactly = (second) => exact.format(second * 1000);

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

export function sinceWords(status, then, now) {
  if (then === null) return status === "offline" ? "not seen yet" : "";
  if (then === undefined) return "";
  if (status === "offline") return `last seen ${ago(then, now)}`;
  if (now - then < MINUTE) return "just now";
  return `${status === "online" ? "here " : ""}for ${span(now - then)}`;
}

export const statusWord = (status) => status[0].toUpperCase() + status.slice(1);

const people = (number) => (number === 1 ? "1 person" : `${number.toLocaleString("en")} people`);

/** What a screen reader hears of a search; `complete`: there are no more than these. */
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
