// The page of elements: code that can be copied, and buttons that say how one is.

const DONE = 2_000;

for (const figure of document.querySelectorAll(".snippet")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(figure.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), DONE);
  });
  // Only where the browser lets a page write there.
  if (navigator.clipboard) figure.append(button);
}

const says = document.querySelector(".says");
const list = document.querySelector("presence-list");
says.hidden = false;
says.addEventListener("click", ({ target: { value } }) => {
  const text = value === "busy" ? "on the phone" : undefined;
  if (value) list.presence?.setStatus(value, { scope: "user", text });
});
// Which of them holds shows as it shows to the others.
list.addEventListener("change", () => {
  const me = list.presence.people.get(says.dataset.reader);
  for (const button of says.children) {
    button.setAttribute("aria-pressed", String(button.value === me?.status));
  }
});
