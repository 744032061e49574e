// A form is sent once, and a button beside each password shows what was typed.

const IMPATIENCE = 2_000; // whoever presses again so soon has not seen that it is under way

let sentAt = -Infinity;
addEventListener("submit", (event) => {
  if (event.timeStamp - sentAt < IMPATIENCE) event.preventDefault();
  else sentAt = event.timeStamp;
});

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
