// A button beside each password that shows what was typed.

for (const input of document.querySelectorAll(".secret > input")) {
  const [label] = input.labels;
  const button = document.createElement("button");
  const show = (shown) => {
    input.type = shown ? "text" : "password";
    button.textContent = shown ? "Hide" : "Show";
  };
  label.id = `${input.id}-label`;
  button.type = "button";
  button.setAttribute("aria-describedby", label.id);
  button.addEventListener("click", () => show(input.type === "password"));
  // Sent as a password again, or the browser would remember it as ordinary text.
  input.form.addEventListener("submit", () => show(false));
  show(false);
  input.after(button);
}
