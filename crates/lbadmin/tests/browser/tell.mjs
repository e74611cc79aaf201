// Tells a story, step by step, and shows all that is known when one fails.

import { picture } from "./browser.mjs";

export const seconds = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;

// Steps in order; the first that fails ends it, with all that is known.
export async function tell(title, unit, { steps, people }) {
  for (const { name, work } of steps) {
    const start = Date.now();
    try {
      await work();
      for (const person of people) person.content();
      console.log(`  ✓ ${title}: ${name} (${seconds(start)})`);
    } catch (error) {
      console.error(`  ✕ ${title}: ${name} (${seconds(start)})\n${error.stack}`);
      for (const [n, person] of people.entries()) {
        const file = picture(`failed-${title}-${n}`);
        console.error(`---- the page at ${person.page.url()}, picture: ${file}`);
        console.error(await person.text().catch((e) => e.message));
        if (person.complaints.length) console.error(`---- complaints of the browser\n${person.complaints.join("\n")}`);
        await person.page.screenshot({ path: file, fullPage: true }).catch((e) => console.error(e.message));
      }
      console.error(unit.logs());
      throw new Error(`${title}: ${name}`);
    }
  }
}
