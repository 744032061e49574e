// Time that has passed, whatever the machine's clock is set to.

// The clock ran on by so much more than our own count: the machine has slept, and the count with it.
const SLEEP = 2_000;

let apart = Date.now() - performance.now();
let slept = 0;

/** Milliseconds since the page was loaded, those of sleep included; never less than before. */
export function elapsed() {
  const jump = Date.now() - performance.now() - apart;
  if (Math.abs(jump) > SLEEP) {
    apart += jump;
    slept += Math.max(jump, 0);
  }
  return performance.now() + slept;
}
