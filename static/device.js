// Lets this browser show at its next log-in that it has been here before. It need not wait then
// because of what strangers guess, not even those who share its address.

const KEY = "device";

try {
  const given = document.querySelector("meta[name=device]");
  const field = document.getElementById("device");
  if (given) localStorage.setItem(KEY, given.content);
  if (field) field.value = localStorage.getItem(KEY) ?? "";
} catch {
  // Storage is switched off: this browser stays a stranger.
}
