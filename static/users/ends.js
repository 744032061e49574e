// When a choice ends, from what was picked: Unix seconds, by the days of the visitor.

const MINUTE = 60;

/** `picked`: "" for never, minutes, "today", "time" (of the field), or a second with an "@" before it. */
export function endOf(picked, time, now) {
  if (picked === "") return undefined;
  if (picked.startsWith("@")) return Number(picked.slice(1));
  if (picked === "today") return midnightAfter(now);
  if (picked === "time") return Math.floor(new Date(time).getTime() / 1000);
  return now + Number(picked) * MINUTE;
}

function midnightAfter(now) {
  const day = new Date(now * 1000);
  day.setHours(24, 0, 0, 0);
  return day.getTime() / 1000;
}

/** A second as a field for date and time takes it. */
export function asField(second) {
  const local = second - new Date(second * 1000).getTimezoneOffset() * MINUTE;
  return new Date(local * 1000).toISOString().slice(0, 16);
}
