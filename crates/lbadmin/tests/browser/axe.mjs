// axe-core over the page that is open. Serious and critical findings count.

import { readFileSync } from "node:fs";
import { installed } from "./browser.mjs";
import { limits } from "./limits.mjs";

const AXE = readFileSync(installed.resolve("axe-core/axe.min.js"), "utf8");

// Findings that count, in words. In the dark only colours differ.
export async function axe(page, what, rules) {
  await page.evaluate(`window.axe || (() => {${AXE}})()`);
  const run = page.evaluate(
    (only) => window.axe.run(document, { resultTypes: ["violations"], ...(only && { runOnly: { type: "rule", values: only } }) }),
    rules,
  );
  const late = new Promise((_, failed) => setTimeout(() => failed(new Error(`axe-core: not within ${limits.axe / 1000} s`)), limits.axe).unref());
  const { violations } = await Promise.race([run, late]);
  return violations
    .filter((finding) => ["serious", "critical"].includes(finding.impact))
    .flatMap((finding) => finding.nodes.slice(0, 3).map((node) => `${what}: ${finding.impact}: ${finding.help} (${finding.id}): ${node.html.slice(0, 160)}: ${node.failureSummary.split("\n").slice(1).join(";").trim()}`));
}

// Fails on a page that is only there in the middle of a story: with bars, questions, errors at fields.
export async function examine(person, what) {
  if (!person.scripts) return;
  const found = await axe(person.page, `${what}, light`);
  await person.page.emulateMedia({ colorScheme: "dark" });
  found.push(...(await axe(person.page, `${what}, dark`, ["color-contrast"])));
  await person.page.emulateMedia({ colorScheme: "light" });
  if (found.length) throw new Error(`${found.length} findings:\n  ${found.join("\n  ")}`);
}
