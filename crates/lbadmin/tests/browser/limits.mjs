// The one table of time limits, in seconds. A limit says when to give up, never how long to wait. They fit a quiet
// two-core machine; STEELYARD_SLOW=N multiplies them, and where CI is set and STEELYARD_SLOW is not, the factor is 5.

const factor = Number(process.env.STEELYARD_SLOW ?? (process.env.CI ? 5 : 1)) || 1;
const scaled = (seconds) => seconds * 1000 * Math.min(100, Math.max(1, factor));

export const limits = {
  // A daemon that was just started answers.
  start: scaled(30),
  // A daemon or the browser told to stop.
  stop: scaled(10),
  // A page, from the click to its last byte.
  page: scaled(20),
  // An element that a page is to have.
  element: scaled(10),
  // A value that comes by itself: the live view, a health check, a reload.
  live: scaled(40),
  // axe-core over one page.
  axe: scaled(30),
};

// Asks `look` again and again until it gives something; errors in between count as nothing yet.
// `what` completes the sentence "waited 10 s for …".
export async function until(what, limit, look) {
  const end = Date.now() + limit;
  let last;
  for (;;) {
    try {
      const found = await look();
      if (found) return found;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited ${limit / 1000} s for ${what}, in vain${last ? `: ${last.message}` : ""}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
