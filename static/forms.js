// A button beside each password that shows what was typed.

for (const input of document.querySelectorAll(".secret > input")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Show";
  button.setAttribute("aria-label", `Show ${input.labels[0].textContent.toLowerCase()}`);
  button.setAttribute("aria-pressed", "false");
  const show = (shown) => {
    input.type = shown ? "text" : "password";
    button.textContent = shown ? "Hide" : "Show";
    button.setAttribute("aria-pressed", String(shown));
  };
  button.addEventListener("click", () => show(input.type === "password"));
  // Sent as a password again, or the browser would remember it as ordinary text.
  input.form.addEventListener("submit", () => show(false));
  input.after(button);
}
