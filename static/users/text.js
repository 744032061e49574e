// Text that is the same is left alone: every write costs the browser work, and may be read aloud.

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
